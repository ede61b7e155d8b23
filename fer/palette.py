"""One colour per class, the same in frames, window and timeline.

The emotions have Okabe and Ito's colours, moved a little so that any two stay at least 24 apart (CIE 1976) for readers
with normal, red-blind, green-blind and blue-blind eyes (Machado et al. 2009); each has a contrast of at least 3 to
black and 1.8 to white. Thin lines and text on a bright picture need a dark rim. Classes of other names get what is
farthest from all of these, for the same eyes and in the same limits: the first is 29 from its nearest, the twelfth 13.
"""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from fer.emotions import NOT_SURE

Colour = tuple[int, int, int]  # red, green, blue

COLOURS: dict[str, Colour] = {
    "angry": (213, 94, 0),
    "disgust": (2, 157, 109),
    "fear": (210, 101, 181),
    "happy": (242, 188, 23),
    "sad": (0, 91, 193),
    "surprise": (51, 203, 255),
    "neutral": (195, 195, 194),
    "contempt": (142, 69, 40),
    NOT_SURE: (88, 88, 100),
}
EYES = np.float32(  # normal, red-blind, green-blind and blue-blind: what they see of linear red, green and blue
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
    ]
)


def colours(classes: Sequence[str]) -> dict[str, Colour]:
    """Return the colour of each class of a net and of `NOT_SURE`.

    The emotions have the same in every net; the other classes get theirs by their order among themselves.
    """
    return _colours(tuple(classes))


@lru_cache(8)
def _colours(classes: tuple[str, ...]) -> dict[str, Colour]:
    others = [name for name in classes if name not in COLOURS]
    return COLOURS | dict(zip(others, _farthest(len(others)) if others else (), strict=True))


def _farthest(count: int) -> list[Colour]:
    """Return colours, each as far as can be from the emotions' and from those before it."""
    steps = np.arange(0, 256, 17)
    known = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    luminance = _linear(known) @ np.float32((0.2126, 0.7152, 0.0722))
    known = known[(luminance > 3 * 0.05 - 0.05) & (luminance < 1.05 / 1.8 - 0.05)]
    seen, chosen = _seen(known), []
    nearest = np.min([_apart(seen, one) for one in _seen(np.array(list(COLOURS.values()))).swapaxes(0, 1)], 0)
    for _ in range(count):
        best = int(nearest.argmax())
        chosen.append(tuple(known[best].tolist()))
        nearest = np.minimum(nearest, _apart(seen, seen[:, best]))
    return chosen


def _linear(values: np.ndarray) -> np.ndarray:
    """Return the linear light, in [0, 1], of sRGB values in [0, 255]."""
    shares = np.float32(values) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _seen(values: np.ndarray) -> np.ndarray:
    """Return colours (N, 3) as the four kinds of eyes see them, in CIE L*a*b*: (4, N, 3)."""
    light = (_linear(values) @ EYES.transpose(0, 2, 1)).clip(0, 1)
    return cv2.cvtColor(light, cv2.COLOR_LRGB2LAB)


def _apart(seen: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Return how far colours (4, N, 3) are from one (4, 3), for the eyes that tell them apart worst: (N,)."""
    return np.linalg.norm(seen - one[:, None], axis=2).min(0)
