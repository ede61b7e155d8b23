"""Metrics of a classifier from its logits, computed once over a whole split."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import (
    binary_auroc,
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


def class_errors(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return the calibration error of each class, (C,): how far its probability is from how often it is the right one.

    Over the same bins as `calibration_error`, but of all faces by that class's probability, not of answers alone. Their
    mean is the classwise ECE of Kull et al., Beyond temperature scaling, 2019.

    Args:
        probabilities: (N, C), rows sum to 1.
        targets: (N,) int64.
    """
    gaps = probabilities - F.one_hot(targets, probabilities.shape[1])  # (N, C)
    bins = (probabilities * CALIBRATION_BINS).long().clamp_max(CALIBRATION_BINS - 1)
    sums = gaps.new_zeros(CALIBRATION_BINS, gaps.shape[1]).scatter_add_(0, bins, gaps)
    return sums.abs().sum(0) / len(targets)


def by_confidence(probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return faces with the most confident first: each one's confidence, and the risk if it is the last one answered.

    The risk is the share of wrong answers (El-Yaniv & Wiener, On the Foundations of Noise-free Selective
    Classification, 2010).

    Args:
        probabilities: (N, C), rows sum to 1.
        targets: (N,) int64.

    Returns:
        Both (N,); the k-th risk is that of a coverage of k / N.
    """
    confidence, predictions = probabilities.max(1)
    order = confidence.argsort(descending=True, stable=True)
    return confidence[order], running_risk((predictions != targets)[order])


def running_risk(wrong: Tensor) -> Tensor:
    """Return the share of mistakes among the first k faces, for k from 1: (N,) bool -> (N,) float64."""
    return wrong.double().cumsum(0) / torch.arange(1, len(wrong) + 1, device=wrong.device)


def other_metrics(known: Tensor, other: Tensor, not_sure: float) -> dict[str, float]:
    """Return how a net takes faces of classes that it does not have, which no answer fits.

    Args:
        known: (N, C) logits of faces of its classes, N at least 1.
        other: (M, C) logits of other faces, M at least 1.
        not_sure: the threshold of answers.

    Returns:
        `n`; `confidence`, the mean; `answered`, the share that has an answer nevertheless; `auroc`, how well confidence
        tells the known from the others: 1 wholly, 0.5 not at all (Hendrycks & Gimpel, A Baseline for Detecting
        Misclassified and Out-of-Distribution Examples, 2017).
    """
    confidence = torch.cat((known, other)).detach().double().softmax(1).amax(1)
    is_known = torch.arange(len(confidence)) < len(known)
    strange = confidence[~is_known]
    return {
        "n": len(other),
        "confidence": strange.mean().item(),
        "answered": (strange >= not_sure).double().mean().item(),
        "auroc": binary_auroc(confidence, is_known.long(), validate_args=False).item(),
    }


def compute_metrics(logits: Tensor, targets: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Compute every metric of a split.

    Args:
        logits: (N, C), N at least 1.
        targets: (N,) int64; a class may be absent.
        classes: C names.

    Returns:
        `loss` (mean negative log likelihood), `accuracy`, `balanced_accuracy`, `f1_macro`, `auroc`, `ece`,
        `classwise_ece`, `aurc` (the mean risk over all coverages, Geifman et al., Bias-Reduced Uncertainty Estimation
        for Deep Neural Classifiers, 2019), `excess_aurc` (what of that a perfect order would not have), `n`, and for
        each class `precision/NAME`, `f1/NAME` (0 where undefined), `class_ece/NAME`, and `recall/NAME` if it has faces.
    """
    logits = logits.detach().double()
    probabilities = logits.softmax(1)
    matrix = confusion(targets.numpy(), logits.argmax(1).numpy(), len(classes))
    values, errors, risk = rates(matrix), class_errors(probabilities, targets), by_confidence(probabilities, targets)[1]
    best = running_risk(torch.arange(len(targets)) >= matrix.trace())  # all mistakes last
    metrics = {
        "loss": F.cross_entropy(logits, targets).item(),
        **{name: float(values[name]) for name in ("accuracy", "balanced_accuracy", "f1_macro")},
        "auroc": auroc(probabilities, targets),
        "ece": calibration_error(probabilities, targets),
        "classwise_ece": errors.mean().item(),
        "aurc": risk.mean().item(),
        "excess_aurc": (risk - best).mean().item(),
        "n": float(len(targets)),
    }
    for name in ("precision", "recall", "f1"):
        metrics |= {f"{name}/{emotion}": float(value) for emotion, value in zip(classes, values[name], strict=True)}
    metrics |= {f"class_ece/{emotion}": error for emotion, error in zip(classes, errors.tolist(), strict=True)}
    for emotion, faces in zip(classes, matrix.sum(1), strict=True):
        if not faces:
            del metrics[f"recall/{emotion}"]
    return metrics
