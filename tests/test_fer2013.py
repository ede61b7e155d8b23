"""FER2013 in its three forms, its cache, and what the reader says about files that are not as they should be."""

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from fer.data import cache
from fer.data.fer2013 import read_fer2013
from fer.data.layouts import locate as locate_copy
from fer.data.readers import locate, read
from fer.data.schema import Fer2013
from fer.data.table import Split
from fer.emotions import EMOTIONS
from fer.errors import UserError
from tests.data import (
    edit_line,
    make_faces,
    pixels,
    write_fer2013_csv,
    write_icml_csv,
    write_image,
    write_kaggle_folders,
)

REAL = Path(os.environ.get("FER_DATA", "no data"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FER_CACHE", str(folder))
    return folder


def fer2013(root, on_error="raise", split="official"):
    """Return conf/dataset/fer2013.yaml as a checked section."""
    return Fer2013(name="fer2013", root=root, classes=6, on_error=on_error, split=split)


@pytest.mark.parametrize("write", [write_fer2013_csv, write_icml_csv])
@pytest.mark.parametrize("classes", [6, 7])
def test_csv_gives_every_row_of_the_vocabulary(tmp_path, write, classes):
    faces = write(tmp_path)
    table = read_fer2013(tmp_path, 48, classes)
    kept = np.flatnonzero(faces.emotions < classes)
    assert table.classes == EMOTIONS[:classes]
    assert np.array_equal(table.images, faces.images[kept])
    assert np.array_equal(table.labels, faces.emotions[kept])
    assert np.array_equal(table.targets.sum(1), np.ones(len(kept)))
    assert np.array_equal(table.splits, faces.splits[kept])
    assert np.array_equal(table.rows, kept)
    assert table.files is None
    assert table.skipped == ()


def test_root_may_be_the_file_and_csv_comes_before_folders(tmp_path):
    write_kaggle_folders(tmp_path)
    write_icml_csv(tmp_path, seed=1)
    assert locate_copy(tmp_path).found == tmp_path / "icml_face_data.csv"
    faces = write_fer2013_csv(tmp_path, seed=2)
    assert locate_copy(tmp_path).found == tmp_path / "fer2013.csv"
    table = read_fer2013(tmp_path / "fer2013.csv", 48, 7)
    assert np.array_equal(table.images, faces.images)


def test_windows_line_ends_quotes_and_byte_order_mark_are_read(tmp_path):
    faces = write_fer2013_csv(tmp_path)
    path = tmp_path / "fer2013.csv"
    lines = [",".join(f'"{field}"' for field in line.split(",")) for line in path.read_text().splitlines()]
    path.write_bytes(("\ufeff" + "\r\n".join([*lines, "", ""])).encode())
    assert np.array_equal(read_fer2013(tmp_path, 48, 7).images, faces.images)


@pytest.mark.parametrize("below", ["", "images"])
def test_named_folder_copy_has_the_splits_of_its_file_names(tmp_path, below):
    faces = write_kaggle_folders(tmp_path / below)
    table = read_fer2013(tmp_path, 48, 7)
    number = np.array([int(Path(file).stem.split("_")[1]) for file in table.files])
    assert sorted(number) == list(range(len(faces.images)))
    assert np.array_equal(table.splits, faces.splits[number])
    assert np.array_equal(table.labels, faces.emotions[number])
    assert np.abs(table.images.astype(int) - faces.images[number]).max() < 8  # JPEG at its best
    assert list(table.files) == sorted(table.files)
    six = read_fer2013(tmp_path, 48, 6)
    assert [table.files[row] for row in six.rows] == list(six.files)


def test_unnamed_folder_copy_of_other_faces_is_taken_only_as_it_is_and_validation_from_each_class_of_train(tmp_path):
    write_kaggle_folders(tmp_path, per_class=15, named=False)
    with pytest.raises(UserError, match=r"of 315 images 0 are known, .* or dataset\.split=as_is"):
        read_fer2013(tmp_path, 48, 7)
    table = read_fer2013(tmp_path, 48, 7, split="as_is")
    assert table.facts["dataset_split"] == "as_is"
    assert {split.name: list(count) for split, count in table.counts().items()} == {
        "TRAIN": [13] * 7,
        "VAL": [2] * 7,  # 1.5, rounded up
        "TEST": [30] * 7,
    }
    assert all(file.startswith("train/") for file in table.part(Split.VAL).files)
    six = read_fer2013(tmp_path, 48, 6, split="as_is")
    assert six.part(Split.VAL).files == table.select(table.labels < 6).part(Split.VAL).files


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_folder_copy_with_a_validation_folder_has_its_splits(tmp_path, name):
    write_kaggle_folders(tmp_path, named=False)
    for emotion in EMOTIONS[:6]:
        write_image(tmp_path / name / emotion / "a.jpg", make_faces().images[0])
    write_image(tmp_path / "extra" / "sad" / "a.jpg", make_faces().images[0])
    table = read_fer2013(tmp_path, 48, split="as_is")
    assert [len(table.part(split)) for split in Split] == [12, 6, 24]
    assert all(file.startswith(f"{name}/") for file in table.part(Split.VAL).files)
    assert [str(tmp_path / "extra") in sentence for sentence in table.skipped] == [True]


def test_a_validation_folder_without_class_folders_is_not_passed_over(tmp_path):
    write_kaggle_folders(tmp_path)
    write_image(tmp_path / "val" / "a.jpg", make_faces().images[0])
    with pytest.raises(UserError, match=r"val: expected folders named after emotions .*, but it has none"):
        locate(fer2013(tmp_path))


@pytest.mark.parametrize("size", [32, 64])
def test_images_have_the_asked_size(tmp_path, size):
    write_fer2013_csv(tmp_path / "csv")
    write_kaggle_folders(tmp_path / "folders")
    for name in ("csv", "folders"):
        assert read_fer2013(tmp_path / name, size).images.shape == (36, size, size)


def test_second_start_reads_the_cache_until_the_file_changes(tmp_path, own_cache, monkeypatch):
    faces = write_fer2013_csv(tmp_path)
    first = read_fer2013(tmp_path, 48, 7)
    assert [path.suffix for path in own_cache.iterdir()] == [".safetensors"]
    with monkeypatch.context() as patch:
        patch.setattr("fer.data.fer2013_csv._parse", None)
        second = read_fer2013(tmp_path, 48, 7)
    for name in ("images", "targets", "splits", "rows"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
        assert getattr(first, name).dtype == getattr(second, name).dtype
    edit_line(
        tmp_path / "fer2013.csv", 2, pixels(faces.images[0])[:20], "7 " + pixels(faces.images[0])[:20].split(" ", 1)[1]
    )
    assert read_fer2013(tmp_path, 48, 7).images[0, 0, 0] == 7


@pytest.mark.parametrize("content", [b"", b"not a safetensors file", "half"])
def test_damaged_cache_is_made_again(tmp_path, own_cache, content):
    faces = write_fer2013_csv(tmp_path)
    read_fer2013(tmp_path, 48)
    (saved,) = own_cache.iterdir()
    whole = saved.read_bytes()
    saved.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    assert np.array_equal(read_fer2013(tmp_path, 48, 7).images, faces.images)
    assert saved.stat().st_size == len(whole)


def poison(saved: Path, change, checked: bool) -> None:
    """Change what the cache holds, as damage does, or as someone who makes a checksum too."""
    with safe_open(saved, framework="numpy") as file:
        arrays, header = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    arrays = change(arrays)
    if checked:
        header["sha256"] = cache._checksum(arrays)
    save_file(arrays, saved, metadata=header)


POISONS = {
    "no images": lambda arrays: {name: arrays[name] for name in ("emotions", "splits")},
    "one more": lambda arrays: arrays | {"more": arrays["splits"]},
    "nothing": lambda arrays: {},
    "floats": lambda arrays: arrays | {"images": arrays["images"].astype(np.float32)},
    "larger integers": lambda arrays: arrays | {"emotions": arrays["emotions"].astype(np.int64)},
    "negative labels": lambda arrays: arrays | {"emotions": arrays["emotions"].astype(np.int8) - 7},
    "a scalar": lambda arrays: arrays | {"splits": np.array(1, np.uint8)},
    "shorter": lambda arrays: {name: array[:-1] for name, array in arrays.items()},
    "shorter labels": lambda arrays: arrays | {"emotions": arrays["emotions"][:-1]},
    "no faces": lambda arrays: arrays | {"images": arrays["images"][:0]},
    "47 wide": lambda arrays: arrays | {"images": np.ascontiguousarray(arrays["images"][:, :, :47])},
    "flat": lambda arrays: arrays | {"images": arrays["images"].reshape(-1)},
    "emotion 9": lambda arrays: arrays | {"emotions": arrays["emotions"] + np.uint8(3)},
    "split 9": lambda arrays: arrays | {"splits": arrays["splits"] + np.uint8(7)},
    "labels rolled": lambda arrays: arrays | {"emotions": np.roll(arrays["emotions"], 1)},
    "splits rolled": lambda arrays: arrays | {"splits": np.roll(arrays["splits"], 1)},
    "a byte": lambda arrays: arrays | {"images": arrays["images"] ^ np.uint8(1)},
}
POSSIBLE = {"shorter", "labels rolled", "splits rolled", "a byte"}  # only the checksum tells these from the file


@pytest.mark.parametrize(
    ("change", "checked"),
    [*((change, False) for change in POISONS), *((change, True) for change in POISONS if change not in POSSIBLE)],
)
def test_a_cache_that_holds_something_else_is_made_again(tmp_path, own_cache, change, checked):
    faces = write_fer2013_csv(tmp_path)
    read_fer2013(tmp_path, 48)
    (saved,) = own_cache.iterdir()
    poison(saved, POISONS[change], checked)
    table = read_fer2013(tmp_path, 48, 7)
    assert np.array_equal(table.images, faces.images)
    assert np.array_equal(table.labels, faces.emotions)
    assert np.array_equal(table.splits, faces.splits)
    source = tmp_path / "fer2013.csv"
    assert np.array_equal(cache.load(source, cache.stamp(source))["emotions"], faces.emotions)


@pytest.mark.skipif(os.name == "nt", reason="files have no owner's number there")
def test_a_cache_that_others_could_write_is_not_believed(tmp_path, own_cache, monkeypatch):
    faces = write_fer2013_csv(tmp_path)
    read_fer2013(tmp_path, 48)
    (saved,) = own_cache.iterdir()

    def labels(mode: int) -> list[int]:
        poison(saved, POISONS["labels rolled"], True)
        saved.chmod(mode)
        return read_fer2013(tmp_path, 48, 7).labels.tolist()

    assert labels(0o600) == np.roll(faces.emotions, 1).tolist()  # one's own, which nobody else can have written
    assert labels(0o666) == faces.emotions.tolist()
    monkeypatch.setattr(os, "geteuid", lambda: saved.stat().st_uid + 1)
    assert labels(0o600) == faces.emotions.tolist()


@pytest.mark.skipif(os.name == "nt", reason="files do not say when they were changed there")
def test_cache_of_a_file_whose_time_was_restored_is_made_again(tmp_path):
    faces = write_fer2013_csv(tmp_path)
    path = tmp_path / "fer2013.csv"
    read_fer2013(tmp_path, 48)
    before = path.stat()
    edit_line(path, 2, "0,", "1,")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert read_fer2013(tmp_path, 48, 7).labels[0] == 1 != faces.emotions[0]


def test_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    faces = write_fer2013_csv(tmp_path)
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "fer2013.csv" / "below a file"))
    assert np.array_equal(read_fer2013(tmp_path, 48, 7).images, faces.images)


def test_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("FER_CACHE")
    monkeypatch.setenv("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "fer"


FIRST = pixels(make_faces().images[0])
BAD_ROWS = {
    "few pixels": (FIRST, "1 2 3", "2304 pixel values, but got 3"),
    "bright pixel": (FIRST, "256 " + FIRST.split(" ", 1)[1], "from 0 to 255, but got 0 to 256"),
    "negative pixel": (FIRST, "-1 " + FIRST.split(" ", 1)[1], "from 0 to 255, but got -1"),
    "no number": (FIRST, "x" + FIRST, "whole numbers"),
    "unknown emotion": ("0,", "8,", 'from 0 to 6, but got "8"'),
    "no emotion": ("0,", ",", 'from 0 to 6, but got ""'),
    "unknown usage": ("Training", "Train", 'PrivateTest, but got "Train"'),
    "few columns": (",Training", "", "but got fewer"),
}


@pytest.mark.parametrize(("old", "new", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_row_is_named_or_left_out(tmp_path, own_cache, old, new, message):
    faces = write_fer2013_csv(tmp_path)
    edit_line(tmp_path / "fer2013.csv", 2, old, new)
    with pytest.raises(UserError, match=r"fer2013\.csv, line 2: ") as error:
        read_fer2013(tmp_path, 48)
    assert message in str(error.value)
    assert "dataset.on_error=skip" in str(error.value)
    table = read_fer2013(tmp_path, 48, 7, on_error="skip")
    assert np.array_equal(table.rows, np.arange(1, len(faces.images)))
    assert np.array_equal(table.images, faces.images[1:])
    assert len(table.skipped) == 1
    assert message in table.skipped[0]
    assert list(own_cache.iterdir()) == []


def test_many_bad_rows_are_counted_and_stop_the_reading(tmp_path):
    write_fer2013_csv(tmp_path)
    path = tmp_path / "fer2013.csv"
    text = path.read_text()
    path.write_text(text.replace("PublicTest", "Public", 3))
    with pytest.raises(UserError, match=r"line 16: .*: 3; dataset.on_error=skip"):
        read_fer2013(tmp_path, 48)
    path.write_text(text.replace("PublicTest", "Public"))
    with pytest.raises(UserError, match=r"line 16: .*: at least 10; "):
        read_fer2013(tmp_path, 48)
    with pytest.raises(UserError, match="none in val"):
        read(fer2013(tmp_path, on_error="skip"), 48)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("emotion,pixels\n0,1 2 3\n", "no usage;"),
        ("pixels,Usage\n1 2 3,Training\n", "no emotion;"),
        ("0,1 2 3,Training\n", "a row of data: write these names"),
        ("face;label\n", "'face;label'"),
    ],
)
def test_wrong_header_is_named(tmp_path, content, found):
    (tmp_path / "fer2013.csv").write_text(content)
    expected = rf"fer2013\.csv, line 1: expected the columns emotion, pixels and Usage, but got {found}"
    with pytest.raises(UserError, match=expected):
        read_fer2013(tmp_path, 48, on_error="skip")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "a pointer of Git LFS"),
        (b"\x89PNG\r\n", "a picture"),
    ],
)
def test_what_is_no_csv_file_is_named(tmp_path, content, kind):
    (tmp_path / "fer2013.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"fer2013\.csv: expected a CSV file, but this is {kind}"):
        read_fer2013(tmp_path, 48)


@pytest.mark.parametrize("start", ["", "emotion,pixels,Usage\n"])
def test_a_line_without_end_is_not_read_into_memory(tmp_path, start):
    with (tmp_path / "fer2013.csv").open("w") as file:
        file.write(start)
        file.truncate(10**7)  # of zeros
    with pytest.raises(
        UserError, match=r"fer2013\.csv, line [12]: expected (at most 100,000 characters|text in UTF-8)"
    ):
        read_fer2013(tmp_path, 48)


def rewritten(path, change):
    """Change every line of a file, the header too; return the path."""
    path.write_text("\n".join(change(line) for line in path.read_text().splitlines()) + "\n")
    return path


def listed(line):
    """Write the pixels as Python does a list, in quotes since there are commas in it."""
    emotion, digits, usage = line.split(",")
    return line if digits == "pixels" else f'{emotion},"[{digits.replace(" ", ", ")}]",{usage}'


VARIANTS = {
    "semicolons": lambda line: line.replace(",", ";"),
    "tabs": lambda line: line.replace(",", "\t"),
    "lists": listed,
    "lists between semicolons": lambda line: (
        listed(line).replace(",", ";", 1).replace(",T", ";T").replace(",P", ";P")
        if line[0].isdigit()
        else line.replace(",", ";")
    ),
    "codes as floats": lambda line: line.replace(",", ".0,", 1) if line[0].isdigit() else line,
    "small header": lambda line: line.replace("emotion,pixels,Usage", "Emotion,PIXELS,usage"),
    "a comma at the end": lambda line: line + ",",
}


@pytest.mark.parametrize("change", VARIANTS.values(), ids=VARIANTS)
def test_what_spreadsheets_and_scripts_make_of_the_csv_is_read(tmp_path, change):
    faces = write_fer2013_csv(tmp_path)
    plain = (tmp_path / "fer2013.csv").read_text()
    assert rewritten(tmp_path / "fer2013.csv", change).read_text() != plain
    table = read_fer2013(tmp_path, 48, 7)
    assert np.array_equal(table.images, faces.images)
    assert np.array_equal(table.labels, faces.emotions)
    assert np.array_equal(table.splits, faces.splits)


def test_pixels_in_columns_of_their_own_are_named(tmp_path):
    write_fer2013_csv(tmp_path)
    rewritten(tmp_path / "fer2013.csv", lambda line: line.replace(" ", ","))
    with pytest.raises(
        UserError, match="line 2: expected all pixels in one column, but got them in several: put blanks"
    ):
        read_fer2013(tmp_path, 48)


def test_contempt_in_a_file_of_this_form_is_left_out_and_said(tmp_path):
    faces = write_fer2013_csv(tmp_path)
    path = tmp_path / "fer2013.csv"
    edit_line(path, 2, "0,", "7,")
    edit_line(path, 4, "2,", "7.0,")
    table = read_fer2013(path, 48, 7)
    kept = np.delete(np.arange(len(faces.images)), [0, 2])
    assert np.array_equal(table.rows, kept)
    assert np.array_equal(table.images, faces.images[kept])
    assert table.skipped == (f"{path}: 2 faces of code 7, which FER2013 does not have (contempt in CK+)",)
    edit_line(path, 3, "1,", "8,")
    with pytest.raises(
        UserError, match=r'line 3: .* from 0 to 6, but got "8" \(bad rows or images: 1; dataset.on_error'
    ):
        read_fer2013(path, 48)
    assert len(read_fer2013(path, 48, on_error="skip").skipped) == 2


def packed(path, kind):
    """Put the file into an archive of its own name."""
    data, content = io.BytesIO(), path.read_bytes()
    if kind == "ZIP":
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr(path.name, content)
    elif kind == "TAR":
        with tarfile.open(fileobj=data, mode="w") as archive:
            archive.add(path, path.name)
    path.write_bytes(gzip.compress(content) if kind == "gzip" else data.getvalue())


@pytest.mark.parametrize("kind", ["ZIP", "TAR", "gzip"])
def test_an_archive_is_named_before_anything_is_read(tmp_path, kind):
    write_fer2013_csv(tmp_path)
    path = tmp_path / "fer2013.csv"
    packed(path, kind)
    with pytest.raises(
        UserError, match=rf"fer2013\.csv: expected a CSV file, but this is an archive \({kind}.*: unpack"
    ):
        locate_copy(tmp_path)
    path.rename(tmp_path / "fer2013.tar.gz")
    with pytest.raises(UserError, match=r"found fer2013\.tar\.gz, an archive: unpack it"):
        locate_copy(tmp_path)
    with pytest.raises(UserError, match=r"fer2013\.tar\.gz: expected a CSV file, but this is an archive"):
        locate_copy(tmp_path / "fer2013.tar.gz")


def test_a_login_page_in_place_of_the_csv_is_named(tmp_path):
    (tmp_path / "fer2013.csv").write_text("<!DOCTYPE html><html><head>")
    with pytest.raises(UserError, match="but this is a web page, perhaps one that asks for a login: download"):
        locate_copy(tmp_path)


def test_the_challenge_s_own_two_files_are_named(tmp_path):
    rewritten(write_fer2013_csv(tmp_path) and tmp_path / "fer2013.csv", lambda line: line.rpartition(",")[0])
    (tmp_path / "fer2013.csv").rename(tmp_path / "train.csv")
    (tmp_path / "test.csv").write_text("pixels\n1 2\n")
    with pytest.raises(UserError, match=r"test\.csv, line 1: .*, but got 'pixels': .* no emotions; take fer2013"):
        locate_copy(tmp_path)
    (tmp_path / "test.csv").unlink()
    with pytest.raises(UserError, match=r"found train\.csv, which has no Usage: .* take fer2013"):
        locate_copy(tmp_path)
    with pytest.raises(UserError, match=r"expected the columns emotion, pixels and Usage, but got no usage;"):
        read_fer2013(tmp_path / "train.csv", 48)


@pytest.mark.parametrize("below", ["", "images"])
def test_folder_copies_without_test_are_told_the_cure(tmp_path, below):
    write_kaggle_folders(tmp_path / below)
    (tmp_path / below / "test").rename(tmp_path / below / "elsewhere")
    with pytest.raises(UserError, match=r"expected train and test, but found only train: make .*, or take ") as e:
        locate_copy(tmp_path)
    assert f"dataset=folder dataset.root={tmp_path / below} dataset.split=[0.8,0.1,0.1]" in str(e.value)


def test_what_was_found_instead_is_said(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "FER.csv").touch()
    with pytest.raises(UserError, match=r"but found FER\.csv, faces/, nearest to .*\?; what is read: "):
        locate_copy(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_another_encoding_is_named(tmp_path, encoding):
    write_fer2013_csv(tmp_path)
    path = tmp_path / "fer2013.csv"
    path.write_text(path.read_text(), encoding=encoding)
    with pytest.raises(
        UserError, match=r"line 1: expected text in UTF-8, but got bytes of 0, as UTF-16 has them: save"
    ):
        read_fer2013(tmp_path, 48)


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path):
    write_fer2013_csv(tmp_path / "\x1b[2J")
    path = tmp_path / "\x1b[2J" / "fer2013.csv"
    edit_line(path, 2, "0,", "\x1b]0;owned\x07,")
    with pytest.raises(UserError) as error:
        read_fer2013(path, 48)
    assert "\x1b" not in str(error.value)
    assert r"\x1b[2J" in str(error.value) and r'but got "\x1b]0;owned\x07"' in str(error.value)
    [sentence] = read_fer2013(path, 48, on_error="skip").skipped
    assert "\x1b" not in sentence


def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path, monkeypatch):
    write_fer2013_csv(tmp_path)
    forbidden = PermissionError(13, "Permission denied", str(tmp_path / "fer2013.csv"))
    monkeypatch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(forbidden))
    with pytest.raises(
        UserError, match=r"fer2013\.csv: expected a file or folder that can be read, but permission den"
    ):
        read(fer2013(tmp_path), 48)


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", lambda: 1)() == 0, reason="nothing is forbidden here")
@pytest.mark.parametrize("closed", ["", "train", "train/sad"])
def test_folders_that_may_not_be_read_are_one_sentence(tmp_path, closed):
    write_kaggle_folders(tmp_path / "data")
    (tmp_path / "data" / closed).chmod(0)
    try:
        with pytest.raises(UserError, match=r"expected a file or folder that can be read, but permission denied"):
            locate(config := fer2013(tmp_path / "data"))
            read(config, 48)
    finally:
        (tmp_path / "data" / closed).chmod(0o700)


def test_file_without_rows_has_empty_splits(tmp_path):
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(UserError, match="none in train and val and test"):
        read(fer2013(tmp_path), 48)


@pytest.mark.parametrize("below", ["", "nowhere"])
def test_missing_files_are_listed_with_their_source(tmp_path, below):
    with pytest.raises(UserError, match=r"dataset\.root=.*fer2013\.csv.*icml_face_data\.csv.*train/") as error:
        locate_copy(tmp_path / below)
    assert "Kaggle" in str(error.value)
    assert "dataset=synthetic" in str(error.value)


def test_unknown_class_folder_is_named_before_reading(tmp_path):
    write_kaggle_folders(tmp_path)
    (tmp_path / "train" / "happy").rename(tmp_path / "train" / "hapy")
    with pytest.raises(UserError, match=r'train: .*but got "hapy" \(happy\?\): rename'):
        locate_copy(tmp_path)


def test_folder_copy_without_private_names_has_no_test_split(tmp_path):
    for split, usage in (("train", "Training"), ("test", "PublicTest")):
        write_image(tmp_path / split / "sad" / f"{usage}_1.jpg", make_faces().images[0])
    with pytest.raises(UserError, match="none in test"):
        read(fer2013(tmp_path), 48)


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="FER_DATA names no folder")
def test_real_counts_of_csv_and_cache_agree():
    for _ in range(2):
        assert_real_counts(REAL)
    counts = read_fer2013(REAL, 48, 7).counts()
    assert list(counts[Split.TRAIN]) == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert counts[Split.VAL].sum() == counts[Split.TEST].sum() == 3589


@pytest.mark.real
@pytest.mark.skipif(not (REAL / "images").is_dir(), reason="FER_DATA has no images/, the folder copy")
def test_real_counts_of_the_folder_copy_are_the_same():
    assert_real_counts(REAL / "images")


def assert_real_counts(root):
    table = read_fer2013(root, 48, 6)
    assert [len(table.part(split)) for split in Split] == [23_744, 2_982, 2_963]
    assert table.skipped == ()
