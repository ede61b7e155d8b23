"""What the parts of the pipeline hand to each other."""

from typing import NamedTuple

import numpy as np

from fer.faces.detection import CropRegion, Detection

LARGEST = 139_264 * 16**2  # pixels of a picture of H.264's highest level, 6.2; 8K, 7680x4320, has 33 million
BOUNDED = {"max_pixels": str(11 * LARGEST // 10)}  # for decoders, which count borders too


class Frame(NamedTuple):
    """One picture of a source.

    Attributes:
        index: from 0, counted over all frames of the source.
        time: seconds from the first frame.
        image: (H, W, 3) uint8, blue-green-red as OpenCV has it, turned upright, of at most `LARGEST` pixels; None if it
            could not be decoded.
    """

    index: int
    time: float
    image: np.ndarray | None


def room(width: int, height: int, most: int) -> int:
    """Return how many frames of a size may wait for the next step: `most`, but few of large ones, to bound memory."""
    return max(1, min(most, LARGEST // max(1, width * height)))


def too_large(width: int, height: int) -> str | None:
    """Say, as the end of a sentence, that pictures have more than `LARGEST` pixels; None if they have not."""
    if width * height <= LARGEST:
        return None
    return f"its pictures are {width}x{height}, more than {LARGEST / 1e6:.0f} million pixels (8K is 7680x4320)"


class FaceResult(NamedTuple):
    """All that is known about one face in one frame: what is drawn and recorded.

    Attributes:
        face: where it is.
        region: the square that the net looked at, which the heatmap covers.
        track: its number from 1, the same while it is in sight; None for single images.
        probabilities: (C,) float32, in the order of the weights' classes; smoothed over time in a track.
        emotion: the answer, a class name or `NOT_SURE`.
        heatmap: (S, S) float32 in [0, 1] over `region`; None without an explainer.
        crop: (S, S) uint8 gray, what the net looked at.
    """

    face: Detection
    region: CropRegion
    track: int | None
    probabilities: np.ndarray
    emotion: str
    heatmap: np.ndarray | None
    crop: np.ndarray
