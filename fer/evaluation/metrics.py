"""Metrics of a classifier from its logits, computed once over a whole split."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import (
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multilabel_auroc,
)

CALIBRATION_BINS = 15


def confusion(outputs: Tensor, targets: Tensor, classes: Sequence[str]) -> np.ndarray:
    """Count (C, C) int64: how often a face of class i (row) was predicted to be j (column).

    Args:
        outputs: (N, C) logits or probabilities, or (N,) predicted classes.
        targets: (N,) int64.
        classes: C names.
    """
    predictions = outputs.argmax(1) if outputs.ndim == 2 else outputs
    return multiclass_confusion_matrix(predictions, targets, len(classes), validate_args=False).cpu().numpy()


def rates(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the rates of one confusion matrix, or of a whole stack of them.

    Args:
        matrix: (..., C, C) counts, rows are the true classes.

    Returns:
        `accuracy`, `balanced_accuracy` (mean recall of the classes that occur), `f1_macro` (mean F1 of the classes that
        occur or were predicted), each (...); `precision`, `recall`, `f1`, each (..., C), 0 where undefined.
    """
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)  # (..., C)
    occurring, predicted = matrix.sum(-1), matrix.sum(-2)  # (..., C)
    recall = hits / np.maximum(occurring, 1)
    f1 = 2 * hits / np.maximum(occurring + predicted, 1)
    return {
        "accuracy": hits.sum(-1) / occurring.sum(-1),
        "balanced_accuracy": recall.sum(-1) / (occurring > 0).sum(-1),
        "f1_macro": f1.sum(-1) / (occurring + predicted > 0).sum(-1),
        "precision": hits / np.maximum(predicted, 1),
        "recall": recall,
        "f1": f1,
    }


def calibration_error(probabilities: Tensor, targets: Tensor) -> float:
    """Return the expected calibration error: the mean distance between confidence and accuracy over 15 equal bins.

    Guo et al., On Calibration of Modern Neural Networks, 2017.

    Args:
        probabilities: (N, C), rows sum to 1. (Logits would pass unnoticed where all of them lie in [0, 1].)
        targets: (N,) int64.
    """
    classes = probabilities.shape[1]
    return multiclass_calibration_error(probabilities, targets, classes, CALIBRATION_BINS, validate_args=False).item()


def auroc(probabilities: Tensor, targets: Tensor) -> float:
    """Return the mean one-vs-rest area under the ROC curve of the classes that have positives and negatives.

    Args:
        probabilities: (N, C) in [0, 1].
        targets: (N,) int64.

    Returns:
        The area in [0, 1]; 0.5, chance, if all targets are of one class.
    """
    present = targets.unique()
    if len(present) < 2:
        return 0.5
    positive = (targets[:, None] == present).long()  # (N, P)
    return multilabel_auroc(probabilities[:, present], positive, len(present), validate_args=False).item()


def compute_metrics(logits: Tensor, targets: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Compute every metric of a split.

    Args:
        logits: (N, C), N at least 1.
        targets: (N,) int64; a class may be absent.
        classes: C names.

    Returns:
        `loss` (mean negative log likelihood), `accuracy`, `balanced_accuracy`, `f1_macro`, `auroc`, `ece`, `n`, and for
        each class `precision/NAME`, `recall/NAME`, `f1/NAME` (0 where undefined).
    """
    logits = logits.detach().double()
    probabilities = logits.softmax(1)
    values = rates(confusion(logits, targets, classes))
    metrics = {
        "loss": F.cross_entropy(logits, targets).item(),
        **{name: float(values[name]) for name in ("accuracy", "balanced_accuracy", "f1_macro")},
        "auroc": auroc(probabilities, targets),
        "ece": calibration_error(probabilities, targets),
        "n": float(len(targets)),
    }
    for name in ("precision", "recall", "f1"):
        metrics |= {f"{name}/{emotion}": float(value) for emotion, value in zip(classes, values[name], strict=True)}
    return metrics
