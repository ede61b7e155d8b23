"""Where labels and bars go: inside the picture, and if there is room on no face and no other text."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Rectangle = tuple[int, int, int, int]  # x, y, width, height in pixels
Size = tuple[int, int]  # width and height in pixels


class Card(NamedTuple):
    """What is written about one face, and where.

    Attributes:
        box: of the face, in whole pixels of the drawn picture.
        label: where its label is.
        words: the label.
        size: of the label's letters, in pixels.
        colour: of box and label, (blue, green, red).
        probabilities: (C,) float32.
    """

    box: Rectangle
    label: Rectangle
    words: str
    size: int
    colour: tuple[int, int, int]
    probabilities: np.ndarray


def covered(rectangles: Sequence[Rectangle], others: Sequence[Rectangle]) -> np.ndarray:
    """Return how many pixels (K, N) each of K rectangles has in common with each of N others."""
    first = np.array(rectangles).reshape(-1, 1, 4)
    second = np.array(others).reshape(1, -1, 4)
    ends = np.minimum(first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:])
    common = np.maximum(ends - np.maximum(first[..., :2], second[..., :2]), 0)  # (K, N, 2)
    return common[..., 0] * common[..., 1]


def label_spot(
    box: Rectangle, sizes: Sequence[Size], picture: Size, taken: Sequence[Rectangle]
) -> tuple[int, Rectangle]:
    """Choose among forms of a label, and put it above or below its face.

    Args:
        box: the face.
        sizes: of the forms, the best one first.
        picture: its size.
        taken: the other faces and the labels that have their place.

    Returns:
        The number of the form and its place: the first that covers nothing, or the one that covers least.
    """
    x, y, _, h = box
    spots = [
        _inside((x - height // 12, top, width, height), picture)  # flush with the line round the face
        for width, height in sizes
        for top in (y - height, y + h)
    ]
    outside = np.prod([spot[2:] for spot in spots], 1) - covered(spots, [(0, 0, *picture)])[:, 0]
    lost = outside + covered(spots, taken).sum(1)
    best = int(lost.argmin())
    return best // 2, spots[best]


def bars_spot(card: Card, size: Size, picture: Size, taken: Sequence[Rectangle], own: float) -> Rectangle | None:
    """Return where the bars of a face go: right, left, below, above, in a lower corner of it, or nowhere (None).

    Args:
        card: the face and its label.
        size: of the bars.
        picture: its size.
        taken: the other faces, all labels and the bars that have their place.
        own: share of the face that may be covered if it is larger than its bars.
    """
    (x, y, w, h), label, (width, height), gap = card.box, card.label, size, max(card.size // 3, 2)
    if width > picture[0] or height > picture[1]:
        return None
    left, right = min(x, label[0]) - gap, max(x + w, label[0] + label[2]) + gap
    top, bottom = min(y, label[1]) - gap, max(y + h, label[1] + label[3]) + gap
    beside = [(right, y), (left - width, y)]
    beyond = [(over, down) for down in (bottom, top - height) for over in (x, x + w - width)]
    within = [(over, y + h - height - gap) for over in (x + w - width - gap, x + gap)]
    spots = [_inside((*corner, width, height), picture) for corner in (*beside, *beyond, *within)]
    common = covered(spots, [card.box, *taken])
    shares = np.where(common[:, 1:].any(1), np.inf, common[:, 0] / (w * h))
    best = int(shares.argmin())
    return spots[best] if shares[best] <= (own if w * h > width * height else 0) else None


def _inside(rectangle: Rectangle, picture: Size) -> Rectangle:
    """Move a rectangle into the picture."""
    x, y, w, h = rectangle
    return max(0, min(x, picture[0] - w)), max(0, min(y, picture[1] - h)), w, h
