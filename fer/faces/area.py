"""The part of a picture in which faces are searched: a streamer's corner, a door, one half of a split screen."""

from collections.abc import Callable

import cv2
import numpy as np

from fer.faces.detection import Detection

GRAY = (160, 160, 160)

Shares = tuple[float, ...]  # left, top, width and height of a part, of the picture's width and height


def search_in(area: Shares | None, find: Callable[[np.ndarray], list[Detection]], image: np.ndarray) -> list[Detection]:
    """Return the faces of an image (H, W, 3) whose middle lies in a part of it, in pixels of the whole.

    `find` is given the part with half of its size around, so that faces at its edge are whole; None is all of it.
    """
    if area is None:
        return find(image)
    height, width = image.shape[:2]
    left, top, right, bottom = _edges(area, width, height)
    beside, above = (right - left) // 2, (bottom - top) // 2
    x, y = max(left - beside, 0), max(top - above, 0)
    found = find(image[y : min(bottom + above, height), x : min(right + beside, width)])
    faces = (_moved(face, x, y) for face in found)
    return [face for face in faces if left <= face.middle[0] <= right and top <= face.middle[1] <= bottom]


def framed(area: Shares | None, image: np.ndarray) -> np.ndarray:
    """Return an image (H, W, 3) uint8 with a thin frame around the part; as it is, if that is all of it."""
    if area is None:
        return image
    left, top, right, bottom = _edges(area, *image.shape[1::-1])
    return cv2.rectangle(image.copy(), (left, top), (right - 1, bottom - 1), GRAY, 1)


def _edges(area: Shares, width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom in pixels; at least one pixel lies between."""
    left, top = min(round(area[0] * width), width - 1), min(round(area[1] * height), height - 1)
    right, bottom = round((area[0] + area[2]) * width), round((area[1] + area[3]) * height)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _moved(face: Detection, left: int, top: int) -> Detection:
    x, y, width, height = face.box
    landmarks = None if face.landmarks is None else face.landmarks + np.float32((left, top))
    return face._replace(box=(x + left, y + top, width, height), landmarks=landmarks)
