"""Photos are searched for small faces and large ones, and those that lie on their side or on their head are turned.

Haar, which needs no file, finds drawn faces. A stand-in for YuNet's net takes the dark square in a picture's corner for
a face, and has the highest score where that is above and to the left.
"""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.data.synthetic import draw_faces
from fer.faces import detectors
from fer.faces.crops import cut, region
from fer.faces.detection import Detection
from fer.faces.detectors import HaarDetector, WholeImage, YuNetDetector
from fer.faces.search import search
from tests.scenes import scene

REAL_MODEL = Path(os.environ.get("FER_YUNET", "nowhere"))
REAL_MEDIA = Path(os.environ.get("FER_MEDIA", "nowhere"))
needs_model = pytest.mark.skipif(not REAL_MODEL.is_file(), reason="FER_YUNET names no file")
needs_media = pytest.mark.skipif(not REAL_MEDIA.is_dir(), reason="FER_MEDIA names no folder")
QUARTERS = {0: 0, 90: 3, 180: 2, 270: 1}  # of numpy's, which go the other way, that turn a picture clockwise


def lying(picture: np.ndarray, turn: int) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(picture, QUARTERS[turn]))


def photo(side: int, *corners: tuple[int, int]) -> np.ndarray:
    """Return a photo of 1920x1280 with drawn faces of one size."""
    picture = np.full((1280, 1920), 128, np.uint8)
    face = draw_faces(1, side, seed=3)[0][0]
    for left, top in corners:
        picture[top : top + side, left : left + side] = face
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)


def test_small_faces_of_a_large_photo_are_found_and_so_is_one_that_fills_it():
    detector = HaarDetector(min_size=20, width=640)
    corners = [(left, top) for left in (100, 700, 1500) for top in (200, 900)]
    crowd, close = photo(70, *corners), photo(1100, (400, 90))
    assert detector.find(crowd) == []
    found = sorted(search(detector, crowd), key=lambda face: (round(face.box[0], -2), face.box[1]))
    assert len(found) == 6
    for face, (left, top) in zip(found, corners, strict=True):
        assert face.box[0] + face.box[2] / 2 == pytest.approx(left + 35, abs=7)
        assert face.box[1] + face.box[3] / 2 == pytest.approx(top + 35, abs=10)
    assert len(search(detector, close)) == 1


def test_larger_faces_need_no_finer_search(monkeypatch):
    shares = []
    monkeypatch.setattr(HaarDetector, "find", lambda self, image, share=None: shares.append(share) or [])
    for min_size, width in ((20, 640), (60, 640), (20, 1920)):
        search(HaarDetector(min_size, width), photo(50))
    search(HaarDetector(20, 640), np.zeros((3000, 6000, 3), np.uint8))
    assert shares == [None, pytest.approx(0.7), None, None, None, pytest.approx((2560 * 1920 / 18e6) ** 0.5)]


def test_face_that_both_searches_find_is_one_and_the_surer_counts(monkeypatch):
    coarse = [
        Detection((100, 100, 300, 400), 0.8),
        Detection((600, 100, 100, 100), 0.95),
        Detection((620, 120, 90, 90), 0.75),
    ]
    fine = [
        Detection((120, 90, 290, 420), 0.9),
        Detection((640, 140, 30, 30), 0.7),
        Detection((1000, 100, 30, 40), 0.72),
    ]
    monkeypatch.setattr(HaarDetector, "find", lambda self, image, share=None: fine if share else coarse)
    found = search(HaarDetector(20, 640), photo(50))
    assert found == [coarse[1], fine[0], coarse[2], fine[2]]  # two of one search are two


def test_whole_image_is_one_face_of_whatever_size():
    assert search(WholeImage(), photo(50)) == [Detection((0, 0, 1920, 1280), 1.0)]


class Net:
    """Stands for YuNet's net."""

    scores = (0.9, 0.8, 0.0, 0.0)  # by the corner: above left, below right, above right, below left

    def __init__(self, model, score):
        pass

    def detect(self, image):
        Net.searches += 1
        height, width = image.shape[:2]
        corners = [(0, 0), (width - 60, height - 60), (width - 60, 0), (0, height - 60)]
        for (x, y), score in zip(corners, self.scores, strict=True):
            if image[y : y + 60, x : x + 60].max() == 0 and score:
                points = [(x + dx, y + dy) for dx, dy in ((20, 20), (40, 20), (30, 30), (22, 45), (38, 45))]
                return np.float32([[x + 10, y, 40, 60, *np.ravel(points), score]])
        return np.empty((0, 15), np.float32)


@pytest.fixture
def yunet(monkeypatch):
    monkeypatch.setattr(detectors, "YuNetModel", Net)
    monkeypatch.setattr(Net, "searches", 0, raising=False)
    return YuNetDetector(b"", "", score=0.7, min_size=20, width=640)


@pytest.fixture
def upright():
    """A picture with a dark square above left, which is darkest in its upper part."""
    picture = np.full((200, 300, 3), 200, np.uint8)
    picture[:60, :60] = 0
    return picture


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_photo_that_lies_is_turned_and_its_faces_are_in_its_own_pixels(yunet, upright, turn):
    picture = lying(upright, turn)
    [face] = search(yunet, picture)
    assert (face.turn, face.score) == (turn, pytest.approx(0.9))
    x, y, width, height = (round(value) for value in face.box)
    assert (picture[y : y + height, x : x + width] == 0).all()
    assert (width, height) == ((40, 60) if turn in (0, 180) else (60, 40))
    eye, other, _, mouth, _ = lying_points(face.landmarks, turn, picture)
    assert (eye[1] < mouth[1], eye[0] < other[0]) == (True, True)


def lying_points(points, turn, picture):
    """Return points of a picture that lies in the picture that is upright."""
    height, width = picture.shape[:2]
    x, y = points.T
    return np.column_stack({0: (x, y), 90: (y, width - x), 180: (width - x, height - y), 270: (height - y, x)}[turn])


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("rotate", [False, True])
def test_crop_of_a_photo_that_lies_is_the_upright_one(turn, rotate):
    whole = scene()
    upright = Detection(
        (70.0, 50.0, 100.0, 130.0), 0.9, np.float32([[90, 90], [140, 92], [115, 120], [95, 150], [135, 152]])
    )
    height, width = whole.shape[:2]
    corners = np.array([(70, 50), (170, 180)])
    (x, y), (right, bottom) = np.sort(turned(corners, turn, width, height), 0)
    face = Detection((x, y, right - x, bottom - y), 0.9, turned(upright.landmarks, turn, width, height), turn)
    expected = cut(whole, region(upright, 1.1, 0.1, rotate), 48).astype(int)
    found = cut(lying(whole, turn), region(face, 1.1, 0.1, rotate), 48)
    assert np.abs(found - expected).mean() < 2


def turned(points, turn, width, height):
    """Return points (N, 2) of a picture of a size where they are once it is turned clockwise."""
    x, y = np.asarray(points, np.float32).T
    return np.column_stack({0: (x, y), 90: (height - y, x), 180: (width - x, height - y), 270: (y, width - x)}[turn])


@pytest.mark.parametrize(
    ("scores", "turn", "searches"),
    [
        ((0.95, 0.8, 0, 0), 0, 1),  # sure: nothing else is looked at
        ((0.8, 0.82, 0, 0), 0, 4),  # hardly better turned
        ((0.8, 0.9, 0, 0), 180, 5),
        ((0, 0, 0, 0), None, 4),
    ],
)
def test_photos_are_turned_only_for_much_surer_faces(yunet, upright, monkeypatch, scores, turn, searches):
    monkeypatch.setattr(Net, "scores", scores)
    assert [face.turn for face in search(yunet, upright)] == ([] if turn is None else [turn])
    assert Net.searches == searches


@pytest.mark.real
@needs_model
def test_real_yunet_finds_small_faces_large_ones_and_lying_ones():
    detector = YuNetDetector(REAL_MODEL.read_bytes(), "", score=0.7, min_size=20, width=640)
    corners = [(left, top) for left in (100, 700, 1500) for top in (200, 900)]
    assert len(search(detector, photo(80, *corners))) == 6
    for turn in (0, 90, 180, 270):
        assert [face.turn for face in search(detector, lying(photo(1100, (400, 90)), turn))] == [turn]


@pytest.mark.real
@needs_model
@needs_media
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize(
    ("name", "count"), [("no-faces.jpg", 0), ("justin.jpg", 1), ("two_people.jpg", 2), ("obama_and_biden.jpg", 3)]
)
def test_real_photos_have_so_many_faces_however_they_lie(name, count, turn):
    detector = YuNetDetector(REAL_MODEL.read_bytes(), "", score=0.7, min_size=20, width=640)
    picture = lying(cv2.imread(str(REAL_MEDIA / name)), turn)
    assert [face.turn for face in search(detector, picture)] == [turn] * count
