"""Class activation maps: where a face speaks for an emotion, by the net's last features, a whole batch at once.

All of them start from features that a forward pass has made already, so that one pass gives answers and explanations.

Grad-CAM (Selvaraju et al., 2017) weighs each channel A_c of the features (h x w) by the mean over its pixels of
d logit_k / d A_c, sums, and cuts off what is negative. Our net ends in global average pooling and one linear layer:

    logit_k = b_k + sum_c W[k, c] * mean_ij A_c[i, j],   hence   d logit_k / d A_c[i, j] = W[k, c] / (h * w)

at every pixel, whatever the face. Their mean is the same, so the map is relu(sum_c W[k, c] A_c) / (h * w), without a
backward pass. This holds if the features are those that are pooled (no earlier stage), if nothing but dropout, which is
off, stands between them and the logits (`net.pools_linearly` says so), and if the explainer averages plain gradients.
An ONNX file holds the sums of all classes (`fer.export.graph`), so that Grad-CAM needs no torch there.

The last layer's cells are large: of 48 pixels, 6x6. The usual explainer, gated Grad-CAM, asks Grad-CAM for the class
and an earlier layer for the place: the enlarged map is weighed, cell by cell, by how active that layer is there. So
does Poly-CAM (Englebert et al., 2022), which also weighs the channels, by many more passes. One forward pass is all
that is needed here, so that ONNX files hold it, too, for all classes. docs/trust/faithfulness.md has the figures.

Other nets and explainers go through the grad-cam package, which is given the net's end alone: its backward pass stops
at the features.

To add one: a line in `EXPLAINERS`, and its name in `fer.inference.schema`, which must not wait for torch.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fer.models.maps import finish

BEST = "gatedcam"  # by the figures of docs/trust/faithfulness.md


def layer_count(net: nn.Module) -> int:
    """Return how many layers of a net can be explained; the last one's maps are its features."""
    return len(net.layers()) if hasattr(net, "layers") else 1


class Features(NamedTuple):
    """What one pass saw: the last feature maps, and those of the layer that is explained, with its number from 1."""

    last: Tensor
    chosen: Tensor
    layer: int


def features_of(net: nn.Module, inputs: Tensor, explainer: str, layer: int | None = None) -> Features:
    """Return the feature maps that an explainer needs, from one pass.

    Args:
        net: maps inputs (B, 1, H, W) to logits.
        inputs: normalised faces.
        explainer: one of `EXPLAINERS`, or another word if nothing is to be explained.
        layer: from 1 to `layer_count`; None for the explainer's own: the last, of gatedcam the last but one.
    """
    count = layer_count(net)
    layer = layer or (max(count - 1, 1) if explainer == "gatedcam" else count)
    if layer == count:
        last = net.forward_features(inputs)
        return Features(last, last, layer)
    x = inputs
    for number, part in enumerate(net.layers(), 1):
        x = part(x)
        if number == layer:
            chosen = x
    return Features(x, chosen, layer)


def explain(explainer: str, net: nn.Module, features: Features, targets: Tensor) -> np.ndarray:
    """Return where each face speaks for its target class, at the resolution of the layer, not scaled yet.

    Works inside `no_grad` and `inference_mode` and from several threads, and leaves the net as it was.

    Args:
        explainer: one of `EXPLAINERS`.
        net: in eval mode, its weights frozen.
        features: what `features_of` returned, of at least one face.
        targets: (B,) int64; eigencam knows no classes and passes over them.

    Returns:
        (B, h, w) float32, for `finish`.
    """
    return EXPLAINERS[explainer](net, features, targets).float().cpu().numpy()


def heatmaps(net: nn.Module, inputs: Tensor, targets: Tensor) -> np.ndarray:
    """Return gated Grad-CAM heatmaps of faces, in float32 whatever the net's type and mode, which stay as they are.

    Args:
        net: in any mode, of any float type.
        inputs: (B, 1, H, H), normalised, on the net's device.
        targets: (B,) int64, the class to explain for each face.

    Returns:
        (B, H, H) float32 in [0, 1], each face scaled to its own maximum.
    """
    # Not in inference_mode, as in Lightning's validation: a copied net's weights could have no gradients there.
    with torch.autocast(inputs.device.type, enabled=False), torch.inference_mode(False), torch.no_grad():
        net = copy.deepcopy(net).float().eval().requires_grad_(False)
        features = features_of(net, inputs.float(), BEST)
        return finish(explain(BEST, net, features, targets), inputs.shape[2])


def grad_cam(net: nn.Module, features: Tensor, targets: Tensor) -> Tensor:
    """Return Grad-CAM's maps (B, h, w) in closed form; the mathematics stand at the top of this file."""
    weights = net.head.weight[targets] / features[0, 0].numel()  # (B, C)
    return torch.einsum("bc,bchw->bhw", weights, features)


class _End(nn.Module):
    """The net behind a layer, with one of its own before it for the package's hooks."""

    def __init__(self, net: nn.Module, layer: int) -> None:
        super().__init__()
        self.features, self.net = nn.Identity(), net
        self.rest = net.layers()[layer:] if layer < layer_count(net) else []  # a list: they are the net's

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        for part in self.rest:
            x = part(x)
        return self.net.forward_head(x)


def _by_gradients(name: str, net: nn.Module, features: Features, targets: Tensor) -> Tensor:
    """Explain by a class of the grad-cam package."""
    import pytorch_grad_cam  # seconds
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with torch.inference_mode(False), torch.enable_grad():
        end = _End(net, features.layer)
        cam = getattr(pytorch_grad_cam, name)(end, [end.features])
        leaf = features.chosen.detach().clone().requires_grad_()  # a clone, as inference tensors have no gradients
        maps = cam(leaf, [ClassifierOutputTarget(label) for label in targets.tolist()])
    return torch.from_numpy(maps).to(targets.device)


def _grad_cam(net: nn.Module, features: Features, targets: Tensor) -> Tensor:
    if net.pools_linearly and features.chosen is features.last:
        return grad_cam(net, features.last, targets)
    return _by_gradients("GradCAM", net, features, targets)


def gate(maps: Tensor, features: Tensor) -> Tensor:
    """Enlarge maps (B, K, h, w) to the cells of an earlier layer's features (B, C, H, W), and weigh them by these.

    A cell weighs what it is active above the face's least active one, on the mean over the channels.
    """
    gates = features.mean(1, keepdim=True)  # (B, 1, H, W)
    gates = gates - gates.amin((2, 3), keepdim=True)
    size = tuple(map(int, features.shape[2:]))  # plain numbers, in a trace, too
    return F.interpolate(maps, size, mode="bilinear", align_corners=False) * gates


def _gated_cam(net: nn.Module, features: Features, targets: Tensor) -> Tensor:
    """Gate Grad-CAM of the last layer by an earlier one; of the last one itself, leave it as it is."""
    last = Features(features.last, features.last, layer_count(net))
    maps = _grad_cam(net, last, targets)
    return maps if features.layer == last.layer else gate(maps[:, None], features.chosen)[:, 0]


def _eigen_cam(net: nn.Module, features: Features, targets: Tensor) -> Tensor:
    """Project each face's features on their first principal component (Muhammad and Yeasin, Eigen-CAM, 2020).

    A component's sign is arbitrary, and the wrong one would light up the background: here it is the one with which the
    map is bright where the features are strong.
    """
    pixels = features.chosen.float().flatten(2).transpose(1, 2)  # (B, h * w, C)
    centred = pixels - pixels.mean(1, keepdim=True)
    first = torch.linalg.svd(centred, full_matrices=False).Vh[:, 0]  # (B, C)
    maps = torch.einsum("bpc,bc->bp", centred, first)  # (B, h * w), each of mean 0
    wrong = (maps * pixels.mean(2)).sum(1, keepdim=True) < 0
    return torch.where(wrong, -maps, maps).reshape(len(maps), *features.chosen.shape[2:])


EXPLAINERS: dict[str, Callable[[nn.Module, Features, Tensor], Tensor]] = {
    "gatedcam": _gated_cam,
    "gradcam": _grad_cam,
    "gradcam++": partial(_by_gradients, "GradCAMPlusPlus"),
    "layercam": partial(_by_gradients, "LayerCAM"),
    "eigencam": _eigen_cam,
}
