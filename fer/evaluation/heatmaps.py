"""Grad-CAM heatmaps of a whole batch, for the dashboards of a training.

Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, 2017.
"""

import copy

import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor

from fer.models.se_resnet import SEResNet


def grad_cam(net: SEResNet, inputs: Tensor, classes: Tensor) -> np.ndarray:
    """Return where each face speaks for a class, from the net's last stage.

    Works inside `no_grad` and `inference_mode` (a validation hook), under autocast and with frozen weights.

    Args:
        net: left as it is, its mode, gradients and hooks included.
        inputs: (B, 1, H, W), normalised, on the net's device.
        classes: (B,) int64, the class to explain for each face.

    Returns:
        (B, H, W) float32 in [0, 1], each face scaled to its own maximum.
    """
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(inputs.device.type, enabled=False):
        # The package calls eval(), drops gradients and leaves hooks: all of that may happen to a copy.
        net = copy.deepcopy(net).float().requires_grad_(False)
        explainer = GradCAM(net, [net.stages[-1]])
        faces = inputs.detach().float().clone().requires_grad_()  # a clone, as inference tensors have no gradients
        return explainer(faces, [ClassifierOutputTarget(label) for label in classes.tolist()])
