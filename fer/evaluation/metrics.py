"""Metrics of a classifier from its logits, computed once over a whole split."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import (
    multiclass_calibration_error,
    multilabel_auroc,
)

from fer.evaluation.confusion import confusion, rates

CALIBRATION_BINS = 15


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
        each class `precision/NAME`, `f1/NAME` (0 where undefined), and `recall/NAME` if it has faces.
    """
    logits = logits.detach().double()
    probabilities = logits.softmax(1)
    matrix = confusion(targets.numpy(), logits.argmax(1).numpy(), len(classes))
    values = rates(matrix)
    metrics = {
        "loss": F.cross_entropy(logits, targets).item(),
        **{name: float(values[name]) for name in ("accuracy", "balanced_accuracy", "f1_macro")},
        "auroc": auroc(probabilities, targets),
        "ece": calibration_error(probabilities, targets),
        "n": float(len(targets)),
    }
    for name in ("precision", "recall", "f1"):
        metrics |= {f"{name}/{emotion}": float(value) for emotion, value in zip(classes, values[name], strict=True)}
    for emotion, faces in zip(classes, matrix.sum(1), strict=True):
        if not faces:
            del metrics[f"recall/{emotion}"]
    return metrics
