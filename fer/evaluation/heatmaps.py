"""Grad-CAM heatmaps of a whole batch, for the dashboards of a training.

Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, 2017.
"""

import copy

import numpy as np
import torch
from torch import Tensor

from fer.inference.explainers import finish
from fer.inference.explainers import grad_cam as closed_form
from fer.models.se_resnet import SEResNet


@torch.inference_mode()
def grad_cam(net: SEResNet, inputs: Tensor, classes: Tensor) -> np.ndarray:
    """Return where each face speaks for a class, from the net's last stage.

    Args:
        net: left as it is, its mode included; of any float type.
        inputs: (B, 1, H, H), normalised, on the net's device.
        classes: (B,) int64, the class to explain for each face.

    Returns:
        (B, H, H) float32 in [0, 1], each face scaled to its own maximum.
    """
    with torch.autocast(inputs.device.type, enabled=False):
        net = copy.deepcopy(net).float().eval()
        return finish(closed_form(net, net.features(inputs.float()), classes), inputs.shape[2])
