"""The square of a face: where it lies, and that cutting it out gives what training would have read."""

import cv2
import numpy as np
import pytest

from fer.data.image_files import read_image
from fer.data.synthetic import draw_faces
from fer.faces.crops import centre_square, cut, matrix, region
from fer.faces.detection import CropRegion, Detection
from tests.data import write_image

UPRIGHT = np.float32([[-10, -10], [10, -10], [0, 2], [-7, 12], [7, 12]])  # eyes, nose, corners of the mouth
PROFILE = np.float32([[-1, -11], [1, -9], [8, 2], [-1, 12], [1, 12]])  # the line between the eyes says 45 degrees


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def turned(points, degrees):
    """Turn points (N, 2) clockwise around (0, 0), y pointing down."""
    turn = np.radians(degrees)
    return (points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])).astype(np.float32)


def square(left, top, side, angle=0.0):
    return CropRegion((left + side / 2, top + side / 2), float(side), angle)


@pytest.mark.parametrize(("size", "longer"), [((30, 40), 40), ((50, 20), 50)])
def test_side_follows_the_longer_side_and_shift_the_height(size, longer):
    found = region(Detection((100, 200, *size), 0.9), margin=1.5, shift=0.25, rotate=False)
    assert found == CropRegion((100 + size[0] / 2, 200 + 0.75 * size[1]), 1.5 * longer, 0.0)


@pytest.mark.parametrize("degrees", [0, 30, -90, 170])
def test_angle_is_that_of_the_head_and_shift_goes_along_it(degrees):
    face = Detection((-20, -20, 40, 40), 0.9, turned(UPRIGHT, degrees))
    found = region(face, 1.0, 0.5, rotate=True)
    assert found.angle == pytest.approx(degrees, abs=1e-3)
    assert found.centre == pytest.approx(turned(np.array([[0, 20]]), degrees)[0], abs=1e-3)
    assert region(face, 1.0, 0.5, rotate=False).angle == 0
    assert region(face._replace(landmarks=None), 1.0, 0.5, rotate=True).angle == 0


def test_a_profile_is_turned_by_its_axis():
    assert abs(region(Detection((-20, -20, 40, 40), 0.9, PROFILE), 1, 0, rotate=True).angle) < 8


@pytest.mark.parametrize("shape", [(61, 48), (48, 61), (37, 90), (200, 131), (48, 48), (1, 1), (20, 3)])
@pytest.mark.parametrize("size", [48, 31])
def test_whole_image_is_cut_as_training_reads_it(tmp_path, shape, size):
    image = noise(*shape)
    write_image(tmp_path / "a.png", image)
    assert np.array_equal(cut(image, centre_square(image), size), read_image(tmp_path / "a.png", size))


@pytest.mark.parametrize("side", [20, 48, 96, 131])
def test_a_square_is_cut_as_training_reads_it(tmp_path, side):
    image = noise(200, 300)
    write_image(tmp_path / "a.png", image[40 : 40 + side, 90 : 90 + side])
    for nudge in (-0.4, 0, 0.4):  # boxes are no whole numbers; the nearest whole square is taken
        near = CropRegion((90 + side / 2 + nudge, 40 + side / 2 - nudge), side + nudge / 4)
        assert np.array_equal(cut(image, near, 48), read_image(tmp_path / "a.png", 48))


def test_colour_becomes_gray_as_in_training(tmp_path):
    image = noise(60, 60, 3)
    write_image(tmp_path / "a.png", image)
    assert np.abs(cut(image, centre_square(image), 60).astype(int) - read_image(tmp_path / "a.png", 60)).max() <= 1


@pytest.mark.parametrize("left", [-500, -25, -5, 10, 75, 400])
@pytest.mark.parametrize("top", [-300, -10, 5, 45, 300])
@pytest.mark.parametrize("side", [30, 150])
def test_the_border_is_repeated(left, top, side):
    image = noise(50, 80)
    rows, columns = (np.clip(np.arange(start, start + side), 0, end) for start, end in ((top, 49), (left, 79)))
    assert np.array_equal(cut(image, square(left, top, side), side), image[np.ix_(rows, columns)])
    beyond = cut(image, square(left, top, side, angle=180.0), side)
    assert np.abs(beyond[::-1, ::-1].astype(int) - image[np.ix_(rows, columns)]).max() <= 1


@pytest.mark.parametrize("angle", [0.0, 20.0])
@pytest.mark.parametrize("side", [0.2, 1.0, 3.7])
def test_tiny_squares_are_cut(angle, side):
    image = np.full((5, 4, 3), (10, 100, 200), np.uint8)
    assert np.ptp(cut(image, CropRegion((2.0, 2.0), side, angle), 48)) == 0
    assert cut(image, CropRegion((2.0, 2.0), side, angle), 48).shape == (48, 48)


@pytest.mark.parametrize("angle", [0.0, 12.0, 45.0, -100.0])
def test_a_huge_face_shrinks_without_aliasing(angle):
    image = np.zeros((2000, 2000), np.uint8)
    image[::2, 1::2] = image[1::2, ::2] = 255  # finest checks: anything but their mean is an artefact
    crop = cut(image, CropRegion((1000.0, 1000.0), 1300, angle), 48)
    assert abs(crop.mean() - 127.5) < 1
    assert crop.std() < 2


def test_only_the_square_is_converted():
    image = np.broadcast_to(np.uint8([10, 100, 200]), (100_000, 100_000, 3))  # 28 GiB, if it had to exist
    for angle in (0.0, 30.0):
        assert np.ptp(cut(image, CropRegion((90_000.0, 5.0), 300, angle), 48)) == 0


@pytest.mark.parametrize("angle", [0.0, 30.0, -90.0, 170.0])
@pytest.mark.parametrize("side", [30.3, 48, 200.7])
def test_matrix_leads_from_the_crop_back_to_the_image(angle, side):
    x, y = np.meshgrid(np.arange(400), np.arange(300))
    dot = np.array([205.0, 141.0])
    image = np.rint(255 * np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / (0.1 * side) ** 2)).astype(np.uint8)
    face = CropRegion((200.3, 150.8), side, angle)
    crop = cut(image, face, 48).astype(float)
    rows, columns = np.indices(crop.shape)
    middle = np.array([(crop * columns).sum(), (crop * rows).sum(), crop.sum()]) / crop.sum()
    assert matrix(face, 48).dtype == np.float32
    assert matrix(face, 48) @ middle == pytest.approx(dot, abs=0.1)


def test_a_turned_face_is_cut_upright():
    face = cv2.copyMakeBorder(draw_faces(1, 96)[0][0], 60, 60, 60, 60, cv2.BORDER_REPLICATE)
    middle = (face.shape[0] - 1) / 2
    clockwise = cv2.warpAffine(face, cv2.getRotationMatrix2D((middle, middle), -25, 1), face.shape)
    upright = cut(face, square(60, 60, 96), 48).astype(float)
    assert np.abs(cut(clockwise, square(60, 60, 96, angle=25.0), 48) - upright).mean() < 4
    assert np.abs(cut(clockwise, square(60, 60, 96), 48) - upright).mean() > 10
