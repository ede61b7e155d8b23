"""How far a metric would move on another test set of the same size: bootstrap intervals over images.

They tell the variation over test images, not over seeds. The calibration error has none: it is biased upwards and
resampling adds to that, so for a calibrated net the percentile interval never held the true value in simulations (n =
2963). The AUROC has none because each resample would need a ranking of all images.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from fer.evaluation.metrics import confusion, rates

LEVEL = 0.95


def bootstrap(
    logits: Tensor, targets: Tensor, classes: Sequence[str], resamples: int = 2000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return the 95 % percentile bootstrap intervals of the metrics that a confusion matrix determines.

    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. Drawing N images with replacement is a
    multinomial draw over the cells of the confusion matrix, so a resample costs C * C numbers and not N.

    Args:
        logits: (N, C), or (N,) predicted classes.
        targets: (N,) int64.
        classes: C names.
        resamples: number of redrawn test sets.
        seed: same seed, same intervals.

    Returns:
        (low, high) of `accuracy`, `balanced_accuracy` and `f1_macro`.
    """
    matrix = confusion(logits, targets, classes)
    total = matrix.sum()
    draws = np.random.default_rng(seed).multinomial(total, matrix.ravel() / total, resamples)  # (R, C * C)
    values = rates(draws.reshape(resamples, *matrix.shape))
    tail = 100 * (1 - LEVEL) / 2
    intervals = {}
    for name in ("accuracy", "balanced_accuracy", "f1_macro"):
        low, high = np.percentile(values[name], (tail, 100 - tail))
        intervals[name] = (float(low), float(high))
    return intervals
