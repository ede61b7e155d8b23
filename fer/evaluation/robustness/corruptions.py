"""What spoils a picture of a face: nine corruptions, two things worn before it, and other frames.

After Hendrycks & Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, 2019, but
in OpenCV and NumPy alone, for gray faces of 48 pixels, and seeded. Lengths are shares of the face's side, so that a
strength does the same to a crop and to a photo of any size; noise and JPEG work on the photo's own pixels.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from fer.data.decoding import resize
from fer.data.official import SIDE

STRENGTHS = range(1, 6)
# Right eye, left eye, nose, right and left corner of the mouth, the person's own, as shares of the image's side: means
# of YuNet's on PublicTest (580 of 600 faces), which it finds within 0.08 of them (standard deviation).
USUAL = np.array(((0.309, 0.373), (0.681, 0.372), (0.485, 0.586), (0.345, 0.758), (0.654, 0.755)), np.float32)


class Place(NamedTuple):
    """Where the face is in an image: its side as FER2013 cuts it, and landmarks (5, 2) as `Detection` has them."""

    side: float
    landmarks: np.ndarray


Apply = Callable[[np.ndarray, float, np.random.Generator, Place], np.ndarray]


class Corruption(NamedTuple):
    """One way of corrupting an image.

    Attributes:
        amounts: of the five strengths.
        unit: what they are.
        apply: makes of an image (H, W) uint8, an amount, chance and the face's place another image (H, W) uint8.
    """

    amounts: tuple[float, ...]
    unit: str
    apply: Apply


def _levels(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _blur(image: np.ndarray, amount: float, rng: np.random.Generator, place: Place) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), amount * place.side / SIDE, borderType=cv2.BORDER_REPLICATE)


def _motion_blur(image: np.ndarray, amount: float, rng: np.random.Generator, place: Place) -> np.ndarray:
    reach, angle = amount * place.side / SIDE / 2, rng.uniform(0, math.pi)
    middle = math.ceil(reach)
    kernel = np.zeros((2 * middle + 1,) * 2, np.float32)
    steps = np.linspace(-reach, reach, 8 * middle + 1)
    x, y = middle + steps * math.cos(angle), middle + steps * math.sin(angle)
    np.add.at(kernel, (np.rint(y).astype(int), np.rint(x).astype(int)), 1)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def _noise(image: np.ndarray, amount: float, rng: np.random.Generator, place: Place) -> np.ndarray:
    return _levels(image + amount * rng.standard_normal(image.shape, np.float32))


def _light(image: np.ndarray, amount: float, rng: np.random.Generator, place: Place) -> np.ndarray:
    return _levels(amount * image.astype(np.float32))


def _contrast(image: np.ndarray, amount: float, rng: np.random.Generator, place: Place) -> np.ndarray:
    mean = image.mean(dtype=np.float32)
    return _levels(mean + amount * (image - mean))


def _jpeg(image: np.ndarray, amount: float, rng: np.random.Generator, place: Place) -> np.ndarray:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(amount)])[1]
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


def _low_resolution(image: np.ndarray, amount: float, rng: np.random.Generator, place: Place) -> np.ndarray:
    height, width = image.shape
    share = amount / place.side
    if share >= 1:
        return image
    small = (max(round(share * width), 1), max(round(share * height), 1))
    return cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (width, height))


def _rotation(image: np.ndarray, amount: float, rng: np.random.Generator, place: Place) -> np.ndarray:
    height, width = image.shape
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), amount * rng.choice((-1, 1)), 1)
    return cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)


def _fill(image: np.ndarray, points: np.ndarray, level: float) -> np.ndarray:
    """Return an image with a polygon of points (P, 2) filled, its rim smooth."""
    bits = 4
    whole = np.rint((points - 0.5) * 2**bits).astype(np.int32)
    return cv2.fillPoly(image.copy(), [whole], level, cv2.LINE_AA, bits)


def _axes(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the middle between the eyes, the way from the right eye to the left, and that down to the mouth."""
    eyes, mouth = landmarks[:2].mean(0), landmarks[3:].mean(0)
    return eyes, landmarks[1] - landmarks[0], mouth - eyes


def _mask(image: np.ndarray, amount: float, rng: np.random.Generator, place: Place) -> np.ndarray:
    eyes, across, down = _axes(place.landmarks)
    outline = (
        *((-1.0, amount + 0.08), (-0.3, amount), (0, amount - 0.08), (0.3, amount), (1.0, amount + 0.08)),
        *((0.85, 1.2), (0.55, 1.6), (0, 1.8), (-0.55, 1.6), (-0.85, 1.2)),
    )
    points = np.array([eyes + x * across + y * down for x, y in outline])
    return _fill(image, points, rng.uniform(40, 230))


def _sunglasses(image: np.ndarray, amount: float, rng: np.random.Generator, place: Place) -> np.ndarray:
    eyes, across, down = _axes(place.landmarks)
    level, turn = rng.uniform(10, 50), np.linspace(0, 2 * math.pi, 24, endpoint=False)
    worn = image
    for side in (-0.5, 0.5):
        lens = [eyes + (side + 0.42 * np.cos(t)) * across + (0.05 + 0.36 * np.sin(t)) * down for t in turn]
        worn = _fill(worn, np.array(lens), level)
    seen = cv2.addWeighted(worn, amount, image, 1 - amount, 0)
    frame = [eyes + x * across + y * down for x, y in ((-1, -0.16), (1, -0.16), (1, -0.06), (-1, -0.06))]
    return _fill(seen, np.array(frame), level)


PIXELS = f"pixels, of a face of {SIDE}"
CORRUPTIONS = {
    "blur": Corruption((0.6, 1, 1.5, 2, 2.6), f"standard deviation, {PIXELS}", _blur),
    "motion blur": Corruption((4, 7, 10, 13, 17), f"length, {PIXELS}", _motion_blur),
    "noise": Corruption((8, 16, 26, 40, 60), "standard deviation, gray levels", _noise),
    "dark": Corruption((0.6, 0.4, 0.25, 0.15, 0.08), "times the light", _light),
    "bright": Corruption((1.2, 1.45, 1.75, 2.1, 2.6), "times the light, cut at white", _light),
    "contrast": Corruption((0.6, 0.4, 0.25, 0.15, 0.08), "times the contrast", _contrast),
    "JPEG": Corruption((40, 25, 15, 9, 5), "quality", _jpeg),
    "low resolution": Corruption((32, 24, 18, 13, 9), "pixels of the face's side", _low_resolution),
    "rotation": Corruption((9, 18, 27, 36, 45), "degrees, to either side", _rotation),
}
OCCLUSIONS = {
    "mask": Corruption((0.85, 0.7, 0.55, 0.4, 0.25), "upper edge, from the eyes (0) to the mouth (1)", _mask),
    "sunglasses": Corruption((0.4, 0.55, 0.7, 0.85, 1), "opacity", _sunglasses),
}
ALL = CORRUPTIONS | OCCLUSIONS


def usual_place(side: int) -> Place:
    """Return where a face is in a crop (side, side), if nobody has looked."""
    return Place(side, USUAL * side)


def corrupt(name: str, image: np.ndarray, strength: int, rng: np.random.Generator, place: Place) -> np.ndarray:
    """Return an image (H, W) uint8 with one of `ALL`, of strength 1 to 5.

    Args:
        name: of the corruption.
        image: the picture, which stays as it is.
        strength: 1 to 5.
        rng: chance, of which every strength takes the same: the same direction, the same grain of noise.
        place: where the face is.
    """
    chosen = ALL[name]
    return chosen.apply(image, chosen.amounts[strength - 1], rng, place)


def chance(seed: int, name: str, row: int) -> np.random.Generator:
    """Return the chance of one corruption of one face, whichever other faces and strengths there are."""
    return np.random.default_rng((seed, list(ALL).index(name), row))


def padded(image: np.ndarray, pixels: int) -> np.ndarray:
    """Return a face (S, S) seen with so many pixels of 48 more on each side, the border repeated, in the same size."""
    width = round(pixels * len(image) / SIDE)
    return resize(cv2.copyMakeBorder(image, *(width,) * 4, cv2.BORDER_REPLICATE), len(image))


def cut(image: np.ndarray, pixels: int) -> np.ndarray:
    """Return a face (S, S) seen with so many pixels of 48 fewer on each side, in the same size."""
    width = round(pixels * len(image) / SIDE)
    return resize(image[width : len(image) - width, width : len(image) - width], len(image))


AS_IS = "as it is"
FRAMINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    AS_IS: lambda image: image,
    "padded by 4": lambda image: padded(image, 4),
    "padded by 8": lambda image: padded(image, 8),
    "cut by 3": lambda image: cut(image, 3),
}
