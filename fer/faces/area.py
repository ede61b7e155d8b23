"""The part of a picture in which faces are searched: a streamer's corner, a door, one half of a split screen."""

from collections.abc import Callable

import cv2
import numpy as np

from fer.faces.detection import Detection

GRAY = (160, 160, 160)

Shares = tuple[float, ...]  # left, top, width and height of a part, of the picture's width and height


def search_in(area: Shares | None, find: Callable[[np.ndarray], list[Detection]], image: np.ndarray) -> list[Detection]:
    """Return what `find` finds in a part of an image (H, W, 3), in pixels of the whole; None is all of it."""
    if area is None:
        return find(image)
    left, top, right, bottom = _edges(area, *image.shape[1::-1])
    return [_moved(face, left, top) for face in find(image[top:bottom, left:right])]


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
