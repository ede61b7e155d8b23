"""What every net is fed: normalised grayscale faces, and the views of them that test-time augmentation averages."""

import torch
from torch import Tensor

# Side of ten-crop's views over the face's. On PublicTest (n = 2,982), with the weights of experiment=laptop, 40, 42,
# 44, 46 and 47 of 48 pixels score 69.9, 70.9, 71.8, 72.2 and 72.1 %; the faces alone 71.6 and mirrored too 72.0.
CROP = 46 / 48


def normalise(images: Tensor, mean: float, std: float) -> Tensor:
    """Turn images (B, H, W) uint8 into net input (B, 1, H, W) float32; `mean` and `std` are of gray in [0, 1]."""
    return ((images.float() - 255 * mean) / (255 * std)).unsqueeze(1)


def views(inputs: Tensor, kind: str) -> list[Tensor]:
    """Return the views (B, 1, h, w) of net input (B, 1, H, W) that are averaged.

    Args:
        inputs: normalised faces.
        kind: "flip" (the faces, and mirrored), or "tencrop" (four corners and the centre, and mirrored, at `CROP` of
            the side; the net pools over whatever size it gets).
    """
    if kind == "flip":
        return [inputs, inputs.flip(3)]
    height, width = inputs.shape[2:]
    side = min(round(CROP * height), height - 1)
    y, x = height - side, width - side
    corners = [(0, 0), (0, x), (y, 0), (y, x), (y // 2, x // 2)]
    crops = [inputs[:, :, top : top + side, left : left + side] for top, left in corners]
    return [*crops, *(crop.flip(3) for crop in crops)]


def average_logits(logits: list[Tensor]) -> Tensor:
    """Average the probabilities of several views, V times (B, C), and return their logarithms (B, C)."""
    return torch.stack(logits).float().softmax(2).mean(0).clamp_min(1e-12).log()
