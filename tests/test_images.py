"""A user's own class folders, and how one image file becomes one square gray image."""

import cv2
import numpy as np
import pytest

from fer.data.images import locate_folder, read_folder, read_image
from fer.data.table import Split
from fer.emotions import EMOTIONS
from fer.errors import UserError
from tests.data import write_class_folders, write_image


def test_classes_are_the_emotions_found_in_canonical_order(tmp_path):
    written = write_class_folders(tmp_path, ("Sadness", "ANGER", "happiness", "neutral"))
    table = read_folder(tmp_path, 48)
    assert table.classes == ("angry", "happy", "sad", "neutral")
    assert list(table.files) == sorted(written)
    assert np.array_equal(table.images, [written[file] for file in table.files])
    for file, label, split in zip(table.files, table.labels, table.splits, strict=True):
        place, name, _ = file.split("/")
        assert {"Sadness": 2, "ANGER": 0, "happiness": 1, "neutral": 3}[name] == label
        assert Split(split).name.lower() == place
    assert np.array_equal(table.rows, np.arange(len(written)))


def test_classes_are_the_union_over_splits(tmp_path):
    write_class_folders(tmp_path, ("happy", "sad"))
    (tmp_path / "val" / "sad").rename(tmp_path / "val" / "fear")
    (tmp_path / "test" / "disgust").mkdir()  # without an image it is no class
    table = read_folder(tmp_path, 48)
    assert table.classes == ("fear", "happy", "sad")
    assert list(table.counts()[Split.VAL]) == [2, 2, 0]


def test_folders_outside_the_vocabulary_are_left_out(tmp_path):
    write_class_folders(tmp_path, EMOTIONS)
    for classes in (6, 7, 8):
        table = read_folder(tmp_path, 48, classes)
        assert table.classes == EMOTIONS[:classes]
        assert len(table) == 6 * classes


def test_other_files_are_passed_over(tmp_path):
    written = write_class_folders(tmp_path)
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "train" / "notes.txt").touch()
    for name in (".hidden.png", "Thumbs.db", "README"):
        (tmp_path / "train" / "happy" / name).touch()
    write_image(tmp_path / "train" / "happy" / "more" / "x.png", written["train/happy/0.png"])
    (tmp_path / "train" / "sad" / "0.png").rename(tmp_path / "train" / "sad" / "0.PNG")
    table = read_folder(tmp_path, 48)
    assert len(table) == len(written) + 1
    assert {"train/happy/more/x.png", "train/sad/0.PNG"} < set(table.files)


@pytest.mark.parametrize(("name", "nearest"), [("hapy", "happy"), ("Angr", "angry"), ("happines", "happy"), ("xx", "")])
def test_unknown_class_folder_is_named_with_the_nearest_name(tmp_path, name, nearest):
    write_class_folders(tmp_path)
    (tmp_path / "val" / name).mkdir()
    with pytest.raises(UserError, match=f'{name}: expected .* but got "{name}".*nearest valid name is "{nearest}'):
        locate_folder(tmp_path)


def test_missing_splits_are_named(tmp_path):
    write_class_folders(tmp_path)
    (tmp_path / "val").rename(tmp_path / "holdout")
    with pytest.raises(UserError, match=r"dataset\.root=.*but val could not be found \(found: holdout, test, train\)"):
        locate_folder(tmp_path)
    with pytest.raises(
        UserError, match=r"train and val and test could not be found .*no such folder.*dataset=synthetic"
    ):
        locate_folder(tmp_path / "nowhere")


def test_empty_split_is_named(tmp_path):
    write_class_folders(tmp_path)
    for image in (tmp_path / "test").rglob("*.png"):
        image.unlink()
    with pytest.raises(UserError, match="none in test"):
        read_folder(tmp_path, 48)


@pytest.mark.parametrize("clutter", [".ipynb_checkpoints", "@eaDir", "__MACOSX"])
def test_copies_that_programs_and_disks_keep_are_no_faces(tmp_path, clutter):
    written = write_class_folders(tmp_path)
    for folder in ("", "train", "train/happy", "test/sad/deep"):
        write_image(tmp_path / folder / clutter / "happy" / "0-checkpoint.png", written["train/happy/0.png"])
    table = read_folder(tmp_path, 48)
    assert list(table.files) == sorted(written)
    assert table.skipped == ()


@pytest.mark.parametrize("name", ["valid", "validation", "VAL", "Validation"])
def test_splits_may_have_their_other_names(tmp_path, name):
    written = write_class_folders(tmp_path)
    (tmp_path / "val").rename(tmp_path / "between")
    (tmp_path / "between").rename(tmp_path / name)
    (tmp_path / "train").rename(tmp_path / "before")
    (tmp_path / "before").rename(tmp_path / "Train")
    table = read_folder(tmp_path, 48)
    assert len(table.part(Split.VAL)) == len(table.part(Split.TRAIN)) == len(written) / 3
    assert all(file.startswith(f"{name}/") for file in table.part(Split.VAL).files)
    write_class_folders(tmp_path / "more")
    (tmp_path / "more" / "val").rename(tmp_path / ("valid" if name != "valid" else "validation"))
    with pytest.raises(UserError, match=r"expected one folder for val, but got [A-Za-z]+ and [a-z]+: move one"):
        locate_folder(tmp_path)


def test_folders_beside_the_splits_are_named(tmp_path):
    written = write_class_folders(tmp_path)
    write_image(tmp_path / "private_test" / "happy" / "x.png", written["train/happy/0.png"])
    table = read_folder(tmp_path, 48)
    assert len(table) == len(written)
    [said] = table.skipped
    assert said == f"{tmp_path / 'private_test'}: a folder beside train, val and test, which is not read"


@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_unreadable_image_is_named_or_left_out(tmp_path, content):
    written = write_class_folders(tmp_path)
    (tmp_path / "train" / "happy" / "0.png").write_bytes(content)
    with pytest.raises(UserError, match=r"train.happy.0\.png: expected an image, but .*: 1; dataset\.on_error=skip"):
        read_folder(tmp_path, 48)
    table = read_folder(tmp_path, 48, on_error="skip")
    assert len(table) == len(table.images) == len(table.files) == 35
    assert "train/happy/0.png" not in table.files
    assert np.array_equal(table.images, [written[file] for file in table.files])
    assert len(table.skipped) == 1


def test_image_is_cropped_to_its_middle_and_made_gray(tmp_path):
    middle = np.tile(np.arange(0, 200, 2, dtype=np.uint8), (100, 1))
    wide = np.pad(middle, ((0, 0), (30, 30)))
    write_image(tmp_path / "wide.png", cv2.cvtColor(wide, cv2.COLOR_GRAY2BGR))
    write_image(tmp_path / "tall.png", wide.T.copy())
    assert np.array_equal(read_image(tmp_path / "wide.png", 100), middle)
    assert np.array_equal(read_image(tmp_path / "tall.png", 100), middle.T)
    assert np.array_equal(read_image(tmp_path / "wide.png", 50), middle.reshape(50, 2, 50, 2).mean((1, 3)).round())
    assert read_image(tmp_path / "wide.png", 200).shape == (200, 200)


def test_paths_beyond_ascii_are_read(tmp_path):
    write_class_folders(tmp_path / "gesichter-äöü-表情")
    assert len(read_folder(tmp_path / "gesichter-äöü-表情", 48)) == 36
