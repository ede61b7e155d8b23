"""A user's own class folders, and how one image file becomes one square gray image."""

import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from fer.data.image_files import read_image
from fer.data.image_folder import locate_folder, read_folder
from fer.data.readers import read
from fer.data.schema import Folder
from fer.data.table import Split
from fer.emotions import EMOTIONS
from fer.errors import UserError
from tests.data import write_class_folders, write_image


def folder_config(root, **values):
    """Return conf/dataset/folder.yaml as a checked section."""
    plain = {"name": "folder", "root": root, "classes": None, "split": None, "seed": 0, "on_error": "raise"}
    return Folder.model_validate(plain | values)


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


NEAREST = {"hapy": " (happy?)", "Angr": " (angry?)", "happines": " (happy?)", "bored": "", "focused": "", "xx": ""}


@pytest.mark.parametrize(("name", "nearest"), NEAREST.items())
def test_unknown_class_folder_is_named_with_the_nearest_name_if_one_is_near(tmp_path, name, nearest):
    write_class_folders(tmp_path)
    (tmp_path / "val" / name).mkdir()
    with pytest.raises(UserError) as error:
        locate_folder(tmp_path)
    sentence = str(error.value)
    assert sentence.startswith(f"{tmp_path / 'val'}: expected folders named after emotions (angry, ")
    assert f'but got "{name}"{nearest}: rename or move them, or train such names as they are' in sentence
    assert sentence.endswith("by dataset=folder dataset.classes=own")


def test_several_unknown_class_folders_are_one_sentence(tmp_path):
    write_class_folders(tmp_path, ("bored", "focused", "hapy", "happy"))
    with pytest.raises(UserError, match=r'^[^\n]*train: .*but got "bored", "focused", "hapy" \(happy\?\): rename'):
        locate_folder(tmp_path)


def test_names_of_one_s_own_are_classes_after_the_emotions(tmp_path):
    written = write_class_folders(
        tmp_path, ("Focused", "bored", "Sadness", "M\u0075\u0308de")
    )  # as macOS writes accents
    table = read_folder(tmp_path, 48, "own")
    assert table.classes == ("sad", "bored", "focused", "m\u00fcde")
    assert list(table.files) == sorted(written)
    assert list(table.counts()[Split.VAL]) == [2, 2, 2, 2]
    assert read_folder(tmp_path, 48, fit=False).classes == table.classes  # the net will choose among them


@pytest.mark.parametrize("name", ["a$b", "[red]", "-x", "not sure", "a" * 41])
def test_names_that_figures_tables_and_records_could_not_bear_are_refused(tmp_path, name):
    write_class_folders(tmp_path, ("happy", "bored"), per_class=1)
    (tmp_path / "train" / name).mkdir()
    with pytest.raises(
        UserError, match=r"train: expected for each class a name with letters, of at most 40 .*: rename"
    ):
        locate_folder(tmp_path, "own")


def test_more_classes_than_a_net_can_have_are_refused(tmp_path):
    for split in ("train", "val", "test"):
        for number in range(101):
            (tmp_path / split / f"person {number}").mkdir(parents=True)
    with pytest.raises(UserError, match="expected at most 100 classes, but got 101"):
        locate_folder(tmp_path, "own")


@pytest.mark.parametrize("classes", [None, "own"])
def test_numbers_are_no_names(tmp_path, classes):
    write_class_folders(tmp_path, tuple("01234567"), per_class=1)
    with pytest.raises(UserError) as error:
        locate_folder(tmp_path, classes)
    assert 'but got "0", "1", "2", "3", "4", "5" and 2 more: a number is no emotion' in str(error.value)
    assert "differs between data sets: rename" in str(error.value)
    assert "surprise?" not in str(error.value)


SHARES = (0.8, 0.1, 0.1)


def flat(folder, names=("happy", "sad"), per_class=20):
    """Write class folders without splits."""
    rng = np.random.default_rng(0)
    for name in names:
        for number in range(per_class):
            write_image(folder / name / f"{number}.png", rng.integers(0, 256, (8, 8), np.uint8))


def sides(table):
    """Return the split of each image, by its pixels."""
    return {image.tobytes(): split for image, split in zip(table.images, table.splits, strict=True)}


def test_class_folders_alone_are_divided_class_by_class(tmp_path):
    flat(tmp_path)
    with pytest.raises(
        UserError, match=r"train and val and test .*add dataset\.split=\[0\.8,0\.1,0\.1\], which divides"
    ):
        locate_folder(tmp_path)
    table = read_folder(tmp_path, 8, shares=SHARES)
    assert {split.name: list(count) for split, count in table.counts().items()} == {
        "TRAIN": [16, 16],
        "VAL": [2, 2],
        "TEST": [2, 2],
    }
    assert table.skipped == ()
    assert sides(read_folder(tmp_path, 8, shares=SHARES)) == sides(table)
    assert sides(read_folder(tmp_path, 8, shares=SHARES, seed=1)) != sides(table)


def test_a_division_outlives_new_names_and_few_new_files(tmp_path):
    flat(tmp_path, ("happy",), per_class=100)
    before = sides(read_folder(tmp_path, 8, shares=SHARES))
    (tmp_path / "happy" / "0.png").rename(tmp_path / "happy" / "another.png")
    assert sides(read_folder(tmp_path, 8, shares=SHARES)) == before
    for number in range(5):
        write_image(tmp_path / "happy" / f"new {number}.png", np.full((8, 8), number, np.uint8))
    after = sides(read_folder(tmp_path, 8, shares=SHARES))
    assert sum(after[image] != split for image, split in before.items()) <= 3
    assert not any({after[image], split} == {Split.VAL, Split.TEST} for image, split in before.items())


def test_copies_of_a_file_lie_on_one_side(tmp_path):
    flat(tmp_path, per_class=30)
    for number in range(30):  # of every happy face one among the sad, and one under another name
        content = (tmp_path / "happy" / f"{number}.png").read_bytes()
        (tmp_path / "happy" / f"copy {number}.png").write_bytes(content)
        (tmp_path / "sad" / f"copy {number}.png").write_bytes(content)
    table = read_folder(tmp_path, 8, shares=SHARES)
    found = {}
    for image, split in zip(table.images, table.splits, strict=True):
        found.setdefault(image.tobytes(), set()).add(int(split))
    assert {len(splits) for splits in found.values()} == {1}
    assert list(table.counts()[Split.VAL]) == list(table.counts()[Split.TEST]) == [6, 6]


@pytest.mark.parametrize(("count", "expected"), [(1, [1, 0, 0]), (2, [2, 0, 0]), (3, [1, 1, 1]), (9, [7, 1, 1])])
def test_of_few_faces_each_split_has_one_as_far_as_there_are_three(tmp_path, count, expected):
    flat(tmp_path, ("happy",), count)
    table = read_folder(tmp_path, 8, shares=SHARES)
    assert [len(table.part(split)) for split in Split] == expected


def test_what_has_no_folder_is_taken_from_train(tmp_path):
    written = write_class_folders(tmp_path, ("happy", "sad"), per_class=9)
    (tmp_path / "val").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"val could not be found .*, which takes what is missing from train"):
        locate_folder(tmp_path)
    table = read_folder(tmp_path, 48, shares=SHARES)
    assert [len(table.part(split)) for split in Split] == [16, 2, 18]
    assert {file.split("/")[0] for file in table.part(Split.TEST).files} == {"test"}
    assert all(np.array_equal(image, written[file]) for image, file in zip(table.images, table.files, strict=True))
    (tmp_path / "elsewhere").rename(tmp_path / "val")
    with pytest.raises(UserError, match=r"dataset\.split: expected null, since .* has train, val and test of its own"):
        locate_folder(tmp_path, shares=SHARES)


def test_a_test_split_alone_is_enough_for_an_evaluation(tmp_path):
    write_class_folders(tmp_path, ("happy", "sad"))
    (tmp_path / "train").rename(tmp_path / ".train")
    (tmp_path / "val").rename(tmp_path / ".val")
    assert len(read_folder(tmp_path, 48, fit=False)) == 4
    with pytest.raises(UserError, match=r"train and val could not be found \(found: .*test\); make them, or add data"):
        locate_folder(tmp_path)
    (tmp_path / "test").rename(tmp_path / "train")
    with pytest.raises(UserError, match=r"expected the folder test \(or val\).*, but it could not be found"):
        locate_folder(tmp_path, fit=False)


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
        read(folder_config(tmp_path), 48)


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


@pytest.mark.parametrize("suffix", ["jfif", "JPE", "gif", "pgm"])
def test_class_folders_may_hold_any_kind_of_still_picture(tmp_path, suffix):
    written = write_class_folders(tmp_path)
    for path in list(tmp_path.rglob("*.png")):
        Image.open(path).save(path.with_suffix(f".{suffix}"))
        path.unlink()
    table = read_folder(tmp_path, 48)
    assert [file.replace(suffix, "png") for file in table.files] == sorted(written)
    if suffix in ("gif", "pgm"):
        assert np.array_equal(table.images, [written[file] for file in sorted(written)])


def test_photo_of_a_phone_in_a_class_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    write_class_folders(tmp_path)
    (tmp_path / "train/happy/IMG_2.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(UserError, match=r"IMG_2\.HEIC: .*this is HEIC: convert it to JPEG, or pip install pillow-heif"):
        read_folder(tmp_path, 48)
    [said] = read_folder(tmp_path, 48, on_error="skip").skipped
    assert "IMG_2.HEIC" in said


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
