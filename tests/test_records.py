"""Records: their exact form, one for every frame, and what is left after interruptions and failures."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fer.errors import RunError, Terminated, UserError
from fer.faces.detection import CropRegion, Detection
from fer.inference.io.records import Records
from fer.inference.results import FaceResult, Frame

CLASSES = ("angry", "happy", "sad")
IMAGE = np.zeros((4, 4, 3), np.uint8)

CROP = np.zeros((24, 24), np.uint8)


def seen(track: int | None = 1, emotion: str = "happy") -> FaceResult:
    face = Detection((np.float32(10.04), -3.26, 20.0, 30.55), np.float32(0.97123456))
    return FaceResult(
        face, CropRegion((20, 12), 30), track, np.float32([0.00004, 0.99993, 0.00003]), emotion, None, CROP
    )


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_clip_has_a_line_for_every_frame(tmp_path):
    path = tmp_path / "b.jsonl"
    with Records(path, CLASSES) as records:
        records.frame(Frame(0, 0.0, IMAGE), [seen(1), seen(2, "not sure")])
        records.frame(Frame(1, 1 / 30, IMAGE), [])
        records.frame(Frame(2, 2 / 30, None), [])
    face = {
        "track": 1,
        "box": [10.0, -3.3, 20.0, 30.6],
        "score": 0.9712,
        "emotion": "happy",
        "probabilities": {"angry": 0.0, "happy": 0.9999, "sad": 0.0},
    }
    assert lines(path) == [
        {"frame": 0, "time": 0.0, "faces": [face, face | {"track": 2, "emotion": "not sure"}]},
        {"frame": 1, "time": 0.0333, "faces": []},
        {"frame": 2, "time": 0.0667, "faces": [], "error": "could not be decoded"},
    ]
    assert list(tmp_path.iterdir()) == [path]


def test_photos_have_a_name_and_no_tracks(tmp_path):
    path = tmp_path / "b.jsonl"
    with Records(path, CLASSES) as records:
        records.photo("été/é.jpg", [seen(None)])
        records.photo("b.jpg", [])
    first, second = lines(path)
    assert list(first) == ["file", "faces"]
    assert first["file"] == "été/é.jpg"
    assert list(first["faces"][0]) == ["box", "score", "emotion", "probabilities"]
    assert second == {"file": "b.jpg", "faces": []}


def test_csv_has_a_row_for_every_face_and_for_every_frame_without(tmp_path):
    path = tmp_path / "b.csv"
    with Records(path, CLASSES, "csv") as records:
        records.frame(Frame(0, 0.0, IMAGE), [seen(1), seen(2)])
        records.frame(Frame(1, 0.04, IMAGE), [])
        records.frame(Frame(2, 0.08, None), [])
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    happy = ["10.0", "-3.3", "20.0", "30.6", "0.9712", "happy", "0.0", "0.9999", "0.0", ""]
    assert rows == [
        ["frame", "time", "track", "x", "y", "w", "h", "score", "emotion", *CLASSES, "error"],
        ["0", "0.0", "1", *happy],
        ["0", "0.0", "2", *happy],
        ["1", "0.04", *[""] * 11],
        ["2", "0.08", *[""] * 10, "could not be decoded"],
    ]


def test_csv_of_photos_quotes_their_names(tmp_path):
    path = tmp_path / "b.csv"
    with Records(path, CLASSES, "csv") as records:
        records.photo('a, "b".jpg', [seen(None)])
    with path.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == ["file", "x", "y", "w", "h", "score", "emotion", *CLASSES, "error"]
    assert (row["file"], row["x"], row["happy"]) == ('a, "b".jpg', "10.0", "0.9999")


def test_lines_are_in_the_partial_file_at_once(tmp_path):
    with Records(tmp_path / "b.jsonl", CLASSES) as records:
        for index in range(3):
            records.frame(Frame(index, index / 25, IMAGE), [seen()])
            assert [line["frame"] for line in lines(tmp_path / "b.partial.jsonl")] == list(range(index + 1))
            assert not records.path.exists()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Terminated])
def test_interrupted_records_are_complete(tmp_path, stop):
    path = tmp_path / "b.jsonl"
    path.write_text("old\n")
    with pytest.raises(stop), Records(path, CLASSES) as records:
        records.frame(Frame(0, 0.0, IMAGE), [])
        raise stop
    assert [line["frame"] for line in lines(path)] == [0]
    assert list(tmp_path.iterdir()) == [path]


def test_error_replaces_nothing_and_leaves_what_there_is(tmp_path):
    path = tmp_path / "b.jsonl"
    path.write_text("old\n")
    with pytest.raises(ZeroDivisionError), Records(path, CLASSES) as records:
        records.frame(Frame(0, 0.0, IMAGE), [])
        raise ZeroDivisionError
    assert path.read_text() == "old\n"
    assert len(lines(tmp_path / "b.partial.jsonl")) == 1


@pytest.mark.parametrize("stop", [None, KeyboardInterrupt, ValueError])
def test_nothing_recorded_leaves_everything_as_it_was(tmp_path, stop):
    path = tmp_path / "b.jsonl"
    path.write_text("old\n")
    try:
        with Records(path, CLASSES):
            if stop:
                raise stop
    except (KeyboardInterrupt, ValueError):
        pass
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="links are of POSIX")
def test_part_that_a_kill_left_is_in_nobodys_way_and_no_link_is_followed(tmp_path):
    (tmp_path / "victim").write_text("old\n")
    (tmp_path / "b.partial.jsonl").symlink_to("victim")
    for _ in "ab":
        with Records(tmp_path / "b.jsonl", CLASSES) as records:
            records.frame(Frame(0, 0.0, IMAGE), [])
        (tmp_path / "b.partial.jsonl").write_text("left\n")
    assert (tmp_path / "victim").read_text() == "old\n"
    assert len(lines(tmp_path / "b.jsonl")) == 1


@pytest.mark.parametrize(("name", "reason"), [("nowhere/b.jsonl", "No such file"), ("folder.jsonl", "it is a folder")])
def test_impossible_places_are_refused(tmp_path, name, reason):
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(UserError, match=rf"{name}: expected to write .*{reason}"):
        Records(tmp_path / name, CLASSES)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_full_disk_fails_in_one_sentence(tmp_path, kind, monkeypatch):
    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda _, *words, **options: opened(Path("/dev/full"), *words, **options))
    with (
        pytest.raises(RunError, match=r"could not be written \(No space left on device\).*b\.partial"),
        Records(tmp_path / f"b.{kind}", CLASSES, kind) as records,
    ):
        records.frame(Frame(0, 0.0, IMAGE), [seen()])
    assert not records.path.exists()
