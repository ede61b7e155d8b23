"""The SE-ResNet: ResNet basic blocks with squeeze-and-excitation, for small grayscale faces.

He et al., Deep Residual Learning for Image Recognition, 2016 (basic block);
Hu et al., Squeeze-and-Excitation Networks, 2018 (channel attention after the second convolution);
He et al., Bag of Tricks for Image Classification, 2019 (average pooling before a halving shortcut);
Huang et al., Deep Networks with Stochastic Depth, 2016 (`drop_path`).

The net ends in global average pooling and one linear layer, so Grad-CAM on the last stage has a closed form.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate in (0, 1) that is computed from all channels' means."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = x.mean((2, 3))  # (B, C)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(gate))))
        return x * gate[:, :, None, None]


class DropPath(nn.Module):
    """Leave a whole residual branch out for a random share of the samples (training only)."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.probability == 0:
            return x
        keep = 1 - self.probability
        return x * x.new_empty(len(x), 1, 1, 1).bernoulli_(keep).div_(keep)


class Block(nn.Module):
    """Two 3x3 convolutions with batch norm, squeeze-and-excitation, and a shortcut around them."""

    def __init__(self, inputs: int, outputs: int, stride: int, reduction: int, drop_path: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.attention = SqueezeExcitation(outputs, reduction)
        self.drop_path = DropPath(drop_path)
        self.shortcut = nn.Sequential()
        if stride != 1:
            # A strided 1x1 convolution would drop 3 of 4 pixels, and its gradient is wrong or crashes in oneDNN 3.x
            # on CPUs for fewer than 16 channels (uxlfoundation/oneDNN#6035).
            self.shortcut.append(nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False))
        if inputs != outputs:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, bias=False)).append(nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.drop_path(self.attention(self.norm2(self.conv2(y))))
        return F.relu(y + self.shortcut(x))


class SEResNet(nn.Module):
    """Map normalised grayscale faces (B, 1, H, W) to logits (B, classes).

    Args:
        classes: number of emotions.
        widths: channels of each stage; every stage but the first halves the resolution.
        depths: blocks of each stage, as many numbers as `widths`.
        stem_stride: 1 keeps the input's resolution in the first stage, 2 halves it (4 times less work).
        reduction: ratio between a stage's channels and the hidden units of its squeeze-and-excitation.
        dropout: share of the pooled features that is zeroed in training.
        drop_path: share of residual branches left out at the last block; rises linearly from 0 at the first.

    Raises:
        ValueError: if `widths` and `depths` differ in length.
    """

    pools_linearly = True  # logits are the head's of the features' means: Grad-CAM has a closed form

    def __init__(
        self,
        classes: int,
        widths: tuple[int, ...] = (32, 64, 128, 256),
        depths: tuple[int, ...] = (2, 2, 2, 2),
        stem_stride: int = 1,
        reduction: int = 16,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths):
            raise ValueError(f"expected as many depths as widths, but got {depths} for {widths}")
        self.stem = nn.Sequential(
            nn.Conv2d(1, widths[0], 3, stem_stride, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        drops = iter(torch.linspace(0, drop_path, sum(depths), device="cpu").tolist())
        stages, inputs = [], widths[0]
        for index, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks = []
            for block in range(depth):
                stride = 2 if block == 0 and index > 0 else 1
                blocks.append(Block(inputs, width, stride, reduction, next(drops)))
                inputs = width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(inputs, classes)
        self._initialise()

    def _initialise(self) -> None:
        # Branches do not start as zero, as is often done: measured here, the first 400 steps then stay near chance.
        for module in self.modules():
            # A net without memory is filled by a file; torch's first draw of one imports for seconds.
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def layers(self) -> list[nn.Module]:
        """Return the stages, the stem with the first: one behind the other, they are `forward_features`."""
        first, *others = self.stages
        return [nn.Sequential(self.stem, first), *others]

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last stage's output (B, C, h, w), never below zero: what the explainers look at."""
        return self.stages(self.stem(x))

    def forward_head(self, features: Tensor) -> Tensor:
        """Return the logits (B, classes) of a last stage's output."""
        return self.head(self.dropout(features.mean((2, 3))))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))
