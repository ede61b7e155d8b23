"""Intervals of a figure, and what can be said about a difference between two ways of training: over seeds, over images.

Two sources of variation. Another seed gives another net: t-intervals over the runs' figures. Other test images
give the same nets other figures: a bootstrap over the images, paired, since both settings saw the same ones.

The calibration error has no interval over the images: it is biased upwards and resampling adds to that, so for a
calibrated net the percentile interval never held the true value in simulations (n = 2963). The AUROC has none because
each resample would need a ranking of all images.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from fer.evaluation.confusion import rates

LEVEL = 0.95
FEWEST = 3  # seeds, for an interval over them
RESAMPLES = 5_000


class Estimate(NamedTuple):
    """A figure over the runs of a setting; NaN where there are too few."""

    mean: float
    sd: float
    low: float
    high: float
    n: int


class Difference(NamedTuple):
    """A setting's figure minus the baseline's, its 95 % interval, and the two-sided p of no difference."""

    value: float
    low: float
    high: float
    p: float


def bootstrap(matrix: np.ndarray, resamples: int = 2000, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Return the 95 % percentile bootstrap intervals of the metrics that a confusion matrix determines.

    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. Drawing N images with replacement is a
    multinomial draw over the cells of the confusion matrix, so a resample costs C * C numbers and not N.

    Args:
        matrix: (C, C) int64, as `confusion` counts it.
        resamples: number of redrawn test sets.
        seed: same seed, same intervals.

    Returns:
        (low, high) of `accuracy`, `balanced_accuracy` and `f1_macro`.
    """
    total = matrix.sum()
    draws = np.random.default_rng(seed).multinomial(total, matrix.ravel() / total, resamples)  # (R, C * C)
    values = rates(draws.reshape(resamples, *matrix.shape))
    tail = 100 * (1 - LEVEL) / 2
    intervals = {}
    for name in ("accuracy", "balanced_accuracy", "f1_macro"):
        low, high = np.percentile(values[name], (tail, 100 - tail))
        intervals[name] = (float(low), float(high))
    return intervals


def estimate(values: Sequence[float]) -> Estimate:
    """Return mean, standard deviation and the 95 % t-interval of the mean (of three or more); NaN left out."""
    from scipy import stats  # late: an evaluation needs none of it

    known = np.array([value for value in values if not np.isnan(value)])
    if len(known) == 0:
        return Estimate(*[np.nan] * 4, 0)
    sd = known.std(ddof=1) if len(known) > 1 else np.nan
    reach = stats.t.ppf((1 + LEVEL) / 2, len(known) - 1) * sd / np.sqrt(len(known)) if len(known) >= FEWEST else np.nan
    mean = known.mean()
    return Estimate(float(mean), float(sd), float(mean - reach), float(mean + reach), len(known))


def over_seeds(values: Sequence[float], baseline: Sequence[float]) -> Difference | None:
    """Compare the means of two settings' runs with Welch's t-test; None with fewer than three runs of either.

    Welch, The generalization of "Student's" problem when several different population variances are involved, 1947.
    """
    from scipy import stats  # late: an evaluation needs none of it

    first, second = ([value for value in sample if not np.isnan(value)] for sample in (values, baseline))
    if min(len(first), len(second)) < FEWEST:
        return None
    value = float(np.mean(first) - np.mean(second))
    if np.var(first) + np.var(second) < 1e-24:  # all runs equal: nothing that a test could measure by
        return Difference(value, np.nan, np.nan, 1.0)
    test = stats.ttest_ind(first, second, equal_var=False)
    low, high = test.confidence_interval(LEVEL)
    return Difference(value, float(low), float(high), float(test.pvalue))


def over_images(
    gains: np.ndarray, targets: np.ndarray, classes: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Difference]:
    """Compare two settings on the same images by the paired percentile bootstrap, given their nets.

    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16. Images with the same target and the
    same gain are alike, so a resample is a multinomial draw over those few kinds, however many images there are.

    Args:
        gains: (N,) how much more often the setting's nets were right than the baseline's, in [-1, 1].
        targets: (N,) int64.
        classes: C names.
        resamples: number of redrawn image sets.
        seed: same seed, same intervals.

    Returns:
        `accuracy`, `balanced_accuracy` and `recall/NAME`, of the classes that occur.
    """
    kinds, counts = np.unique(np.stack((targets, gains.round(12)), 1), axis=0, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(len(gains), counts / len(gains), resamples)  # (R, K)
    belongs = (kinds[:, :1] == np.arange(len(classes))).astype(float)  # (K, C)

    def rates_of(numbers: np.ndarray) -> np.ndarray:
        """(..., K) images of each kind -> (..., 2 + C)."""
        sums, totals = numbers @ (belongs * kinds[:, 1:]), numbers @ belongs  # (..., C)
        recalls = sums / np.maximum(totals, 1)
        accuracy, balanced = sums.sum(-1) / totals.sum(-1), recalls.sum(-1) / (totals > 0).sum(-1)
        return np.concatenate((accuracy[..., None], balanced[..., None], recalls), -1)

    observed, drawn = rates_of(counts), rates_of(draws.astype(float))  # BLAS multiplies no integers
    low, high = np.percentile(drawn, (50 * (1 - LEVEL), 50 * (1 + LEVEL)), axis=0)
    tails = np.minimum((drawn <= 1e-12).sum(0), (drawn >= -1e-12).sum(0))  # a resample without a difference is in both
    p = np.minimum(2 * (tails + 1) / (resamples + 1), 1)
    names = ["accuracy", "balanced_accuracy", *(f"recall/{name}" for name in classes)]
    table = np.stack((observed, low, high, p), 1).tolist()
    occur = [True, True, *np.isin(np.arange(len(classes)), targets)]
    return {name: Difference(*row) for name, row, occurs in zip(names, table, occur, strict=True) if occurs}


def wilson(hits: int, faces: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of at least one face, which of a few faces, or of none right, is honest, too.

    Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    square = NormalDist().inv_cdf((1 + LEVEL) / 2) ** 2
    centre = (hits + square / 2) / (faces + square)
    reach = math.sqrt(square * (hits * (faces - hits) / faces + square / 4)) / (faces + square)
    return max(centre - reach, 0.0), min(centre + reach, 1.0)


def between_groups(one: tuple[float, int], other: tuple[float, int]) -> Difference:
    """Compare the shares of right answers on two sets of different faces.

    Newcombe, Interval estimation for the difference between independent proportions, 1998, method 10; and Fisher's
    exact test, which holds for few faces, too. With few, the interval may leave out 0 where the test sees no
    difference.

    Args:
        one: share of right answers and number of faces.
        other: the same of the other set, whose share is subtracted.
    """
    from scipy import stats  # late: an evaluation needs none of it

    (first, n), (second, m) = one, other
    hits = round(first * n), round(second * m)
    (low, high), (least, most) = wilson(hits[0], n), wilson(hits[1], m)
    value = first - second
    below, above = math.hypot(first - low, most - second), math.hypot(high - first, second - least)
    p = stats.fisher_exact([[hits[0], n - hits[0]], [hits[1], m - hits[1]]]).pvalue
    return Difference(value, value - below, value + above, float(p))


def of_mean(gains: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> Difference:
    """Return the mean of the gains (N,) on single images, with its percentile bootstrap over the images.

    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16.
    """
    drawn = np.random.default_rng(seed).integers(len(gains), size=(resamples, len(gains)))
    means = gains[drawn].mean(1)  # (R,)
    low, high = np.percentile(means, (50 * (1 - LEVEL), 50 * (1 + LEVEL)))
    tail = min((means <= 1e-12).sum(), (means >= -1e-12).sum())
    return Difference(float(gains.mean()), float(low), float(high), float(min(2 * (tail + 1) / (resamples + 1), 1)))


def holm(p: Sequence[float]) -> list[float]:
    """Correct the p of several comparisons, so that with 95 % none of them is claimed by chance.

    Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, float)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected.tolist()
