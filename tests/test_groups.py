"""Groups of people: who is in which is read from a file, and what a net reaches in each is compared."""

import json

import numpy as np
import pytest
import torch

import fer
from fer.data import groups
from fer.data.groups import Groups, read_groups
from fer.data.table import Table
from fer.errors import UserError
from fer.evaluation.groups import compare_groups, conclusion, write_groups
from fer.evaluation.outputs import Outputs
from fer.evaluation.statistics import between_groups, wilson
from tests.data import write_class_folders
from tests.runs import configure, run, tiny, without_figures

CLASSES = ("angry", "fear")


def faces(count=120, files=None):
    """Test faces of rows 10, 11, ..."""
    targets = np.eye(2, dtype=np.float32)[np.arange(count) % 2]
    splits = np.full(count, 2, np.uint8)
    return Table(np.zeros((count, 2, 2), np.uint8), targets, splits, np.arange(count) + 10, CLASSES, files)


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rows_name_faces_by_index_and_others_are_in_no_group(tmp_path):
    lines = [f"{row},{'b' if row < 65 else ' a '},x" for row in range(10, 125)]
    path = write(tmp_path / "g.csv", "Index,Group,note", "3,b,", *lines, "125,,", "0010,b,")
    found = read_groups(path, faces())
    assert found.names == ("a", "b")
    assert found.codes.tolist() == [1] * 55 + [0] * 60 + [-1] * 5


def test_rows_name_faces_by_file(tmp_path):
    names = tuple(f"test/fear/{number}.png" for number in range(120))
    lines = [f'"{name}",{"old" if place % 2 else "young"}' for place, name in enumerate(names)]
    lines[0] = ".\\test\\fear\\0.png,young"
    found = read_groups(write(tmp_path / "g.csv", "file,group", *lines), faces(files=names))
    assert found.names == ("old", "young")
    assert found.codes.tolist() == [1, 0] * 60


GOOD = [f"{row},{'ab'[row % 2]}" for row in range(10, 130)]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "expected a CSV file, but this is empty"),
        (["file,group", *GOOD], "line 1: expected the columns file (or index, as in predictions.csv) and group"),
        (["index,sex", *GOOD], "but got index,sex"),
        (["index,group", "10"], "line 2: expected 2 columns at least, but got 1"),
        (["index,group", *GOOD, "-1,a"], "line 122: expected an index, as in predictions.csv, but got -1"),
        (["index,group", *GOOD, "fer0000010.png,a"], "but got fer0000010.png"),
        (["index,group", *GOOD, "11,a"], "line 122: expected one group for each face, but 11 is in a here and in b in"),
        (["index,group", *GOOD, f"200,{'x' * 61}"], "a group of at most 60 printable letters"),
        (["index,group", '10,"a'], "is a quotation mark left open?"),
        (
            ["index,group", "1,a", "2,b"],
            "named as in predictions.csv (10), but none of 2 faces in it is one with a group",
        ),
        (
            ["index,group", *GOOD[:90]],
            "expected 50 test faces or more in each group, as of fewer an accuracy says nothing",
        ),
        (["index,group", *GOOD[:90]], "but a has 45, b has 45: join groups, or leave the group of these faces empty"),
        (["index,group", *(f"{row},a" for row in range(10, 130))], "expected 2 to 12 groups of test faces to compare"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(lines, sentence, tmp_path):
    path = tmp_path / "g.csv"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(UserError) as refused:
        read_groups(path, faces())
    assert str(refused.value).startswith(str(path))
    assert sentence in str(refused.value)


def test_a_file_that_is_not_there_or_asked_for_without_test_is_told_before_any_work(tmp_path):
    words = (f"groups={tmp_path / 'none.csv'}", "test=false", f"hydra.run.dir={tmp_path / 'run'}")
    with pytest.raises(UserError) as refused:
        fer.train(tiny(*words))
    assert "groups: expected test=true, since the groups are of test faces" in str(refused.value)
    assert "none.csv: expected a CSV file, but there is no such file" in str(refused.value)
    assert not (tmp_path / "run").exists()


def make_outputs(right):
    """Outputs of faces that are angry and fear in turn, and are predicted right or not."""
    targets = torch.arange(len(right)) % 2
    predicted = torch.where(torch.tensor(right), targets, 1 - targets)
    return Outputs(torch.nn.functional.one_hot(predicted, 2) * 3.0, targets, torch.arange(len(right)))


def test_each_group_has_accuracy_and_recall_and_every_two_a_gap(tmp_path):
    right = [True] * 100 + [True, False] * 50 + [False] * 7  # of group b all angry ones are right, and no other
    codes = np.repeat([0, 1, -1], (100, 100, 7))
    found = compare_groups(make_outputs(right), Groups(("a", "b"), codes), CLASSES)
    assert found.others == 7
    values = found.results()
    assert values["test_group/a/n"] == values["test_group/b/n"] == 100
    assert values["test_group/a/accuracy"] == 1 == values["test_group/b/recall/angry"]
    assert values["test_group/b/accuracy"] == 0.5 == values["test_gap/a/b/accuracy"]
    assert values["test_group/b/recall/fear"] == 0 < values["test_group/b/recall/fear_high"] < 0.1
    assert values["test_gap/a/b/recall/angry"] == 0
    assert values["test_gap/a/b/recall/angry_p"] == 1
    assert values["test_gap/a/b/accuracy_low"] > 0.3
    raw = between_groups((1.0, 100), (0.5, 100)).p
    assert values["test_gap/a/b/accuracy_p"] == pytest.approx(2 * raw)  # the second smallest of three
    write_groups(tmp_path / "groups.md", found)
    said = (tmp_path / "groups.md").read_text()
    assert "| a − b | accuracy | +50.0 | +39.7 to +59.6 | < 0.001 |" in said
    assert "Of 3 gaps, 2 are more than chance explains: accuracy: a +50.0 points beside b; recall of fear" in said


def test_a_class_that_a_group_lacks_has_no_recall_and_no_gap():
    outputs = make_outputs([True] * 200)
    codes = np.where(np.arange(200) % 2, 1, np.where(np.arange(200) < 100, 0, 1))  # no fear in group a
    found = compare_groups(outputs, Groups(("a", "b"), codes), CLASSES)
    assert set(found.gaps) == {("a", "b", "accuracy"), ("a", "b", "recall/angry")}
    assert "none is more than chance explains" in conclusion(found)


def test_intervals_of_shares_hold_the_truth_in_about_95_of_100_samples():
    rng = np.random.default_rng(0)
    inside, between = [], []
    for hits, others in zip(rng.binomial(60, 0.8, 400), rng.binomial(80, 0.6, 400), strict=True):
        low, high = wilson(hits, 60)
        inside.append(low <= 0.8 <= high)
        gap = between_groups((hits / 60, 60), (others / 80, 80))
        between.append(gap.low <= 0.2 <= gap.high)
    assert 0.92 < np.mean(inside) < 0.98
    assert 0.92 < np.mean(between) < 0.98


def test_intervals_are_those_of_the_papers():
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, table I
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    found = between_groups((56 / 70, 70), (48 / 80, 80))  # Newcombe 1998, table II
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.slow
def test_an_evaluation_and_a_training_score_the_groups(tmp_path, monkeypatch, capsys):
    without_figures(monkeypatch)
    monkeypatch.setattr(groups, "FEWEST", 3)
    names = write_class_folders(tmp_path / "data", ("angry", "happy", "sad"), per_class=3)
    lines = [f"{name},{'ab'[place % 2]}" for place, name in enumerate(names) if name.startswith("test")]
    path = write(tmp_path / "my groups.csv", "file,group", *lines)
    words = ("dataset=folder", f"dataset.root={tmp_path / 'data'}", f"groups='{path}'", "trainer.max_epochs=1")
    run(configure(*words), tmp_path / "run")
    weights = f"weights={tmp_path / 'run/weights.safetensors'}"
    run(configure(*words, "fit=false", weights), tmp_path / "again")
    trained, again = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("run", "again"))
    keys = {key for key in trained if key.startswith(("test_group/", "test_gap/"))}
    assert {"test_group/a/accuracy", "test_group/b/n", "test_gap/a/b/accuracy_p"} <= keys
    assert {key: trained[key] for key in keys} == {key: again[key] for key in keys}
    assert trained["test_group/a/n"] + trained["test_group/b/n"] == 9
    assert (tmp_path / "again/groups.md").read_text() == (tmp_path / "run/groups.md").read_text()
    assert "Groups of the test split" in capsys.readouterr().out
