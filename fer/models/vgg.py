"""A plain convolutional net, VGG's: what the residual and squeeze-and-excitation blocks are compared with.

Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2015; with batch norm after
each convolution (Ioffe & Szegedy, 2015), and one hidden layer of a few hundred units in place of two of 4,096, behind
average pooling, so that faces of any size are taken.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class VGG(nn.Module):
    """Map normalised grayscale faces (B, 1, H, W) to logits (B, classes).

    Args:
        classes: number of emotions.
        widths: channels of each stage; max pooling between the stages halves the resolution.
        depths: 3x3 convolutions of each stage, as many numbers as `widths`.
        hidden: units of the hidden layer.
        dropout: share of the hidden units that is zeroed in training.

    Raises:
        ValueError: if `widths` and `depths` differ in length.
    """

    pools_linearly = False  # the hidden layer stands between the pooled features and the logits

    def __init__(
        self,
        classes: int,
        widths: tuple[int, ...] = (32, 64, 128, 256),
        depths: tuple[int, ...] = (2, 2, 2, 2),
        hidden: int = 256,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths):
            raise ValueError(f"expected as many depths as widths, but got {depths} for {widths}")
        layers, inputs = [], 1
        for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            if index:
                layers.append(nn.MaxPool2d(2))
            for _ in range(depth):
                layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)]
                inputs = width
        self.stages = nn.Sequential(*layers)
        self.hidden = nn.Linear(inputs, hidden)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def layers(self) -> list[nn.Module]:
        """Return the stages, each but the first with the pooling before it."""
        parts: list[list[nn.Module]] = [[]]
        for layer in self.stages:
            parts += [[]] if isinstance(layer, nn.MaxPool2d) else []
            parts[-1].append(layer)
        return [nn.Sequential(*part) for part in parts]

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last stage's output (B, C, h, w), never below zero."""
        return self.stages(x)

    def forward_head(self, features: Tensor) -> Tensor:
        """Return the logits (B, classes) of a last stage's output."""
        return self.head(self.dropout(F.relu(self.hidden(features.mean((2, 3))))))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))
