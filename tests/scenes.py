"""Pictures of drawn faces in known places, and the records of what was seen in them."""

import json
from pathlib import Path

import cv2
import numpy as np

from fer.data.synthetic import draw_faces

PLACES = ((30, 40, 170), (280, 100, 160))  # left, top and side of the drawn faces in a scene


def scene(step: int = 0, places=PLACES) -> np.ndarray:
    """Return a picture of 480x320 with drawn faces, moved to the right by `step` pixels."""
    picture = np.full((320, 480), 128, np.uint8)
    for left, top, side in places:
        face = draw_faces(1, side, seed=3)[0][0]
        part = picture[top : top + side, left + step : left + step + side]
        part[:] = face[:, : part.shape[1]]
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]
