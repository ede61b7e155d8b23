"""Confusion matrices, and the rates that they determine; without torch, since reports need none."""

import numpy as np


def confusion(targets: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count (C, C) int64: how often a face of class i (row) was predicted as j (column).

    Args:
        targets: (N,) int64.
        predicted: (N,) int64.
        classes: C.
    """
    return np.bincount(targets * classes + predicted, minlength=classes**2).reshape(classes, classes)


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
