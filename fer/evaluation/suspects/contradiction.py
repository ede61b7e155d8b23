"""How much out-of-sample probabilities contradict the labels: confident learning.

Northcutt, Jiang & Chuang, Confident learning: estimating uncertainty in dataset labels, 2021. A class counts as likely
for a face if its probability is at least what the faces with this label have on average. So a class of which a net is
never sure, as fear, is not suspected everywhere, and one of which it is always sure does not draw all others to it.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Contradiction:
    """What is said against the labels of N faces.

    Attributes:
        thresholds: (C,) float64, mean probability of a class among the faces with its label; infinite without such.
        likely: (N,) int64, the most probable of the classes that reach their threshold; -1 if none does.
        margins: (N,) float64, probability of the label minus that of the most probable other class.
        ranked: (K,) int64, the faces whose label is suspect, the most contradicted first.
    """

    thresholds: np.ndarray
    likely: np.ndarray
    margins: np.ndarray
    ranked: np.ndarray


def contradict(probabilities: np.ndarray, labels: np.ndarray) -> Contradiction:
    """Compare labels with what nets say that have not seen them.

    A label is suspect if another class is likely, and more probable than the label.

    Args:
        probabilities: (N, C), C at least 2.
        labels: (N,) int64.
    """
    count, classes = probabilities.shape
    own = probabilities[np.arange(count), labels]
    faces = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, own, minlength=classes)
    thresholds = np.divide(sums, faces, out=np.full(classes, np.inf), where=faces > 0)
    among = np.where(probabilities >= thresholds, probabilities, -1)
    likely = np.where(among.max(1) >= 0, among.argmax(1), -1)
    others = probabilities.copy()
    others[np.arange(count), labels] = -1
    margins = own - others.max(1)
    suspect = np.flatnonzero((likely >= 0) & (likely != labels) & (margins < 0))
    return Contradiction(thresholds, likely, margins, suspect[np.argsort(margins[suspect], kind="stable")])
