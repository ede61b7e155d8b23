"""Only a part of the picture is searched; whatever is said and drawn stays in the pixels of the whole."""

import cv2
import numpy as np
import pytest

from fer.faces.area import framed, search_in
from fer.faces.detection import Detection

IMAGE = np.arange(40 * 60 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 60, 3)


def test_boxes_and_landmarks_are_in_pixels_of_the_whole_picture():
    seen = []
    points = np.float32([[1, 2], [3, 4]])

    def find(image: np.ndarray) -> list[Detection]:
        seen.append(image)
        crossing, outside = Detection((8.0, 16.0, 10.0, 8.0), 0.5), Detection((1.0, 2.0, 3.0, 4.0), 0.7)
        return [Detection((15.0, 16.0, 7.0, 8.0), 0.9, points, 90), crossing, outside]

    first, second = search_in((0.5, 0.25, 0.4, 0.75), find, IMAGE)
    assert (seen[0] == IMAGE[0:40, 18:60]).all()  # half of the part's size around it
    assert first.box == (33.0, 16.0, 7.0, 8.0)
    assert (first.landmarks == points + np.float32((18, 0))).all()
    assert (first.score, first.turn, second.landmarks) == (0.9, 90, None)
    assert second.box == (26.0, 16.0, 10.0, 8.0)  # whole, though the part begins at 30
    assert search_in(None, find, IMAGE)[0].box == (15.0, 16.0, 7.0, 8.0)
    assert seen[1] is IMAGE


@pytest.mark.parametrize("area", [(0, 0, 1e-6, 1e-6), (1, 1, 1e-9, 1e-9), (0.9, 0.9, 0.1, 0.1), (0, 0, 1, 1)])
@pytest.mark.parametrize("size", [(1, 1), (3, 7), (40, 60)])
def test_a_part_of_any_size_has_a_pixel(area, size):
    shapes = []
    search_in(area, lambda image: shapes.append(image.shape) or [], IMAGE[: size[0], : size[1]])
    assert min(shapes[0][:2]) >= 1
    assert shapes[0][0] <= size[0]
    assert shapes[0][1] <= size[1]


def test_the_frame_lies_around_the_part_and_the_picture_stays_as_it_is():
    before = IMAGE.copy()
    changed = (framed((0.5, 0.25, 0.5, 0.5), IMAGE) != IMAGE).any(2)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 29, 30, 59)
    assert not changed[11:29, 31:59].any()
    assert np.array_equal(IMAGE, before)
    assert framed(None, IMAGE) is IMAGE
    assert cv2.countNonZero(changed.astype(np.uint8)) > 90
