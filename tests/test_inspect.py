"""A look at a dataset before training: counts, copies within and across splits, conflicting labels, blank images."""

import contextlib
import csv
import io
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from fer.data.duplicates import BLOCK, equal_elsewhere, find_twins, first_equal, levels
from fer.data.inspect import main
from fer.data.table import Table
from fer.evaluation.inspection_plots import MOST_FACES, MOST_PAIRS, pairs, samples
from tests.data import edit_line, pixels, write_class_folders, write_fer2013_csv, write_ferplus_csv, write_image
from tests.runs import ROOT


def smooth(seed, side=48):
    """A picture that no other resembles, without fine detail that a JPEG would lose."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6), np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def jpeg(image):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_GRAYSCALE)


def look(capsys, *words):
    """Run the command; return the words on the console, without its line breaks."""
    main(list(words))
    return " ".join(capsys.readouterr().out.split())


def refused(capsys, *words):
    """Run the command, which refuses; return what it says."""
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert end.value.code == 2
    return capsys.readouterr().err


def figures(folder):
    return json.loads((folder / "inspect.json").read_text())


@pytest.fixture
def undrawn(monkeypatch):
    """Spare the seconds that figures take where they are not asked for."""
    monkeypatch.setattr("fer.evaluation.inspection._draw", lambda *_: {})


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Own faces with one of each fault: in test an equal one of train and, from train, a JPEG in another light; in val
    one of train under another label; a blank one; a file that is no image; sizes of all sorts."""
    root = tmp_path_factory.mktemp("faces")
    write_class_folders(root, ("angry", "happy"), per_class=3)
    write_image(root / "train/happy/photo.png", smooth(1))
    write_image(root / "test/happy/copy.png", smooth(1))
    write_image(root / "train/angry/other.png", smooth(2))
    write_image(root / "test/angry/resaved.png", jpeg(smooth(2) // 2 + 60))
    write_image(root / "train/angry/third.png", smooth(3))
    write_image(root / "val/happy/called happy.png", smooth(3))
    write_image(root / "train/angry/wide.png", smooth(4, 96)[:, :60])
    write_image(root / "train/happy/small.png", smooth(5, 24))
    write_image(root / "val/angry/blank.png", jpeg(np.full((48, 48), 7, np.uint8)))
    (root / "train/happy/broken.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def report(faces, tmp_path_factory):
    """What is said of them, and the folder of the report."""
    folder = tmp_path_factory.mktemp("report")
    with contextlib.redirect_stdout(io.StringIO()) as said:
        main(["dataset=folder", f"dataset.root={faces}", "--output", str(folder)])
    return " ".join(said.getvalue().split()), folder


def test_own_faces_are_told_with_all_their_faults(report):
    said, found = report[0], figures(report[1])
    assert {key: found[key] for key in ("train/n", "train/count/angry", "val/n", "test/n")} == {
        "train/n": 11, "train/count/angry": 6, "val/n": 8, "test/n": 8,
    }  # fmt: skip
    assert (found["test/equal_in_train"], found["test/near_in_train"]) == (1, 1)
    assert (found["val/equal_in_train"], found["val/near_in_train"]) == (1, 0)
    assert (found["train/equal_in_train"], found["test/equal_in_val"], found["test/near_in_val"]) == (0, 0, 0)
    assert (found["equal/groups"], found["equal/conflicts"], found["equal/surely_wrong"]) == (2, 1, 1)
    assert (found["val/blank"], found["train/blank"], found["near/conflicts"]) == (1, 0, 0)
    assert "1 of 8 test faces (12.5%) have an exact copy in train, and 1 more a near one" in said
    assert "test_unseen/accuracy" in said
    assert "1 face, from which nothing is learned" in said
    assert "val/angry/blank.png" in said
    assert "equal: train/angry/third.png (train, angry) and val/happy/called happy.png (val, happy)" in said
    assert "not read: 1" in said
    assert "broken.png" in found["not_read"][0]


def test_sizes_are_those_of_the_files(report):
    said, found = report[0], figures(report[1])
    assert [found[f"files/width_{kind}"] for kind in ("min", "median", "max")] == [24, 48, 60]
    assert [found[f"files/height_{kind}"] for kind in ("min", "median", "max")] == [24, 48, 96]
    assert "The 27 files on the disk: 24x24 to 60x96" in said
    assert "1 of 27 files (3.7%) are not square" in said
    assert "1 of 27 files (3.7%) are smaller than 48 pixels" in said


def test_every_pair_is_listed(report):
    with (report[1] / "duplicates.csv").open(newline="") as file:
        rows = {(row["file_a"], row["file_b"]): row for row in csv.DictReader(file)}
    equal = rows.pop(("test/happy/copy.png", "train/happy/photo.png"))
    assert (equal["correlation"], equal["split_a"], equal["label_b"]) == ("equal", "test", "happy")
    assert rows.pop(("train/angry/third.png", "val/happy/called happy.png"))["label_b"] == "happy"
    near = rows.pop(("test/angry/resaved.png", "train/angry/other.png"))
    assert 0.97 <= float(near["correlation"]) < 1
    assert not rows


def test_the_report_embeds_figures_that_show_something(faces, report):
    folder = report[1]
    text = (folder / "inspect.md").read_text()
    for name in ("classes", "samples", "duplicates", "conflicts"):
        assert f"](figures/{name}.png)" in text
        image = np.asarray(Image.open(folder / "figures" / f"{name}.png").convert("L"))
        assert image.shape[1] == 1200
        assert image.std() > 10
    assert "| angry | 6 | 4 | 4 |" in text
    assert "## Not read: 1" in text
    assert f"`python -m fer.data.inspect dataset=folder dataset.root={faces} --output {folder}`" in text
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "duplicates.csv", "inspect.json", "inspect.md",
    ]  # fmt: skip


def test_fer2013_is_looked_at_with_what_is_left_out(tmp_path, capsys, undrawn):
    written = write_fer2013_csv(tmp_path)
    path = tmp_path / "fer2013.csv"
    new, old = pixels(written.images[0]), pixels(written.images[-9])  # an angry one of train, a surprised one of test
    edit_line(path, len(written.images) - 9 + 2, old, new)
    edit_line(path, 4, ",Training", ",Trainingg")
    said = look(capsys, f"dataset.root={tmp_path}", "--output", str(tmp_path / "report"))
    found = figures(tmp_path / "report")
    assert (found["train/left_out/neutral"], found["train/n"], found["classes"][-1]) == (2, 11, "surprise")
    assert (found["test/equal_in_train"], found["equal/conflicts"]) == (1, 1)
    assert "equal: row 0 (train, angry) and row 33 (test, surprise)" in said
    assert "neutral, left out" in said
    assert "split: as the copy's files say" in said
    assert found["dataset_split"] == "named"
    assert "line 4" in found["not_read"][0]
    assert "files/width_min" not in found


def test_gray_levels_are_those_of_all_pixels(tmp_path, capsys, undrawn):
    written = write_fer2013_csv(tmp_path)
    look(capsys, f"dataset.root={tmp_path}", "dataset.classes=7", "--output", str(tmp_path / "report"))
    images, found = written.images[written.splits == 2], figures(tmp_path / "report")
    assert found["test/mean"] == pytest.approx(images.mean())
    assert found["test/deviation"] == pytest.approx(images.std())


def test_ferplus_and_drawn_faces_are_looked_at(tmp_path, capsys, undrawn):
    write_ferplus_csv(tmp_path)
    look(capsys, "dataset=ferplus", "dataset.classes=8", f"dataset.root={tmp_path}", "--output", str(tmp_path / "a"))
    assert figures(tmp_path / "a")["train/n"] == 16
    words = ("dataset=synthetic", "dataset.train=24", "dataset.val=12", "dataset.test=12")
    said = look(capsys, *words, "--output", str(tmp_path / "b"))
    assert figures(tmp_path / "b")["test/n"] == 12
    assert "No test face has a copy in train." in said
    assert "No contradictions were found." in said


def test_a_split_without_faces_and_a_rare_class_are_told(tmp_path, capsys, undrawn):
    root = tmp_path / "faces"
    for number in range(6):
        write_image(root / f"train/happy/{number}.png", smooth(number))
    write_image(root / "train/fear/a.png", smooth(10))
    write_image(root / "test/happy/a.png", smooth(11))
    said = look(capsys, "dataset=folder", f"dataset.root={root}", "--output", str(tmp_path / "report"))
    assert "No faces in val: a training needs train, val and test" in said
    assert "test has no faces of fear" in said
    assert "happy has 6.0 times as many faces as fear" in said


def test_the_report_goes_to_a_new_folder_of_runs(tmp_path, monkeypatch, capsys, undrawn):
    monkeypatch.chdir(tmp_path)
    write_class_folders(tmp_path / "my faces", ("angry", "happy"))
    for _ in range(2):
        look(capsys, "dataset=folder", "dataset.root=my faces")
    reports = list((tmp_path / "runs").glob("*_inspect_folder*/inspect.md"))
    assert len(reports) == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["dataset=foldr"], "dataset=foldr"),
        (["dataset.rot=x"], "dataset.rot"),
        (["dataset=folder", "dataset.root=none"], "no such folder"),
        (["hydra.run.dir=x"], "--output DIR"),
        (["dataset=synthetic", "seed=1,2"], "several values make a sweep"),
    ],
)
def test_a_mistake_is_one_sentence(words, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert named in refused(capsys, *words)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_readable_image_says_why(tmp_path, capsys):
    for split in ("train", "val", "test"):
        (tmp_path / split / "happy").mkdir(parents=True)
    (tmp_path / "test/happy/a.png").write_bytes(b"no image")
    assert "a.png: expected an image" in refused(capsys, "dataset=folder", f"dataset.root={tmp_path}")


def test_it_runs_as_a_module_beside_the_library_of_the_same_name(tmp_path):
    write_class_folders(tmp_path / "faces", ("angry", "happy"))
    command = [sys.executable, "-m", "fer.data.inspect", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ, check=True)
    assert "--output DIR" in done.stdout


@pytest.mark.parametrize("block", [1, BLOCK])
def test_each_face_has_its_nearest_in_each_split(block, monkeypatch):
    monkeypatch.setattr("fer.data.duplicates.BLOCK", block)
    base, other = smooth(1).astype(float), smooth(2).astype(float)
    mixed = [(base + share * other / 1.5).clip(0, 255).astype(np.uint8) for share in (0, 0.02, 0.1)]
    images = np.stack([*mixed, smooth(3), mixed[0]])
    splits = np.array([0, 1, 1, 1, 0], np.uint8)
    twins = find_twins(images, splits, first_equal(images))
    assert twins.nearest[0].tolist() == [-1, 1, -1]  # its equal, face 4, is no twin
    assert twins.nearest[2, 1] == 1
    assert twins.nearest[3].tolist() == [-1, -1, -1]
    places, likeness = twins.pairs()
    assert {(0, 1), (1, 2)} <= set(map(tuple, places.tolist()))
    assert (likeness >= 0.97).all()


def test_twins_are_found_across_blocks(monkeypatch):
    images = np.stack([smooth(seed) for seed in range(9)])
    images[7] = jpeg(images[1])
    splits = np.zeros(9, np.uint8)
    first = first_equal(images)
    whole = find_twins(images, splits, first)
    monkeypatch.setattr("fer.data.duplicates.BLOCK", 4)
    parted = find_twins(images, splits, first)
    assert BLOCK > 9
    assert parted.nearest.tolist() == whole.nearest.tolist()
    assert parted.nearest[:, 0].tolist() == [-1, 7, -1, -1, -1, -1, -1, 1, -1]


def test_blank_faces_have_no_twins():
    images = np.stack([np.full((48, 48), level, np.uint8) for level in (0, 9, 200)])
    images[1, 0, 0] += 1
    assert (levels(images)[:, 1] < 1).all()
    assert (find_twins(images, np.zeros(3, np.uint8), first_equal(images)).nearest == -1).all()


def test_a_face_is_no_copy_of_itself():
    images = np.stack([smooth(seed) for seed in (1, 2, 1, 1)])
    elsewhere = equal_elsewhere(first_equal(images), np.array([0, 0, 0, 2]))
    assert elsewhere.tolist() == [[True, False, True], [False] * 3, [True, False, True], [True, False, False]]


def many(count, classes):
    names = tuple(f"class of a rather long name {number:03}" for number in range(classes))
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8), np.uint8)
    targets = np.eye(classes, dtype=np.float32)[np.arange(count) % classes]
    return Table(images, targets, np.arange(count) % 3, np.arange(count), names)


def test_sheets_stay_small_for_many_classes_and_pairs():
    table = many(400, 100)
    assert len(samples(table, 0).axes[0].images) <= MOST_FACES
    places = np.arange(200).reshape(-1, 2)
    likeness = np.where(np.arange(100) < 95, np.inf, 0.98)
    figure = pairs(table, places, likeness, "Pairs", 0)
    captions = [text.get_text() for text in figure.axes[0].texts]
    assert len(figure.axes[0].images) == MOST_PAIRS
    assert captions.count("equal") == MOST_PAIRS - 5
    assert captions.count("nearly: 0.980") == 5
