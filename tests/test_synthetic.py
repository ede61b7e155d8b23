"""The drawn faces: reproducible, balanced, split by split, and readable by a learner but not by chance."""

import numpy as np
import pytest

from fer.data.synthetic import draw_faces, read_synthetic
from fer.data.table import Split
from fer.emotions import EMOTIONS
from fer.errors import UserError


def ridge_accuracy(images, labels, new_images, new_labels, penalty=100.0):
    """Accuracy of ridge regression on 16-pixel images: the simplest learner that reads an aligned face."""

    def features(faces):
        return faces.reshape(len(faces), 16, 3, 16, 3).mean((2, 4)).reshape(len(faces), -1) / 64

    mean = features(images).mean(0)
    x, y = features(images) - mean, np.eye(6)[labels] - 1 / 6
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    predicted = ((features(new_images) - mean) @ weights).argmax(1)
    return (predicted == new_labels).mean()


@pytest.mark.parametrize("classes", [6, 7])
def test_faces_are_grayscale_balanced_and_shuffled(classes):
    images, labels = draw_faces(classes * 10, 32, classes)
    assert images.shape == (classes * 10, 32, 32)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [10] * classes
    assert (np.diff(labels) != 1).any() and (np.diff(labels) < 0).sum() > 10  # neither counted up nor sorted


def test_a_count_that_classes_do_not_divide_is_balanced_to_one():
    _, labels = draw_faces(20, 24)
    assert sorted(np.bincount(labels).tolist()) == [3, 3, 3, 3, 4, 4]


def test_no_faces_is_an_empty_array():
    images, labels = draw_faces(0, 24)
    assert images.shape == (0, 24, 24)
    assert labels.shape == (0,)


def test_the_seed_decides_the_faces():
    first, again, other = draw_faces(12, 48, seed=1), draw_faces(12, 48, seed=1), draw_faces(12, 48, seed=2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("size", [24, 64])
def test_a_face_fills_the_middle_of_any_size(size):
    images, _ = draw_faces(60, size)
    spread = images.reshape(60, -1).std(1)
    assert (spread > 8).all()  # no blank image
    assert len(np.unique(images.reshape(60, -1), axis=0)) == 60


def test_splits_have_the_asked_sizes():
    table = read_synthetic(24, train=30, val=12, test=18)
    assert {split: int(count.sum()) for split, count in table.counts().items()} == {
        Split.TRAIN: 30,
        Split.VAL: 12,
        Split.TEST: 18,
    }
    assert all((count == count[0]).all() for count in table.counts().values())
    assert table.rows.tolist() == list(range(60))


@pytest.mark.parametrize("classes", [6, 7])
def test_targets_are_one_hot_over_the_named_classes(classes):
    table = read_synthetic(24, classes, train=14, val=7, test=7)
    assert table.classes == EMOTIONS[:classes]
    assert table.targets.shape == (28, classes)
    assert table.targets.dtype == np.float32
    assert (np.sort(table.targets, 1)[:, -1] == 1).all() and (table.targets.sum(1) == 1).all()


def test_contempt_is_refused_because_it_is_not_drawn():
    with pytest.raises(UserError, match="8 were asked for"):
        read_synthetic(24, 8)


def test_val_and_test_do_not_depend_on_the_size_of_train():
    small, large = read_synthetic(24, train=6, val=12, test=12), read_synthetic(24, train=60, val=12, test=12)
    for split in (Split.VAL, Split.TEST):
        assert np.array_equal(small.part(split).images, large.part(split).images)
        assert np.array_equal(small.part(split).targets, large.part(split).targets)


def test_no_face_is_in_two_splits_or_two_seeds():
    tables = [read_synthetic(24, train=24, val=24, test=24, seed=seed) for seed in (0, 1)]
    images = np.concatenate([table.images for table in tables]).reshape(144, -1)
    assert len(np.unique(images, axis=0)) == 144


def test_expressions_can_be_learned_from_faces_but_not_from_wrong_labels():
    images, labels = draw_faces(900, 48, seed=0)
    new_images, new_labels = draw_faces(300, 48, seed=1)
    assert ridge_accuracy(images, labels, new_images, new_labels) > 0.33  # twice chance
    wrong = np.random.default_rng(0).permutation(labels)
    assert ridge_accuracy(images, wrong, new_images, new_labels) < 0.26  # chance is 0.167, its deviation 0.022
