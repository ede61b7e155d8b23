"""Sheets of faces: many small pictures in one figure, with captions."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from fer.evaluation.plot_style import DPI, INK, MUTED, WIDTH

Images = Tensor | np.ndarray


def gray_levels(images: Images) -> np.ndarray:
    """Return (B, H, W) floats in [0, 1]; normalised images are scaled together, so that brightness stays comparable."""
    images = torch.as_tensor(images).detach().cpu()
    images = images.reshape(len(images), *images.shape[-2:])
    if images.dtype == torch.uint8:
        return images.numpy() / 255
    images = images.float().numpy()
    low, high = images.min(initial=np.inf), images.max(initial=-np.inf)
    return (images - low) / max(high - low, 1e-6)


def sheet(tiles: np.ndarray, captions: Sequence[str], title: str, columns: int) -> Figure:
    """Lay (B, H, W) gray or (B, H, W, 3) tiles out with captions below; a caption's first line is bold.

    One axes whose units are inches holds all: an axes for each tile takes ten times as long.
    """
    margin, gap, head, line = 0.15, 0.12, 0.55, 0.19
    width = (WIDTH - 2 * margin + gap) / columns - gap
    tall = width * tiles.shape[1] / tiles.shape[2]
    below = line * max(caption.count("\n") + 1 for caption in captions) + 0.16 if any(captions) else gap
    height = head + -(-len(tiles) // columns) * (tall + below) + 0.05
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.text(margin, 0.17, title, va="top", fontsize=14, fontweight="bold", color=INK)
    for index, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        x, y = margin + index % columns * (width + gap), head + index // columns * (tall + below)
        extent = (x, x + width, y + tall, y)
        axes.imshow(tile, cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto", interpolation="bicubic")
        for number, text in enumerate(caption.split("\n")):
            style = {"fontweight": "bold", "color": INK} if number == 0 else {"color": MUTED}
            axes.text(x, y + tall + 0.05 + line * number, text, va="top", fontsize=10.5, **style)
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    return figure
