"""Slices of the test split: copies of training images, the crowd's labels, the most confident faces."""

import csv
import json
from dataclasses import replace

import numpy as np
import torch

from fer.data.duplicates import NEAR, find_originals
from fer.data.table import Table
from fer.evaluation.copies import find_copies, write_copies
from fer.evaluation.outputs import Outputs
from fer.evaluation.slices import make_slices, most_confident
from tests.data import write_ferplus_csv
from tests.runs import configure, run, without_figures


def make_table():
    """Four training and four test faces, these in another order than their rows.

    The test's row 8 equals the training face of row 1, row 6 shows that of row 3 brighter and smoother.
    """
    images = np.random.default_rng(0).integers(0, 200, (8, 24, 24), np.uint8)
    images[5], images[7] = images[0], images[2] // 2 + 90
    targets = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 0, 1, 2, 0]]
    splits = np.array([0, 0, 0, 0, 2, 2, 2, 2], np.uint8)
    return Table(images, targets, splits, np.array([1, 2, 3, 4, 9, 8, 7, 6]), ("angry", "fear", "sad"))


def outputs(table):
    """Outputs of the test split in the order of rows 6, 7, 8, 9, with rising confidence; all predicted angry."""
    logits = torch.tensor([[1.0, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0]])
    return Outputs(logits, torch.tensor([0, 2, 1, 0]), torch.tensor([6, 7, 8, 9]))


def test_each_part_has_its_faces_and_targets():
    table = make_table()
    crowd = np.array([0, -1, 1, 2])  # of rows 9, 8, 7, 6
    copies = find_copies(table)
    assert copies.counts() == {"test/copies": 1, "test/near_copies": 1}
    parts = make_slices(outputs(table), table, crowd, copies)
    taken = {name: take(outputs(table)) for name, take in parts.items()}
    assert {name: (rows.tolist(), targets.tolist()) for name, (_, targets, rows) in taken.items()} == {
        "test_unseen": ([7, 9], [2, 0]),
        "test_agreed": ([6, 7, 9], [0, 2, 0]),
        "test_crowd": ([6, 7, 9], [2, 1, 0]),
        "test_surest": ([7, 8, 9], [2, 1, 0]),
    }
    assert taken["test_crowd"].logits.tolist() == [[1, 0, 0], [2, 0, 0], [4, 0, 0]]


def test_parts_that_there_are_not_are_left_out():
    table = make_table()
    table.images[4:] = table.images[4:].transpose(0, 2, 1)
    for crowd in (None, np.full(4, -1)):
        copies = find_copies(table)
        assert set(make_slices(outputs(table), table, crowd, copies)) == {"test_surest"}
        assert sum(copies.counts().values()) == 0
    table.images[4:] = table.images[0]
    copies = find_copies(table)
    assert set(make_slices(outputs(table), table, None, copies)) == {"test_surest"}
    assert copies.counts() == {"test/copies": 4, "test/near_copies": 0}


def test_each_copy_is_named_beside_its_training_face(tmp_path):
    table = make_table()
    write_copies(tmp_path / "copies.csv", find_copies(table))
    head, near, equal = csv.reader((tmp_path / "copies.csv").open(newline=""))
    assert head == ["kind", "correlation", "index", "target", "train_index", "train_target"]
    assert (near[0], near[2:], equal) == ("near", ["6", "angry", "3", "sad"], ["equal", "1", "8", "fear", "1", "angry"])
    assert NEAR <= float(near[1]) <= 1
    write_copies(tmp_path / "copies.csv", find_copies(replace(table, files=tuple("abcdefgh"))))
    head, near, equal = csv.reader((tmp_path / "copies.csv").open(newline=""))
    assert head[2:] == ["index", "target", "file", "train_index", "train_target", "train_file"]
    assert (near[4], near[7], equal[4], equal[7]) == ("h", "c", "f", "a")


def test_an_original_is_equal_in_every_pixel_or_else_the_nearest():
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 200, (5, 24, 24), np.uint8)
    originals[1] = originals[0]
    originals[3] = np.clip(originals[2] + rng.integers(0, 30, (24, 24)), 0, 255)  # near, but less than image 1
    images = np.stack([originals[1], originals[2] + np.uint8(20), rng.integers(0, 200, (24, 24), np.uint8)])
    images[0, 0, 0] += 1
    places, likeness = find_originals(images, originals)
    assert places.tolist() == [0, 2, -1]
    assert likeness[0] > 0.99 < likeness[1] <= 1.001
    assert likeness[2] == 0
    images[0, 0, 0] -= 1
    assert find_originals(images, originals)[1][0] == np.inf
    assert find_originals(images, originals[:0])[0].tolist() == [-1, -1, -1]


def test_a_blank_face_is_near_to_none():
    blank = np.full((1, 24, 24), 7, np.uint8)
    assert find_originals(blank, blank + np.uint8(1))[0].tolist() == [-1]


def test_at_least_one_face_is_answered():
    assert most_confident(torch.tensor([[0.0, 1.0]])).tolist() == [0]
    assert most_confident(torch.zeros(10, 2)).tolist() == list(range(8))


def test_an_evaluation_scores_the_slices_of_fer2013(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    without_figures(monkeypatch)
    (tmp_path / "data").mkdir()
    write_ferplus_csv(tmp_path / "data")  # two faces of each emotion in each split
    path = tmp_path / "data/fer2013.csv"
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    emotion, place = header.index("emotion"), header.index("pixels")
    known = [row for row in rows if int(row[emotion]) < 6]
    known[-1][place] = known[0][place]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    run(configure("dataset=fer2013", f"dataset.root={tmp_path / 'data'}", "trainer.max_epochs=1"), tmp_path / "run")
    found = json.loads((tmp_path / "run/metrics.json").read_text())
    assert found["test/copies"] == 1
    assert found["test/near_copies"] == 0
    assert found["test_unseen/n"] == found["test/n"] - 1
    assert len((tmp_path / "run/copies.csv").read_text().splitlines()) == 2
    assert found["test_agreed/n"] == found["test_crowd/n"] > 0
    assert found["test_surest/n"] == round(0.8 * found["test/n"])
