"""The table: its faces resized, and restricted to some classes; what it says about itself."""

import numpy as np
import pytest

from fer.data.table import OTHER, Split, Table


def make_table() -> Table:
    """Four faces of 4 pixels with votes for three emotions."""
    images = np.random.default_rng(0).integers(0, 256, (4, 4, 4), np.uint8)
    targets = np.array([[0.5, 0.25, 0.25], [0, 1, 0], [0.1, 0.1, 0.8], [0, 0.4, 0.6]], np.float32)
    splits = np.array([Split.TRAIN, Split.TRAIN, Split.VAL, Split.TEST], np.uint8)
    return Table(images, targets, splits, np.array([3, 5, 8, 9]), ("angry", "happy", "sad"), ("a", "b", "c", "d"))


def test_smaller_faces_are_averages_and_larger_ones_in_between():
    table = make_table()
    means = table.images.reshape(4, 2, 2, 2, 2).mean((2, 4))
    assert np.abs(table.resized(2).images - means).max() <= 0.5
    assert np.array_equal(table.resized(8).images[:, 0, 0], table.images[:, 0, 0])
    between = 0.75 * table.images[:, 0, 0] + 0.25 * table.images[:, 0, 1].astype(float)
    assert np.abs(table.resized(8).images[:, 0, 1] - between).max() <= 0.5


def test_fewer_classes_are_those_asked_for_in_their_order():
    table = make_table().with_classes(("sad", "angry"))
    assert table.classes == ("sad", "angry")
    assert (table.rows.tolist(), table.files) == ([3, 8, 9], ("a", "c", "d"))
    assert table.targets == pytest.approx(np.array([[1 / 3, 2 / 3], [8 / 9, 1 / 9], [1, 0]]))
    assert {split.name: count.tolist() for split, count in table.counts().items()} == {
        "TRAIN": [0, 1],
        "VAL": [1, 0],
        "TEST": [1, 0],
    }


def test_faces_of_other_classes_stay_apart_and_come_back_with_a_target():
    table = make_table()
    less = table.with_classes(("happy", "sad")).with_classes(("sad",))
    assert (less.rows.tolist(), less.other_faces.rows.tolist()) == ([8, 9], [3, 5])
    assert dict(less.others) == {(Split.TRAIN, "angry"): 1, (Split.TRAIN, "happy"): 1}
    assert less.other_faces.classes == (OTHER,) and less.resized(2).other_faces.images.shape == (2, 2, 2)
    back = table.with_classes(("happy", "sad")).with_others(np.array([0.5, 0.5], np.float32))
    assert (back.rows.tolist(), back.files) == ([5, 8, 9, 3], ("b", "c", "d", "a"))
    assert back.targets[-1].tolist() == [0.5, 0.5] and np.array_equal(back.images[-1], table.images[0])
    assert table.with_others(np.ones(3)) is table  # there are none


def test_a_table_shows_itself_in_a_line():
    table = make_table()
    assert repr(table) == "<Table: 4 faces of 4x4 pixels; train 2, val 1, test 1; angry, happy, sad>"
    many = Table(np.zeros((1200, 3, 5), np.uint8), *(np.zeros(1200, np.uint8),) * 3, ("happy",))
    assert repr(many) == "<Table: 1,200 faces of 5x3 pixels; train 1,200, val 0, test 0; happy>"
    assert "<Table: 1 face of " in repr(table.part(Split.VAL))
