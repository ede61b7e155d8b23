"""The strip beside a picture that is a face as a whole: label and bars, which would lie on the face otherwise."""

from collections.abc import Sequence

import numpy as np

from fer.inference.draw import blend
from fer.inference.draw.bars import bar_metrics, draw_bars
from fer.inference.draw.blend import DARK, Colour
from fer.inference.draw.layout import readable

LETTERS = 0.02  # their size over the picture's shorter side, if it can be read


def add_strip(
    image: np.ndarray, words: str | None, colour: Colour, classes: Sequence[str], values: np.ndarray | None
) -> np.ndarray:
    """Return a picture with a dark strip at its right or lower edge, whichever makes the whole smaller.

    Args:
        image: (H, W, 3) uint8; its pixels keep their places.
        words: the label; None for none.
        colour: of the label.
        classes: C names.
        values: (C,) float32, their probabilities, drawn as bars; None for none.
    """
    height, width = image.shape[:2]
    letters = max(round(LETTERS * min(width, height)), readable((width, height)))
    gap = letters // 2
    label = blend.tag_size(words, letters) if words else (0, 0)
    bars = bar_metrics(tuple(classes), letters).size if values is not None else (0, 0)
    wide, high = max(label[0], bars[0]) + 2 * gap, label[1] + bars[1] + 2 * gap
    right, below = (width + wide, max(height, high)), (max(width, wide), height + high)
    size, corner = min((right, (width, 0)), (below, (0, height)), key=lambda choice: choice[0][0] * choice[0][1])
    canvas = np.full((size[1], size[0], 3), DARK, np.uint8)
    canvas[:height, :width] = image
    x, y = corner[0] + gap, corner[1] + gap
    if words:
        blend.tag(canvas, (x, y, *label), words, letters, colour)
    if values is not None:
        draw_bars(canvas, (x, y + label[1], *bars), letters, classes, values)
    return canvas
