"""Where a face is in a picture, and the square of it that a net looks at."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Rectangle = tuple[int, int, int, int]  # x, y, width, height in pixels


class Detection(NamedTuple):
    """One face in one frame.

    Attributes:
        box: x, y, width, height in pixels of the frame; may reach beyond its border.
        score: of the detector, in [0, 1].
        landmarks: (5, 2) float32 in pixels: right eye, left eye, nose, right and left corner of the mouth, right being
            the person's own; None if the detector gives none.
        turn: degrees by which the frame lies turned clockwise, and the face with it: 0, 90, 180 or 270.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray | None = None
    turn: int = 0

    @property
    def middle(self) -> tuple[float, float]:
        """x, y of the box's middle, in pixels of the frame."""
        x, y, width, height = self.box
        return x + width / 2, y + height / 2


class CropRegion(NamedTuple):
    """The upright square, perhaps turned, that is cut out for one face.

    Attributes:
        centre: x, y in pixels of the frame.
        side: in pixels.
        angle: degrees by which the face is turned clockwise in the frame.
    """

    centre: tuple[float, float]
    side: float
    angle: float = 0.0


def covered(rectangles: Sequence[Rectangle], others: Sequence[Rectangle]) -> np.ndarray:
    """Return how many pixels (K, N) each of K rectangles has in common with each of N others."""
    first = np.array(rectangles).reshape(-1, 1, 4)
    second = np.array(others).reshape(1, -1, 4)
    ends = np.minimum(first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:])
    common = np.maximum(ends - np.maximum(first[..., :2], second[..., :2]), 0)  # (K, N, 2)
    return common[..., 0] * common[..., 1]
