"""Slices of the test split: copies of training images, the crowd's labels, the most confident faces."""

import csv
import json

import numpy as np
import torch

from fer.data.duplicates import copied
from fer.data.table import Table
from fer.evaluation.outputs import Outputs
from fer.evaluation.slices import make_slices, most_confident
from tests.data import write_ferplus_csv
from tests.runs import configure, run, without_figures


def make_table():
    """Four training and four test faces, these in another order than their rows; the test's rows 6 and 8 are copies."""
    images = np.arange(8, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    images[5], images[7] = images[0], images[2]
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
    parts, copies = make_slices(outputs(table), table, crowd)
    assert copies == 2
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
    table.images[4:] += 100
    for crowd in (None, np.full(4, -1)):
        parts, copies = make_slices(outputs(table), table, crowd)
        assert (set(parts), copies) == ({"test_surest"}, 0)
    table.images[4:] = table.images[0]
    parts, copies = make_slices(outputs(table), table, None)
    assert (set(parts), copies) == ({"test_surest"}, 4)


def test_a_single_pixel_makes_another_image():
    images = np.zeros((2, 4, 4), np.uint8)
    images[1, 3, 3] = 1
    assert copied(images, np.zeros((1, 4, 4), np.uint8)).tolist() == [True, False]


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
    assert found["test_unseen/n"] == found["test/n"] - 1
    assert found["test_agreed/n"] == found["test_crowd/n"] > 0
    assert found["test_surest/n"] == round(0.8 * found["test/n"])
