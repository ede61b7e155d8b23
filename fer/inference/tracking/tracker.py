"""Faces over time: which face is which, and where one scene ends."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fer.faces.detection import Detection

REACH = 1.0  # how far a face may be from where it was expected, in mean sides of the boxes
RATIO = 2.0  # how much a face's side may change between two sightings
INERTIA = 0.15  # seconds, time constant of a track's velocity: a box trembles by some per cent from frame to frame
SLOWEST = 2.0  # seconds between frames beyond which nothing is taken to go on, however low the frame rate
THUMBNAIL = 16  # pixels of the thumbnails that are compared: too few for people who move to matter
ALIKE = 0.5  # least correlation within a scene; on two film clips 0.77 and more, at their cuts 0.3 and less
FAINT = 12.0  # mean difference in gray levels that even a cut between dim scenes exceeds


@dataclass
class _Track:
    """A face that is followed; centre and size in pixels, velocity in pixels a second."""

    number: int
    centre: np.ndarray
    size: np.ndarray
    velocity: np.ndarray
    time: float
    missed: bool = False

    def expected(self, time: float) -> np.ndarray:
        """Where the face's centre would be now: straight on."""
        return self.centre + self.velocity * (time - self.time)

    def see(self, centre: np.ndarray, size: np.ndarray, time: float) -> None:
        passed = time - self.time
        if passed > 0:
            weight = 1 - math.exp(-passed / INERTIA)
            self.velocity = self.velocity + weight * ((centre - self.centre) / passed - self.velocity)
        self.centre, self.size, self.time, self.missed = centre, size, time, False


class SceneCutDetector:
    """Tell, frame by frame, where another scene begins; a change of brightness is none. 0.1 ms a frame."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None

    def is_cut(self, image: np.ndarray) -> bool:
        """Return whether a new scene begins with this frame (H, W, 3) uint8; the first frame is no cut."""
        before, self._before = self._before, _thumbnail(image)
        if before is None or np.abs(self._before - before).mean() < FAINT:
            return False
        one, other = before - before.mean(), self._before - self._before.mean()
        return float((one * other).sum()) < ALIKE * float(np.linalg.norm(one) * np.linalg.norm(other))


def _thumbnail(image: np.ndarray) -> np.ndarray:
    # Sampled first, as averaging over all pixels of a large frame takes many times as long.
    sampled = cv2.resize(image, (4 * THUMBNAIL, 4 * THUMBNAIL), interpolation=cv2.INTER_LINEAR)
    averaged = cv2.resize(sampled, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(averaged, cv2.COLOR_BGR2GRAY).astype(np.float32)


class Tracker:
    """Give each face of a clip a number, from 1, that it keeps; no number is given twice.

    A face is where its track was expected at constant velocity: overlap (IoU) less distance decides, for all faces of
    a frame at once. A track that is out of sight for longer than `patience` is over, and at a cut all are; a face that
    comes later is new. A new face has its number at once, so a false detection uses one up.

    Args:
        patience: seconds for which a face may be out of sight.
    """

    def __init__(self, patience: float = 0.5) -> None:
        self.patience = patience
        self._tracks: list[_Track] = []
        self._count = 0
        self._cuts = SceneCutDetector()

    def update(self, faces: Sequence[Detection], time: float, image: np.ndarray | None = None) -> list[int]:
        """Return the track number of each face of the next frame.

        Args:
            faces: of the frame, in any order.
            time: of the frame in seconds; any frame rate, also a varying one.
            image: (H, W, 3) uint8, the frame, in which cuts are seen; None where there are none.
        """
        if image is not None and self._cuts.is_cut(image):
            self._tracks = []
        self._tracks = [track for track in self._tracks if self._goes_on(track, time)]
        boxes = np.array([face.box for face in faces], np.float64).reshape(-1, 4)
        centres, sizes = boxes[:, :2] + boxes[:, 2:] / 2, np.maximum(boxes[:, 2:], 1e-6)
        for track in self._tracks:
            track.missed = True
        owners: dict[int, _Track] = {}
        for row, column in _match(self._tracks, centres, sizes, time):
            owners[column] = self._tracks[row]
            owners[column].see(centres[column], sizes[column], time)
        for column in range(len(boxes)):
            if column not in owners:
                owners[column] = self._begin(centres[column], sizes[column], time)
        return [owners[column].number for column in range(len(boxes))]

    def _goes_on(self, track: _Track, time: float) -> bool:
        patience = self.patience if track.missed else max(self.patience, SLOWEST)
        return abs(time - track.time) <= patience  # a stream that starts anew may go back in time

    def _begin(self, centre: np.ndarray, size: np.ndarray, time: float) -> _Track:
        self._count += 1
        self._tracks.append(_Track(self._count, centre, size, np.zeros(2), time))
        return self._tracks[-1]


def _match(tracks: list[_Track], centres: np.ndarray, sizes: np.ndarray, time: float) -> list[tuple[int, int]]:
    """Return (index of track, index of face) of all that belong together."""
    if not tracks or not len(centres):
        return []
    expected = np.stack([track.expected(time) for track in tracks])[:, None]  # (T, 1, 2)
    known = np.stack([track.size for track in tracks])[:, None]
    apart = np.abs(expected - centres)  # (T, F, 2)
    overlap = np.clip((known + sizes) / 2 - apart, 0, np.minimum(known, sizes)).prod(2)
    iou = overlap / (known.prod(2) + sizes.prod(1) - overlap)
    sides = np.sqrt(known.prod(2)), np.sqrt(sizes.prod(1))
    distance = np.hypot(*np.moveaxis(apart, 2, 0)) / ((sides[0] + sides[1]) / 2)
    ratio = np.maximum(sides[0] / sides[1], sides[1] / sides[0])
    allowed = (distance < REACH) & (ratio < RATIO)
    if allowed.sum(0).max() <= 1 and allowed.sum(1).max() <= 1:
        rows, columns = np.nonzero(allowed)  # nothing to choose
    else:
        # As bad as the worst pair that is allowed, so that a good pair is not given up for two poor ones.
        rows, columns = assign(np.where(allowed, distance - iou, REACH))
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if allowed[row, column]]


def assign(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the cheapest way to pair them, as many pairs as there can be.

    The earth mover's distance between two heaps of unit weights is this assignment problem: of the cheapest flows, the
    simplex method finds one in whole units. So OpenCV, which is there, spares scipy's 140 MB and 0.3 seconds of import.

    Args:
        cost: (R, C) of any sign.
    """
    weights = [np.ones((count, 1), np.float32) for count in cost.shape]
    _, _, flow = cv2.EMD(*weights, cv2.DIST_USER, cost=(cost - cost.min()).astype(np.float32))
    return np.nonzero(flow > 0.5)
