"""Where labels and bars go, and how large: they can be read, and cover no face and no other text."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from fer.faces.detection import Rectangle, covered
from fer.inference.draw.blend import SMALLEST

Size = tuple[int, int]  # width and height in pixels

SCREEN = (1500, 1125)  # pixels as which one looks at a larger picture, whichever way it is turned
STEP = 1.25  # from one size of letters to the next: the text must not tremble with the box
LARGEST = 0.03  # size of letters over the picture's shorter side
OF_FACE = 0.1  # size of letters over the height of a face, where both bounds let it be so
OWN = 0.1  # share of a face that its label may cover where all around has no room


class Card(NamedTuple):
    """What is written about one face, and where.

    Attributes:
        box: of the face, in whole pixels of the drawn picture.
        size: of the letters of label and bars, in pixels.
        words: of the label.
        label: where it is; None where there is no room.
        colour: of box and label, (blue, green, red).
        probabilities: (C,) float32.
        bars: where they are; None where there is no room.
    """

    box: Rectangle
    size: int
    words: str
    label: Rectangle | None
    colour: tuple[int, int, int]
    probabilities: np.ndarray
    bars: Rectangle | None = None


def readable(picture: Size) -> int:
    """Return the size of the smallest letters, in pixels, that one can read when the whole picture is on a screen."""
    short, long = sorted(picture)
    long = min(long, 2 * short)  # one looks at longer ones part by part
    return math.ceil(SMALLEST * max(1, long / SCREEN[0], short / SCREEN[1]))


def letter_sizes(picture: Size, height: float) -> list[int]:
    """Return the sizes of letters, in pixels, that suit a face of that height: the best one, and smaller ones."""
    sizes = _steps(picture)
    return [size for size in sizes if size <= OF_FACE * height * STEP**0.5] or sizes[-1:]


@lru_cache(64)
def _steps(picture: Size) -> list[int]:
    """Return all sizes of letters in a picture, the largest first, each about `STEP` times the next."""
    least = readable(picture)
    largest = max(LARGEST * min(picture), least)
    count = 1 + round(math.log(largest / least, STEP))
    return [round(size) for size in np.geomspace(least, largest, count)[::-1]]


def label_spot(
    box: Rectangle, size: Size, picture: Size, taken: Sequence[Rectangle], own: bool = False
) -> Rectangle | None:
    """Return where a label goes: above or below its face, or at its upper or lower edge; None if there is no room.

    Args:
        box: the face.
        size: of the label.
        picture: its size.
        taken: the other faces and the labels that have their place.
        own: whether it may lie on its own face, of which it then covers at most the share `OWN`.
    """
    (x, y, _, h), (width, height) = box, size
    tops = (y, y + h - height) if own else (y - height, y + h)
    spots = [(x - height // 12, top, width, height) for top in tops]  # flush with the line round the face
    return _first_free(spots, picture, box, taken, OWN if own else 0.0)


def bars_spot(
    box: Rectangle, label: Rectangle | None, size: Size, picture: Size, taken: Sequence[Rectangle], gap: int
) -> Rectangle | None:
    """Return where the bars of a face go: right, left, below or above; None if there is no room.

    Args:
        box: the face.
        label: its label.
        size: of the bars.
        picture: its size.
        taken: the other faces, their labels and the bars that have their place.
        gap: from the face or its label to the bars, in pixels.
    """
    (x, y, w, h), (width, height) = box, size
    own = [label] if label else []
    top = min([y, *(place[1] for place in own)]) - gap - height
    bottom = max([y + h, *(place[1] + place[3] for place in own)]) + gap
    beside = [(over, down) for over in (x + w + gap, x - gap - width) for down in (y, y + h - height)]
    beyond = [(over, down) for down in (bottom, top) for over in (x, x + w - width)]
    spots = [(*corner, width, height) for corner in (*beside, *beyond)]
    return _first_free(spots, picture, box, [*own, *taken])


def _first_free(
    spots: Sequence[Rectangle], picture: Size, box: Rectangle, taken: Sequence[Rectangle], share: float = 0.0
) -> Rectangle | None:
    """Move places into the picture, and return the first that covers at most a share of the face and nothing else."""
    spots = [_inside(spot, picture) for spot in spots]
    common = covered(spots, [box, (0, 0, *picture), *taken])
    most = share * covered([box], [(0, 0, *picture)])[0, 0]
    whole = common[:, 1] == spots[0][2] * spots[0][3]
    free = whole & (common[:, 0] <= most) & ~common[:, 2:].any(1)
    return spots[int(free.argmax())] if free.any() else None


def _inside(rectangle: Rectangle, picture: Size) -> Rectangle:
    """Move a rectangle into the picture."""
    x, y, w, h = rectangle
    return max(0, min(x, picture[0] - w)), max(0, min(y, picture[1] - h)), w, h
