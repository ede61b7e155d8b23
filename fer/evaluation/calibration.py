"""Two numbers that are fitted on validation, and kept in the weights file: what makes probabilities mean what they say,
and which of them are too low for an answer.

The first is the temperature (Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2). The second is
the threshold of Chow's reject option (On optimum recognition error and reject tradeoff, 1970): with it, the answers
that are left reach an accuracy that somebody asks for.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fer.evaluation.metrics import by_confidence

LOWEST, HIGHEST = 0.1, 10.0  # of few faces that are all predicted right, no temperature is low enough
STEPS = 1000  # thresholds are thousandths: what differs by less is the same to a reader, and to a net
LEAST_COVERAGE = (
    0.5  # of validation: a program that mostly says "not sure" is of no use, whatever its answers are worth
)


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """Return what logits have to be divided by for the lowest negative log likelihood, rounded to 4 digits.

    Dividing changes no answer, only how sure it is.

    Args:
        logits: (N, C) of the validation split, N at least 1.
        targets: (N,) int64.
    """
    from scipy.optimize import minimize_scalar  # late: only a training needs it

    logits = logits.double()

    def loss(log: float) -> float:
        return F.cross_entropy(logits / math.exp(log), targets).item()

    found = minimize_scalar(loss, bounds=(math.log(LOWEST), math.log(HIGHEST)), method="bounded")
    return round(math.exp(found.x), 4)


class Answered(NamedTuple):
    """What is left of a split by a threshold.

    Attributes:
        coverage: share of the faces that are answered.
        accuracy: share of the right ones among the answers; NaN without any.
    """

    coverage: float
    accuracy: float


def answered(logits: Tensor, targets: Tensor, threshold: float) -> Answered:
    """Return how many faces have an answer if the largest probability has to reach a threshold, and how good they are.

    Args:
        logits: (N, C), calibrated, N at least 1.
        targets: (N,) int64.
        threshold: in [0, 1).
    """
    confidence, predictions = logits.double().softmax(1).max(1)
    kept = confidence >= threshold
    return Answered(kept.double().mean().item(), (predictions == targets)[kept].double().mean().item())


def fit_threshold(logits: Tensor, targets: Tensor, accuracy: float) -> float:
    """Return the lowest thousandth from which on the answers reach an accuracy.

    It leaves at least half of the faces an answer: where none such reaches the accuracy, it is the highest of these.

    Args:
        logits: (N, C) of the validation split, calibrated, N at least 1.
        targets: (N,) int64.
        accuracy: in [0, 1); 0 gives 0, with which every face has an answer.
    """
    confidence, risk = by_confidence(logits.double().softmax(1), targets)
    thresholds = torch.arange(STEPS, dtype=torch.float64) / STEPS
    kept = len(targets) - torch.searchsorted(confidence.flip(0), thresholds)  # (STEPS,) faces, from all to few
    usable = thresholds[kept >= LEAST_COVERAGE * len(targets)]
    good = usable[risk[kept[: len(usable)] - 1] <= 1 - accuracy]
    return (good[0] if len(good) else usable[-1]).item()
