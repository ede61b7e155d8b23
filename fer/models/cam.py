"""Class activation maps: where a face speaks for an emotion, by the net's last features, a whole batch at once.

All of them start from features that a forward pass has made already, so that one pass gives answers and explanations.

Grad-CAM (Selvaraju et al., 2017) weighs each channel A_c of the features (h x w) by the mean over its pixels of
d logit_k / d A_c, sums, and cuts off what is negative. Our net ends in global average pooling and one linear layer:

    logit_k = b_k + sum_c W[k, c] * mean_ij A_c[i, j],   hence   d logit_k / d A_c[i, j] = W[k, c] / (h * w)

at every pixel, whatever the face. Their mean is the same, so the map is relu(sum_c W[k, c] A_c) / (h * w), without a
backward pass. This holds if the features are those that are pooled (no earlier stage), if nothing but dropout, which is
off, stands between them and the logits (`net.pools_linearly` says so), and if the explainer averages plain gradients.
An ONNX file holds the sums of all classes, as `maps` (`fer.export.graph`), so that Grad-CAM needs no torch there.
Other nets and explainers go through the grad-cam package, which is given the net's end alone: its backward pass stops
at the features.

To add one: a line in `EXPLAINERS`, and its name in `fer.inference.schema`, which must not wait for torch.
"""

import copy
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from fer.models.maps import finish


def explain(explainer: str, net: nn.Module, features: Tensor, targets: Tensor) -> np.ndarray:
    """Return where each face speaks for its target class, at the resolution of the features, not scaled yet.

    Works inside `no_grad` and `inference_mode` and from several threads, and leaves the net as it was.

    Args:
        explainer: one of `EXPLAINERS`.
        net: in eval mode, its weights frozen.
        features: (B, C, h, w), what `net.forward_features` returned; B at least 1.
        targets: (B,) int64; eigencam knows no classes and passes over them.

    Returns:
        (B, h, w) float32, for `finish`.
    """
    return EXPLAINERS[explainer](net, features, targets).float().cpu().numpy()


def heatmaps(net: nn.Module, inputs: Tensor, targets: Tensor) -> np.ndarray:
    """Return Grad-CAM heatmaps of faces, in float32 whatever the net's type and mode, which stay as they are.

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
        features = net.forward_features(inputs.float())
        return finish(explain("gradcam", net, features, targets), inputs.shape[2])


def grad_cam(net: nn.Module, features: Tensor, targets: Tensor) -> Tensor:
    """Return Grad-CAM's maps (B, h, w) in closed form; the mathematics stand at the top of this file."""
    weights = net.head.weight[targets] / features[0, 0].numel()  # (B, C)
    return torch.einsum("bc,bchw->bhw", weights, features)


class _Head(nn.Module):
    """The net behind its features, with a layer of its own for the package's hooks."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.features, self.net = nn.Identity(), net

    def forward(self, x: Tensor) -> Tensor:
        return self.net.forward_head(self.features(x))


def _by_gradients(name: str, net: nn.Module, features: Tensor, targets: Tensor) -> Tensor:
    """Explain by a class of the grad-cam package."""
    import pytorch_grad_cam  # seconds
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with torch.inference_mode(False), torch.enable_grad():
        head = _Head(net)
        cam = getattr(pytorch_grad_cam, name)(head, [head.features])
        leaf = features.detach().clone().requires_grad_()  # a clone, as inference tensors have no gradients
        maps = cam(leaf, [ClassifierOutputTarget(label) for label in targets.tolist()])
    return torch.from_numpy(maps).to(features.device)


def _grad_cam(net: nn.Module, features: Tensor, targets: Tensor) -> Tensor:
    explain = grad_cam if net.pools_linearly else partial(_by_gradients, "GradCAM")
    return explain(net, features, targets)


def _eigen_cam(net: nn.Module, features: Tensor, targets: Tensor) -> Tensor:
    """Project each face's features on their first principal component (Muhammad and Yeasin, Eigen-CAM, 2020).

    A component's sign is arbitrary, and the wrong one would light up the background: here it is the one with which the
    map is bright where the features are strong.
    """
    pixels = features.float().flatten(2).transpose(1, 2)  # (B, h * w, C)
    centred = pixels - pixels.mean(1, keepdim=True)
    first = torch.linalg.svd(centred, full_matrices=False).Vh[:, 0]  # (B, C)
    maps = torch.einsum("bpc,bc->bp", centred, first)  # (B, h * w), each of mean 0
    wrong = (maps * pixels.mean(2)).sum(1, keepdim=True) < 0
    return torch.where(wrong, -maps, maps).reshape(len(features), *features.shape[2:])


EXPLAINERS: dict[str, Callable[[nn.Module, Tensor, Tensor], Tensor]] = {
    "gradcam": _grad_cam,
    "gradcam++": partial(_by_gradients, "GradCAMPlusPlus"),
    "layercam": partial(_by_gradients, "LayerCAM"),
    "eigencam": _eigen_cam,
}
