"""From an architecture's name and arguments to its net.

A net maps normalised gray faces (B, 1, H, W) to logits (B, classes) and has, as timm's nets do,

- `forward_features(x)`: the last feature maps (B, C, h, w), what the explainers look at;
- `forward_head(features)`: the logits (B, classes) of these;
- `head`: the last linear layer, whose rows are the classes;
- `pools_linearly`: whether the logits are the head's of the features' means, which gives Grad-CAM a closed form.

To add one: a file beside this one, a line in `NETS`, its arguments in `fer.architectures`, a file in conf/model.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from fer.models.se_resnet import SEResNet
from fer.models.timm_net import TimmNet
from fer.models.vgg import VGG

NETS: dict[str, Callable[..., nn.Module]] = {
    "se_resnet": SEResNet,
    "vgg": VGG,
    "timm": TimmNet,
}


def build_net(classes: int, architecture: Mapping[str, Any], **start: Any) -> nn.Module:
    """Return a net that has learned nothing, unless `start` asks for a start that its architecture knows.

    Args:
        classes: number of emotions.
        architecture: the arguments, and `name`, a key of `NETS`; without it the SE-ResNet.
        start: arguments that a weights file does not keep: `pretrained` of timm's nets.

    Raises:
        ValueError: for arguments that make no net.
        ImportError: if the library that has the net is not installed, in a sentence.
    """
    arguments = dict(architecture)
    return NETS[arguments.pop("name", "se_resnet")](classes, **arguments, **start)
