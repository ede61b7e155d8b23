"""Losses over soft targets, and class weights from the training split."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer.schema import CrossEntropy, Focal

BETA = 0.999  # of the effective number: classes beyond about 1 / (1 - BETA) faces weigh the same


def class_weights(counts: np.ndarray, weighting: str) -> Tensor:
    """Return a weight for each class, (C,) float32, whose mean over the training faces is 1.

    Args:
        counts: faces of each class in the training split, (C,).
        weighting: "none"; "balanced" 1 / n; "sqrt" 1 / sqrt(n); "effective" (1 - b) / (1 - b^n) with b = `BETA`
            (Cui et al., Class-Balanced Loss Based on Effective Number of Samples, 2019).

    A class without faces gets weight 0.
    """
    numbers = np.maximum(counts, 1).astype(float)
    weights = {
        "none": np.ones_like(numbers),
        "balanced": 1 / numbers,
        "sqrt": 1 / np.sqrt(numbers),
        "effective": (1 - BETA) / (1 - BETA**numbers),
    }[weighting]
    weights = np.where(counts > 0, weights, 0.0)
    total = (weights * counts).sum() or 1.0  # an evaluation may have no training faces
    return torch.tensor(weights * counts.sum() / total, dtype=torch.float32)


def none_of_these(weights: Tensor) -> np.ndarray:
    """Return the target of a face of no class, (C,) float32: equal shares, divided by the weights of the classes.

    So the loss is least where all probabilities are equal, whatever the weights are, and as large as without any. As
    examples of "none of these": Lee et al., Training Confidence-calibrated Classifiers for Detecting
    Out-of-Distribution Samples, 2018; Hendrycks et al., Deep Anomaly Detection with Outlier Exposure, 2019.

    Args:
        weights: (C,), as `class_weights` returns them.
    """
    shares = torch.where(weights > 0, 1 / (len(weights) * weights), 0.0)
    return shares.numpy()


class FocalLoss(nn.Module):
    """Multiclass focal loss over soft targets: mean of -sum_c w_c t_c (1 - p_c)^gamma log p_c.

    Lin et al., Focal Loss for Dense Object Detection, 2017. With gamma = 0 it is nn.CrossEntropyLoss.
    """

    def __init__(self, gamma: float, weight: Tensor, label_smoothing: float) -> None:
        super().__init__()
        self.gamma, self.label_smoothing = gamma, label_smoothing
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Take logits (B, C) and targets (B, C), rows of which sum to 1; return a scalar."""
        targets = targets * (1 - self.label_smoothing) + self.label_smoothing / targets.shape[1]
        logs = F.log_softmax(logits, 1)
        focus = (1 - logs.exp()).clamp_min(1e-8) ** self.gamma  # the slope at 0 is infinite if gamma is below 1
        return -(self.weight * targets * focus * logs).sum(1).mean()


def make_loss(config: CrossEntropy | Focal, counts: np.ndarray) -> nn.Module:
    """Return the loss of a configuration, weighted for a training split with these class counts."""
    weight = class_weights(counts, config.weighting)
    if isinstance(config, Focal):
        return FocalLoss(config.gamma, weight, config.label_smoothing)
    return nn.CrossEntropyLoss(weight, label_smoothing=config.label_smoothing)


def best_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Reduce targets with several right emotions to the one that the net finds likeliest: one-hot (B, C).

    The multi-target mode of Barsoum et al., 2016: the loss counts only on the best of the accepted emotions.
    """
    accepted = logits.detach().masked_fill(targets == 0, -torch.inf)
    return F.one_hot(accepted.argmax(1), targets.shape[1]).to(targets)
