"""Photos are searched more thoroughly than frames, of which many come in a second: for small faces, and lying ones.

A face is found if it is large enough at the size at which a picture is searched, and YuNet finds none of more than some
500 pixels. So a large photo is searched at the detector's width, and once more as finely as its smallest face needs.

A photo without a note of how the camera was held may lie on its side or on its head. YuNet then finds nothing or, in
half of those on their heads, a face whose landmarks look upright: only its score is lower. Of 1,496 of FER2013's images
as `fer.evaluation.detector_cost` frames them, 96 to 97 % were found as they lay, turned by a quarter, two or three,
and 0.6 % were taken for turned when they were not, nearly all where nothing had been found upright. To save time turned
photos are searched at the detector's width first: many small faces in one stay unfound.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from fer.faces.detection import Detection, covered
from fer.faces.detectors import Detector, WholeImage, YuNetDetector, working_share

SEEN = 14  # pixels; few smaller faces are found
FINE_PIXELS = 2560 * 1920  # pixels of the finer search: 1.6 s with YuNet, 1 to 2 s with Haar, on one core
SAME = 0.5  # share of the smaller box in common, above which two searches have found one face
SURE = 0.92  # score that no face reached in a photo that lay turned
BETTER = 0.03  # by how much a turned photo's best score has to exceed the one as it lies
TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}  # what undoes them


def search(detector: Detector, image: np.ndarray) -> list[Detection]:
    """Return the faces of a photo (H, W, 3) uint8 by falling score, in pixels of it; if it lies turned they say so."""
    if isinstance(detector, WholeImage):
        return detector.find(image)
    faces = _both_sizes(detector, image)
    best = _best(faces)
    if best >= SURE or not isinstance(detector, YuNetDetector):  # Haar's scores of turned faces are as good
        return faces
    scores = {turn: _best(detector.find(cv2.rotate(image, undo))) for turn, undo in TURNS.items()}
    turn = max(scores, key=scores.get)
    if scores[turn] <= best + BETTER:
        return faces
    found = _both_sizes(detector, cv2.rotate(image, TURNS[turn]))
    return [_lying(face, turn, *image.shape[1::-1]) for face in found]


def _both_sizes(detector: Detector, image: np.ndarray) -> list[Detection]:
    height, width = image.shape[:2]
    fine = min(1, SEEN / detector.min_size, (FINE_PIXELS / (width * height)) ** 0.5)
    found = [detector.find(image)]
    if fine > working_share(image, detector.width):
        found.append(detector.find(image, fine))
    return _merged(found)


def _merged(searches: Sequence[Sequence[Detection]]) -> list[Detection]:
    """Return the faces of all searches by falling score; of those that two have found, that of the higher."""
    faces = [(face, index) for index, found in enumerate(searches) for face in found]
    faces.sort(key=lambda pair: -pair[0].score)
    if not faces:
        return []
    boxes = np.array([face.box for face, _ in faces])  # (N, 4)
    areas, origin = boxes[:, 2:].prod(1), np.array([index for _, index in faces])
    same = covered(boxes, boxes) > SAME * np.minimum(areas, areas[:, None])
    same &= origin != origin[:, None]
    kept: list[int] = []
    for index in range(len(faces)):
        if not same[index, kept].any():
            kept.append(index)
    return [faces[index][0] for index in kept]


def _best(faces: Sequence[Detection]) -> float:
    return max((face.score for face in faces), default=0.0)


def _lying(face: Detection, turn: int, width: int, height: int) -> Detection:
    """Return a face of the photo turned upright as it lies in the photo of that size, turned clockwise by `turn`."""
    x, y, w, h = face.box
    ends = _clockwise(np.array([(x, y), (x + w, y + h)]), turn, width, height)
    corner = ends.min(0)
    landmarks = None if face.landmarks is None else _clockwise(face.landmarks, turn, width, height).astype(np.float32)
    return Detection((*corner.tolist(), *(ends.max(0) - corner).tolist()), face.score, landmarks, turn)


def _clockwise(points: np.ndarray, turn: int, width: int, height: int) -> np.ndarray:
    """Return points (N, 2) of a picture in pixels of the same turned clockwise, which is then of that size."""
    x, y = points.T
    return np.column_stack({90: (width - y, x), 180: (width - x, height - y), 270: (y, height - x)}[turn])
