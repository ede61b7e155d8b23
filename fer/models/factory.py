"""From an architecture's name and arguments to its net.

A net maps normalised gray faces (B, 1, H, W) to logits (B, classes) and has, as timm's nets do,

- `forward_features(x)`: the last feature maps (B, C, h, w), what the explainers look at;
- `layers()`, if earlier maps are to be explained, too: modules that are `forward_features`, one behind the other;
- `forward_head(features)`: the logits (B, classes) of these;
- `head`: the last linear layer, whose rows are the classes;
- `pools_linearly`: whether the logits are the head's of the features' means, which gives Grad-CAM a closed form.

It is built from the number of classes and its arguments by name, lists as tuples. To add one: a file beside this one, a
line in `NETS`, its arguments in `fer.architectures`, a file in conf/model; CONTRIBUTING.md has an example.
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


PARTS = ("forward_features", "forward_head", "head", "pools_linearly")


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
    if (name := arguments.pop("name", "se_resnet")) not in NETS:
        raise ValueError(f"expected a line for {name} in NETS of fer/models/factory.py, but there is none: add it")
    net = NETS[name](classes, **arguments, **start)
    if lacking := [part for part in PARTS if not (hasattr(type(net), part) or part in dict(net.named_children()))]:
        raise ValueError(
            f"expected a net with {', '.join(PARTS)}, but {type(net).__name__} has no {' and no '.join(lacking)}: "
            "fer/models/factory.py says what they are"
        )
    return net
