"""Faces in larger pictures that nobody has to take, corrupted as a whole, searched and cut out as by infer.py."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from fer.data.official import SIDE
from fer.evaluation.detector_cost import ENLARGED, FRAME, find_faces
from fer.evaluation.robustness.corruptions import Place
from fer.faces.crops import cut, region
from fer.faces.detection import CropRegion, Detection
from fer.faces.detectors import Detector
from fer.faces.schema import Crop
from fer.faces.search import search

WIDTH, HEIGHT = 320, 240  # pixels
SMALLEST, LARGEST = SIDE, 128  # the face's side, in pixels; none has fewer than FER2013's own


class Picture(NamedTuple):
    """A gray picture (240, 320) uint8 with a face in its middle, where it stays when the picture is turned."""

    image: np.ndarray
    place: Place


def find_places(images: Iterable[np.ndarray], detector: Detector, usual: Place) -> tuple[list[Place], int]:
    """Return where each face of N crops (S, S) is: by the detector's landmarks, or as usual where it finds none.

    Returns:
        The places, and how many have landmarks of their own.
    """
    places = []
    for face in find_faces(images, detector):
        own = face is not None and face.landmarks is not None
        shares = (face.landmarks - FRAME) / ENLARGED if own else None
        inside = own and shares.min() > 0 and shares.max() < 1
        places.append(Place(usual.side, shares * usual.side) if inside else usual)
    return places, sum(place is not usual for place in places)


def picture_of(face: np.ndarray, place: Place, seed: int, row: int) -> Picture:
    """Return a face (S, S) uint8 enlarged to 48 to 128 pixels, by chance, before a soft gray and grainy wall."""
    rng = np.random.default_rng((seed, row))
    side = round(SMALLEST * (LARGEST / SMALLEST) ** rng.random())
    coarse = rng.uniform(60, 190, (4, 5)).astype(np.float32)
    wall = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    wall += 4 * rng.standard_normal(wall.shape, np.float32)
    image = np.clip(np.rint(wall), 0, 255).astype(np.uint8)
    left, top = (WIDTH - side) // 2, (HEIGHT - side) // 2
    image[top : top + side, left : left + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    return Picture(image, Place(side, place.landmarks * side / place.side + np.float32((left, top))))


def look(picture: Picture, detector: Detector, crop: Crop) -> CropRegion | None:
    """Return the square that infer.py cuts out for the face of a picture, None if it is not found.

    Found it is by a box whose middle lies in the middle half of it, the one of highest score.
    """
    faces = search(detector, cv2.cvtColor(picture.image, cv2.COLOR_GRAY2BGR))
    found = next((face for face in faces if _is_it(face, picture.place.side)), None)  # by falling score
    return region(found, crop.margin, crop.shift, crop.rotate) if found else None


def _is_it(face: Detection, side: float) -> bool:
    x, y = face.middle
    return max(abs(x - WIDTH / 2), abs(y - HEIGHT / 2)) < side / 4


def crops_of(pictures: Sequence[Picture], squares: Sequence[CropRegion | None], size: int) -> np.ndarray:
    """Return the found faces, K of N, as (K, size, size) uint8."""
    found = zip(pictures, squares, strict=True)
    crops = [cut(picture.image, square, size) for picture, square in found if square]
    return np.stack(crops) if crops else np.empty((0, size, size), np.uint8)
