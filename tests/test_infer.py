"""The command `infer.py`: photos, crops and clips of drawn faces in, pictures, records and clips out."""

import contextlib
import csv
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from fer.command import main
from fer.commands import infer
from fer.data.image_folder import read_folder
from fer.data.synthetic import draw_faces
from fer.emotions import class_names
from fer.errors import RunError
from fer.faces.detection import Detection
from fer.inference.io.input_kind import mode_of
from fer.inference.io.output_paths import claimed, new_folder
from fer.inference.io.records import Records
from fer.inference.io.video_reader import VideoReader
from fer.inference.io.video_writer import VideoWriter
from fer.inference.modes.video import RecordingWriter
from fer.inference.parallel import ahead
from fer.inference.pipeline import Pipeline
from fer.weights import read_weights, save_weights
from tests.clips import read_clip, write_clip
from tests.conftest import Result
from tests.runs import ROOT
from tests.scenes import PLACES, records, scene

HAAR = "detector=haar"  # needs no file


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, weights):
    """Return a function that runs `python infer.py ...` within this process, in an empty folder, on a tiny net."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    handler = signal.getsignal(signal.SIGTERM)

    def call(*words: str, weights: Path | None = weights) -> Result:
        chosen = [] if not weights or any(word.startswith("weights=") for word in words) else [f"weights={weights}"]
        monkeypatch.setattr(sys, "argv", ["infer.py", *chosen, *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(infer.__file__, infer.schema, infer.check, infer.task, bare="input")
        return Result(end.value.code, *capsys.readouterr())

    yield call
    signal.signal(signal.SIGTERM, handler)


def write_scene(path: Path, places=PLACES) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(path.suffix, scene(places=places))[1].tofile(path)
    return path


def assert_places(faces, step=0):
    """Check that each drawn face has a record with its box."""
    found = sorted(face["box"] for face in faces)
    assert len(found) == len(PLACES)
    for (x, y, width, height), (left, top, side) in zip(found, PLACES, strict=True):
        assert abs(x + width / 2 - left - step - side / 2) < 0.1 * side
        assert abs(y + height / 2 - top - side / 2) < 0.15 * side


def test_one_photo_gives_a_picture_and_its_records(run, tmp_path):
    write_scene(tmp_path / "my photo (1), a=b.jpg")
    result = run("mode=image", "input=my photo (1), a=b.jpg", "output=two faces.png", HAAR)
    assert result.code == 0, result.err
    [record] = records(tmp_path / "two faces.jsonl")
    assert "1 photo, 2 faces; " in result.out
    assert_places(record["faces"])
    for face in record["faces"]:
        assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert face["emotion"] == max(face["probabilities"], key=face["probabilities"].get)
    drawn, before = cv2.imread(str(tmp_path / "two faces.png")), cv2.imread(str(tmp_path / "my photo (1), a=b.jpg"))
    assert drawn.shape == before.shape
    assert (drawn != before).any(2).mean() > 0.05


def test_the_net_that_knows_neutral_is_taken_if_none_is_named(run, tmp_path):
    write_scene(tmp_path / "a.png")
    assert run("mode=image", "input=a.png", "output=b.png", HAAR, weights=None).code == 0
    assert list(records(tmp_path / "b.jsonl")[0]["faces"][0]["probabilities"]) == list(class_names(8))


def test_the_mode_follows_from_the_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, suffix in (("photo", ".jpg"), ("a.gif", ".png")):  # known by what is in them
        write_scene(tmp_path / f"photos/a{suffix}").rename(name)
    (tmp_path / "clip").write_bytes(b"no picture")
    kinds = {
        "webcam": (None, "0", "17", "/dev/video0", "rtsp://a/b.mp4", "http://a/c.jpg"),
        "image": ("photos", "photo", "a.gif", "gone.JPG", "photos/*", "photos/*.png", "photos/*.jp*", "gone", "both"),
        "video": ("a.mp4", "clip", "~/a.mov", "clips/*.mp4", "clips", "clips/*", "clips/**/*.m*", "both/a.*"),
    }
    for name in (
        "clips/a.MP4",
        "clips/more/b.mov",
        "clips/notes.txt",
        "both/a.mp4",
        "both/z/b.jpg",
        "clips/.hidden.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {name: [mode_of(input) for input in inputs] for name, inputs in kinds.items()} == {
        name: [name] * len(inputs) for name, inputs in kinds.items()
    }


def test_a_word_that_is_a_file_is_the_input_and_tells_the_mode(run, tmp_path):
    write_scene(tmp_path / "my photo, a=b (1).jpg")
    assert run("my photo, a=b (1).jpg", "output=b.png", HAAR).code == 0
    assert_places(records(tmp_path / "b.jsonl")[0]["faces"])
    write_clip(tmp_path / "a clip.mp4", 2, picture=scene)
    assert run("a clip.mp4", "output=c.mp4", HAAR).code == 0
    assert len(records(tmp_path / "c.jsonl")) == 2
    assert run("mode=crop", "my photo, a=b (1).jpg", "output=faces").code == 0


def test_a_folder_of_clips_needs_no_mode(run, tmp_path):
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips/a.mp4", 2, picture=scene)
    (tmp_path / "clips/notes.txt").touch()
    result = run("clips", "output=drawn", HAAR)
    assert result.code == 0, result.err
    assert len(records(tmp_path / "drawn/a.jsonl")) == 2
    write_scene(tmp_path / "clips/b.png")
    result = run("clips", "output=drawn", HAAR)
    assert result.code == 0, result.err
    assert "1 photo, 2 faces" in result.out
    assert "for the clips: mode=video" in result.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["gone.jpg"], "gone.jpg: expected key=value, or a file, a folder or an address, but there is no fil"),
        (["a.png", "photos/b.png"], "input: expected one, but got several: name their folder, or quote a pattern"),
        (["mode=webcam", "a.png"], "input=a.png: expected a camera's number or an address, but these are photos: use "),
        (["mode=webcam", "input=text.mp4"], "but this is a clip: use mode=video"),
        (["mode=image", "rtsp://me:secret@a/b"], "input=rtsp://***@a/b: expected photos, but this is a camera or a st"),
        (["mode=crop", "0"], "input=0: expected photos, but this is a camera or a stream: use mode=webcam or mode=vid"),
        (["mode=foto"], "mode: expected auto, webcam, video, image or crop, but got 'foto'"),
    ],
)
def test_a_word_or_a_mode_that_cannot_be_is_told(run, tmp_path, words, sentence):
    write_scene(tmp_path / "a.png")
    write_scene(tmp_path / "photos/b.png")
    (tmp_path / "text.mp4").write_text("no picture")
    result = run(*words)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert result.err.startswith("error: ")
    assert sentence in result.err


def test_what_is_no_photo_in_a_folder_is_named(run, tmp_path):
    write_scene(tmp_path / "mixed/a.png")
    (tmp_path / "mixed/more").mkdir()
    for name in ("clip.mp4", "more/notes.txt", ".hidden"):
        (tmp_path / "mixed" / name).touch()
    result = run("mixed", "output=out", "detector=none")
    assert result.code == 0
    assert "left out: 2 other files (1 .mp4, 1 .txt); for the clips: mode=video\n" in result.out


def test_without_an_output_results_go_to_a_folder_that_is_named(run, tmp_path):
    write_scene(tmp_path / "a.png")
    result = run("mode=image", "input=a.png", HAAR)
    [folder] = (tmp_path / "results").iterdir()
    assert folder.name in result.out
    assert sorted(path.name for path in folder.iterdir()) == ["a.jsonl", "a.png"]


def test_commands_of_one_second_have_results_of_their_own(tmp_path, monkeypatch):
    class Standing:
        @staticmethod
        def now() -> datetime:
            return datetime(2026, 1, 2, 3, 4, 5)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fer.inference.io.output_paths.datetime", Standing)
    with ThreadPoolExecutor(6) as threads:
        folders = list(threads.map(new_folder, ["image"] * 6))
    assert len(set(folders)) == len(list((tmp_path / "results").iterdir())) == 6
    assert min(folder.name for folder in folders) == "2026-01-02_03-04-05_image"


def test_a_folder_of_photos_keeps_its_names_and_counts_what_it_skips(run, tmp_path):
    for name in ("photos/a.jpg", "photos/more/b.png"):
        write_scene(tmp_path / name)
    (tmp_path / "photos/broken.png").write_bytes(b"no image")
    result = run("mode=image", "input=photos", "output=out", HAAR)
    assert result.code == 0, result.err
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert names == ["a.jpg", "more/b.png", "records.jsonl"]
    assert [record["file"] for record in records(tmp_path / "out/records.jsonl")] == ["a.jpg", "more/b.png"]
    assert "skipped 1" in result.out
    assert "broken.png" in result.out


def test_all_kinds_of_photos_in_a_folder_are_read_or_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    for name in ("photos/IMG_1.JPG", "photos/card.png", "photos/saved.jfif"):
        write_scene((tmp_path / name).with_suffix(".jpg")).rename(tmp_path / name)
    Image.fromarray(scene()).save(tmp_path / "photos/card.gif")
    (tmp_path / "photos/IMG_2.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (tmp_path / "photos/clip.mp4").touch()
    for mode in ("image", "crop"):
        result = run(f"mode={mode}", "input=photos", f"output={mode}", "explainer=none", HAAR)
        assert result.code == 0, result.err
        assert result.out.startswith("4 photos, 8 faces")
        assert "skipped 1:" in result.out
        assert "IMG_2.HEIC: expected an image, but this is HEIC: convert it to JPEG" in result.out
        assert "left out: 1 other file (1 .mp4)" in result.out
        assert ("written as PNG, since pictures of their kind are only read: photos/card.gif" in result.out) == (
            mode == "image"
        )
    drawn = sorted(path.name for path in (tmp_path / "image").iterdir())
    assert drawn == ["IMG_1.JPG", "card.gif.png", "card.png", "records.jsonl", "saved.jfif"]
    assert len(list((tmp_path / "crop").iterdir())) == 8


def test_a_photo_that_is_only_read_becomes_png(run, tmp_path):
    Image.fromarray(scene()).save(tmp_path / "a.gif")
    result = run("mode=image", "input=a.gif", "output=out", "explainer=none", HAAR)
    assert (result.code, cv2.imread(str(tmp_path / "out/a.png")).shape) == (0, (320, 480, 3))
    assert "written as PNG, since pictures of their kind are only read: a.gif" in result.out
    assert "PNG" not in run("mode=image", "input=a.gif", "output=b.png", "explainer=none", "detector=none").out


def test_photos_without_faces_are_named_and_small_ones_get_a_hint(run, tmp_path):
    for number in range(7):
        write_scene(tmp_path / f"large/{number}.png", places=())
        (tmp_path / "small").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"small/{number}.png"), np.full((48, 48), 9 * number, np.uint8))
    hint = "if these are faces that are cut out already, add detector=none"
    cv2.imwrite(str(tmp_path / "large/wide.png"), np.zeros((90, 160, 3), np.uint8))
    result = run("mode=image", "input=large", "output=out", "explainer=none", HAAR)
    names = ", ".join(str(Path("large", f"{number}.png")) for number in range(5))
    assert f"no face found in 8: {names}, ...\n" in result.out
    assert hint not in result.out
    assert hint in run("mode=crop", "input=small", "output=more", HAAR).out
    assert "no face" not in run("mode=crop", "input=small", "output=none", "detector=none").out


def test_a_photo_that_lies_turned_is_said_and_its_boxes_are_in_its_own_pixels(run, tmp_path, monkeypatch):
    def lying(_, image):
        return [Detection((30, 40, 170, 130), 0.9, turn=90)] if image.shape[0] > image.shape[1] else []

    monkeypatch.setattr("fer.inference.pipeline.search", lying)
    cv2.imwrite(str(tmp_path / "a.png"), cv2.rotate(scene(), cv2.ROTATE_90_CLOCKWISE))
    result = run("mode=image", "input=a.png", "output=out.png", HAAR)
    assert "lying turned, and looked at upright: a.png (90 degrees clockwise)" in result.out
    [record] = records(tmp_path / "out.jsonl")
    assert [face["box"] for face in record["faces"]] == [[30, 40, 170, 130]]
    assert cv2.imread(str(tmp_path / "out.png")).shape == (480, 320, 3)


def test_images_that_are_faces_already_need_no_detector(run, tmp_path):
    cv2.imwrite(str(tmp_path / "face.png"), draw_faces(1, 48, seed=3)[0][0])
    assert run("mode=image", "input=face.png", "output=out.png", "detector=none", "explainer=none").code == 0
    [record] = records(tmp_path / "out.jsonl")
    assert [face["box"] for face in record["faces"]] == [[0, 0, 48, 48]]
    drawn, before = cv2.imread(str(tmp_path / "out.png")), cv2.imread(str(tmp_path / "face.png"))
    assert np.array_equal(drawn[:48, :48], before)  # all that is written stands beside it
    assert drawn.shape[1] > 100


def test_an_answer_can_be_not_sure(run, tmp_path):
    write_scene(tmp_path / "a.png")
    run("mode=image", "input=a.png", "output=out.png", "not_sure=0.99", HAAR)
    [record] = records(tmp_path / "out.jsonl")
    assert {face["emotion"] for face in record["faces"]} == {"not sure"}


def test_the_weights_file_says_which_answers_are_not_sure_unless_the_command_does(run, tmp_path, weights):
    write_scene(tmp_path / "a.png")
    state, header = read_weights(weights)
    save_weights(tmp_path / "wary.safetensors", state, replace(header, not_sure=0.9))
    words = ("input=a.png", "output=out.png", "weights=wary.safetensors", "explainer=none", HAAR)
    assert 'answers below 90.0% are "not sure" (not_sure=0: ' in run(*words).out
    [record] = records(tmp_path / "out.jsonl")
    assert [face["emotion"] for face in record["faces"]] == ["not sure"] * len(PLACES)
    assert "not sure" not in run(*words, "not_sure=0").out
    [record] = records(tmp_path / "out.jsonl")
    assert {face["emotion"] for face in record["faces"]} <= set(header.classes)
    assert "not_sure: expected a number or auto" in run(*words, "not_sure=maybe").err


def test_heatmap_labels_and_bars_can_be_left_out_of_photos(run, tmp_path):
    write_scene(tmp_path / "a.png")
    without = ["draw.heatmap=false", "draw.labels=false", "draw.bars=false"]
    changed = {}
    for name, words in {"all": [], "boxes": without, "bars": without[:2], "labels": [without[0], without[2]]}.items():
        assert run("mode=image", "input=a.png", f"output={name}.png", HAAR, *words).code == 0
        changed[name] = (cv2.imread(str(tmp_path / f"{name}.png")) != scene()).any(2)
    left, top, side = PLACES[0]
    face = np.s_[top + side // 3 : top + side * 2 // 3, left + side // 3 : left + side * 2 // 3]
    assert changed["all"][face].mean() > 0.1
    assert not changed["boxes"][face].any()
    sizes = {name: mask.sum() for name, mask in changed.items()}
    assert 0 < sizes["boxes"] < sizes["labels"] < sizes["bars"] < sizes["all"]


def test_heatmap_of_a_small_face_is_drawn_if_asked_for(run, tmp_path):
    cv2.imwrite(str(tmp_path / "face.png"), draw_faces(1, 48, seed=3)[0][0])
    shown = {}
    for words in ("auto", "true"):
        run("mode=image", "input=face.png", "output=out.png", "detector=none", f"draw.heatmap={words}")
        shown[words] = cv2.imread(str(tmp_path / "out.png"))[:48, :48]
    assert np.ptp(shown["auto"].astype(int), axis=2).max() == 0  # gray as it was
    assert np.ptp(shown["true"].astype(int), axis=2).max() > 30


@pytest.mark.parametrize("source", ["photo", "clip", "stream"])
def test_faces_are_searched_in_a_part_of_the_picture(run, server, tmp_path, source):
    write_scene(tmp_path / "photo.png")
    write_clip(tmp_path / "clip.mp4", 5, picture=scene)
    server.file = (tmp_path / "clip.mp4").read_bytes()
    words = {"photo": ["photo.png"], "clip": ["clip.mp4"], "stream": ["mode=video", f"http://{server.place}/clip.mp4"]}
    output = "output=b.png" if source == "photo" else "output=b.mp4"
    result = run(*words[source], output, HAAR, "detector.area=[0.5,0.2,0.5,0.8]")
    assert result.code == 0, result.err
    left, top, side = PLACES[1]
    for record in records(tmp_path / "b.jsonl"):
        [face] = record["faces"]
        x, y, width, height = face["box"]
        assert (x + width / 2, y + height / 2) == pytest.approx((left + side / 2, top + side / 2), abs=0.15 * side)


@pytest.mark.parametrize(
    ("area", "sentence"),
    [
        (
            "[1440,0,480,270]",
            "detector.area: expected shares of the picture's width and height, at most 1, but got 1440",
        ),
        ("[0.6,0,0.5,1]", "left + width and top + height at most 1, but got [0.6, 0.0, 0.5, 1.0]"),
        ("[0,0,0,1]", "left + width and top + height at most 1, but got [0.0, 0.0, 0.0, 1.0]"),
        ("[-0.1,0,1,1]", "detector.area.0: expected at least 0, but got -0.1"),
        ("[0,0,1]", "detector.area: expected a list of at least 4"),
    ],
)
def test_a_part_that_cannot_be_is_told(run, tmp_path, area, sentence):
    write_scene(tmp_path / "a.png")
    result = run("a.png", HAAR, f"detector.area={area}")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert sentence in result.err


def test_records_can_be_a_table(run, tmp_path):
    write_scene(tmp_path / "a.png")
    run("mode=image", "input=a.png", "output=out.png", "format=csv", HAAR)
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert {"file", "x", "y", "w", "h", "emotion", *class_names(6)} <= set(rows[0])


def test_faces_are_cut_out_into_their_class_folders_ready_for_training(run, tmp_path):
    for split in ("train", "val", "test"):
        for emotion in ("happy", "sad"):
            write_scene(tmp_path / "photos" / split / emotion / "a.jpg")
    write_scene(tmp_path / "photos/train/sad/nobody.jpg", places=())
    result = run("mode=crop", "input=photos", "output=faces", HAAR)
    assert result.code == 0, result.err
    assert "nobody.jpg" in result.out
    table = read_folder(tmp_path / "faces", 48)
    assert len(table.images) == 12
    assert table.classes == ("happy", "sad")
    drawn = cv2.resize(draw_faces(1, 160, seed=3)[0][0], (48, 48), interpolation=cv2.INTER_AREA)
    likeness = [np.corrcoef(image.ravel(), drawn.ravel())[0, 1] for image in table.images]
    assert min(likeness) > 0.6


def test_a_clip_keeps_its_frames_and_its_sound_and_each_frame_has_a_record(run, tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 8, picture=lambda index: scene(2 * index), sound="aac")
    result = run("mode=video", "input=a.mp4", "output=b.mp4", HAAR)
    assert result.code == 0, result.err
    before, after = read_clip(clip), read_clip(tmp_path / "b.mp4")
    assert after.video == "h264"
    assert after.times == pytest.approx(before.times, abs=1e-3)
    assert [data for _, data in after.sound] == [data for _, data in before.sound]
    found = records(tmp_path / "b.jsonl")
    assert [record["frame"] for record in found] == list(range(8))
    for index, record in enumerate(found):
        assert_places(record["faces"], 2 * index)
        assert sorted(face["track"] for face in record["faces"]) == [1, 2]
    assert cv2.imread(str(tmp_path / "b_timeline.png")) is not None
    assert "smoothed" in result.out


def test_faces_are_followed_between_searches(run, tmp_path):
    write_clip(tmp_path / "a.mp4", 9, picture=lambda index: scene(2 * index))
    run("mode=video", "input=a.mp4", "output=b.mp4", HAAR, "detector.every=4")
    for index, record in enumerate(records(tmp_path / "b.jsonl")):
        assert_places(record["faces"], 2 * index)


def test_behind_a_cut_nobody_keeps_a_number(run, tmp_path):
    first, second = (np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8) for seed in (1, 2))
    scenes = [cv2.resize(colours, (64, 48), interpolation=cv2.INTER_NEAREST) for colours in (first, second)]
    write_clip(tmp_path / "a.mp4", 20, picture=lambda index: scenes[index >= 12])
    assert run("mode=video", "input=a.mp4", "output=b.mp4", "detector=none").code == 0
    tracks = [record["faces"][0]["track"] for record in records(tmp_path / "b.jsonl")]
    assert tracks == [1] * 12 + [2] * 8


@pytest.mark.parametrize(
    ("source", "step"),
    [
        ("clip", (VideoWriter, "_check")),
        ("clip", (Pipeline, "find")),
        ("clip", (Records, "frame")),
        ("stream", (Pipeline, "look")),
    ],
)
def test_an_error_while_frames_still_come_is_said_as_it_is(run, server, tmp_path, monkeypatch, source, step):
    def fail(*_):
        raise RunError("what really happened")

    def slowly(self, picture, upright=VideoReader._upright):
        time.sleep(0.05)  # so that a frame is being decoded when the error comes
        return upright(self, picture)

    write_clip(tmp_path / "a.mp4", 30)
    monkeypatch.setattr(VideoReader, "_upright", slowly)
    monkeypatch.setattr(*step, fail)
    result = run("mode=video", f"input={'a.mp4' if source == 'clip' else f'http://{server.place}/live'}", HAAR)
    assert (result.code, result.err) == (1, "failed: what really happened\n")


@pytest.mark.parametrize("stop", [None, KeyboardInterrupt, ZeroDivisionError])
def test_what_is_made_ahead_ends_with_the_block(stop):
    """An item may be None; whoever made the items can close them afterwards."""

    def items():
        for number in range(9 if stop is None else 10**9):
            time.sleep(0.01)
            yield number if number % 2 else None

    source, taken = items(), []
    with contextlib.suppress(KeyboardInterrupt, ZeroDivisionError), ahead(source, 3) as made:
        for item in made:
            taken.append(item)
            if stop and len(taken) == 4:
                raise stop
    assert not source.gi_running
    source.close()
    assert taken == [None, 1, None, 3, None, 5, None, 7, None][: 4 if stop else 9]


def test_output_without_a_suffix_is_a_folder_and_the_real_names_are_said(run, tmp_path):
    write_scene(tmp_path / "a.jpg")
    result = run("mode=image", "input=a.jpg", "output=out", HAAR)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jpg", "a.jsonl"]
    assert str(Path("out/a.jpg")) in result.out
    assert str(Path("out/a.jsonl")) in result.out


@pytest.mark.parametrize("words", [["mode=image"], ["mode=crop"], ["mode=video", "input=a.mp4"]])
def test_results_that_cannot_be_made_are_one_sentence(run, tmp_path, words):
    write_scene(tmp_path / "a.png")
    write_clip(tmp_path / "a.mp4", 2)
    (tmp_path / "results").touch()
    result = run("input=a.png", *words, HAAR)
    assert result.code == 2
    assert result.err.startswith("error: results: expected a folder to write results into, but it is a file: ")
    assert len(result.err.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["mode=image", "input=photos/a.png", "output=b.png"], "b.jpg"),  # whose records have the same name
        (["mode=image", "input=photos", "output=out"], "out"),
        (["mode=crop", "input=photos", "output=out"], "out"),
        (["mode=video", "input=a.mp4", "output=b.mp4"], "b.mp4"),
    ],
)
def test_no_two_processes_write_the_same_results(run, tmp_path, words, path):
    write_scene(tmp_path / "photos/a.png")
    write_clip(tmp_path / "a.mp4", 2)
    (tmp_path / "out").mkdir()
    with claimed(Path(path)):
        result = run(*words, HAAR)
    assert result.code == 2
    assert "another process writes there: wait for its end" in result.err
    assert sorted(name.name for name in tmp_path.iterdir()) == ["a.mp4", "out", "photos"]
    assert run(*words, HAAR).code == 0
    assert not list(tmp_path.rglob(".fer-*"))


def test_clip_that_is_interrupted_before_its_first_frame_leaves_nothing(tmp_path):
    pipeline = SimpleNamespace(predictor=SimpleNamespace(classes=class_names(6)))
    with pytest.raises(KeyboardInterrupt), RecordingWriter(tmp_path / "b.mp4", (64, 48), "jsonl", pipeline, None):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_folder_of_clips_gives_each_its_own_results_and_counts_what_it_skips(run, tmp_path):
    for name in ("clips/a.mp4", "clips/a.mov", "clips/more/b.mkv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_clip(tmp_path / name, 3, picture=scene)
    (tmp_path / "clips/broken.mp4").write_bytes(b"no clip")
    (tmp_path / "clips/notes.txt").write_text("no clip either")
    result = run("mode=video", "input=clips", "output=out", HAAR)
    assert result.code == 0, result.err
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    stems = ("a", "a.mp4", "more/b")
    assert names == {f"{stem}{ending}" for stem in stems for ending in (".mp4", ".jsonl", "_timeline.png")}
    for stem in stems:
        found = records(tmp_path / "out" / f"{stem}.jsonl")
        assert [record["frame"] for record in found] == [0, 1, 2]
        assert sorted(face["track"] for face in found[0]["faces"]) == [1, 2]  # counted anew in each
    assert "3 clips in out" in result.out
    assert "skipped 1:" in result.out
    assert "broken.mp4" in result.out
    assert "notes.txt" not in result.out


def test_where_no_clip_can_be_read_no_table_is_printed(run, tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/broken.mp4").write_bytes(b"no clip")
    result = run("input=clips", "output=out", HAAR)
    assert result.code == 2 and result.out.startswith("skipped 1:\n") and not (tmp_path / "out").exists()
    assert result.err == "error: expected at least one clip that can be read, but there was none: see above\n"


def test_a_pattern_of_clips_is_taken_and_no_clip_is_overwritten(run, tmp_path):
    for name in ("a.mp4", "b.mp4", "c.mkv"):
        write_clip(tmp_path / name, 2)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("?.m*")}
    for words in (["input=?.mp4", "output=."], ["input=a.mp4", "output=."]):
        result = run("mode=video", *words, "detector=none", "explainer=none")
        assert result.code == 2
        assert "another place than the input" in result.err
    assert {path.name: path.read_bytes() for path in tmp_path.glob("?.m*")} == before
    (tmp_path / "out").mkdir()
    assert run("mode=video", "input=?.mp4", "output=out", "detector=none", "explainer=none").code == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.mp4")) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("source", ["a.webp", "a.apng", "a.gif"])
def test_animated_pictures_are_clips(run, tmp_path, source):
    stays = [80, 40, 200]  # milliseconds
    pictures = [Image.fromarray(scene(4 * index)[..., ::-1]) for index in range(3)]
    kind = "PNG" if source.endswith("apng") else None
    pictures[0].save(tmp_path / source, kind, save_all=True, append_images=pictures[1:], duration=stays)
    result = run("mode=video", f"input={source}", "output=b.mp4", "detector=none", "explainer=none")
    assert result.code == 0, result.err
    assert [record["time"] for record in records(tmp_path / "b.jsonl")] == [0, 0.08, 0.12]
    with av.open(str(tmp_path / "b.mp4")) as file:
        last = [packet for packet in file.demux(video=0) if packet.size][-1]
    assert float(last.duration * last.time_base) == pytest.approx(0.2, abs=0.001)


MISTAKES = {
    "no input": (["mode=image"], "input"),
    "no such file": (["mode=image", "input=nowhere.jpg"], "nowhere.jpg"),
    "no such clip": (["mode=video", "input=nowhere.mp4"], "nowhere.mp4"),
    "no clip": (["mode=video", "input=text.mp4"], "text.mp4"),
    "no image": (["mode=image", "input=text.png"], "text.png"),
    "onto itself": (["mode=image", "input=a.png", "output=a.png"], "another place"),
    "among the inputs": (["mode=image", "input=photos/b.png", "output=photos"], "another place"),
    "over the inputs": (["mode=image", "input=photos/*.png", "output=photos"], "another place"),
    "into itself": (["mode=image", "input=photos", "output=photos/out"], "outside the input"),
    "crops among others": (["mode=crop", "input=a.png", "output=photos"], "empty folder"),
    "no folder": (["mode=image", "input=a.png", "output=no/where/b.png"], "no/where"),
    "no weights": (["mode=image", "input=a.png", "weights=no.safetensors"], "no.safetensors"),
    "a pickle": (["mode=image", "input=a.png", "weights=net.pt"], "pickle"),
    "a net that overflows": (["mode=image", "input=a.png", "weights=wild.safetensors", HAAR], "answers are numbers"),
    "a huge width": (["mode=image", "input=a.png", "detector.width=1000000"], "at most 100000, but got 1000000"),
    "unknown emotion": (
        ["mode=image", "input=a.png", "heatmap.target=contempt"],
        "heatmap.target=contempt: expected an emotion that the net predicts (angry, disgust, fear, happy, sad, "
        "surprise): take another, or a net that predicts it, such as weights=ferplus",
    ),
    "half a heatmap": (
        ["mode=image", "input=a.png", "draw.heatmap=half"],
        "draw.heatmap: expected auto or true or false",
    ),
    "a heatmap of nothing": (["mode=image", "input=a.png", "draw.heatmap=true", "explainer=none"], "explainer=none"),
    "no detector": (["mode=image", "input=a.png", "detector=yunet", "detector.model=text.png"], "text.png"),
    "wrong suffix": (["mode=video", "input=a.png", "output=b.avi"], ".mp4"),
    "no camera": (["mode=webcam", "input=77", "show=false", "output=b.mp4"], "camera"),
    "no camera of this device": (["mode=webcam", "input=/dev/video77", "show=false", "output=b.mp4"], "a camera, but"),
    "a clip as a photo": (["mode=image", "input=clip.mp4", "output=b.png"], "this is a clip: use mode=video"),
    "a photo as a clip": (["mode=video", "input=a.png", "output=b.mp4"], "use mode=image"),
    "photos as clips": (["mode=video", "input=photos", "output=out"], "use mode=image for photos"),
    "many clips into one": (
        ["mode=video", "input=*.mp4", "output=b.mp4"],
        "expected a folder, as the input is 2 clips",
    ),
    "half an animation": (["mode=video", "input=half.webp", "output=b.mp4"], "WebP is cut off or damaged"),
    "nowhere to record to": (["mode=webcam", "show=false"], "output"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="has other limits, and another word for them")
@pytest.mark.parametrize(
    ("mode", "letters", "suffix"), [("image", 242, ".png"), ("crop", 256, ""), ("video", 242, ".mp4")]
)
def test_name_too_long_for_a_result_or_what_lies_beside_is_refused(run, tmp_path, mode, letters, suffix):
    write_scene(tmp_path / "a.png")
    result = run(f"mode={mode}", "input=a.png", f"output={'b' * letters}{suffix}")
    assert result.code == 2
    assert "file name too long: choose another name" in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="has other limits")
def test_longest_name_works_and_so_does_one_that_a_folder_takes(run, tmp_path):
    write_scene(tmp_path / "a.png")
    assert run("mode=image", "input=a.png", f"output={'b' * 241}.png", HAAR).code == 0
    assert run("mode=crop", "input=a.png", f"output={'b' * 255}", HAAR).code == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("mode", ["image", "crop", "video"])
def test_device_is_no_place_for_results(run, tmp_path, mode):
    write_scene(tmp_path / "a.png")
    result = run(f"mode={mode}", "input=a.png", "output=/dev/full")
    assert result.code == 2
    assert "output=/dev/full: expected a file, a folder or a new name, but this is a device or a pipe" in result.err
    assert not list(Path("/dev").glob("full.*"))


@pytest.mark.parametrize(("words", "named"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_nothing(run, tmp_path, weights, words, named):
    write_scene(tmp_path / "a.png")
    state, header = read_weights(weights)
    save_weights(tmp_path / "wild.safetensors", state | {"stages.1.0.norm2.bias": torch.full((16,), 3e38)}, header)
    for name in ("text.png", "text.mp4"):
        (tmp_path / name).write_text("no picture")
    write_clip(tmp_path / "clip.mp4", 2)
    pictures = [Image.fromarray(scene(4 * index)) for index in range(3)]
    pictures[0].save(tmp_path / "half.webp", save_all=True, append_images=pictures[1:])
    (tmp_path / "half.webp").write_bytes((tmp_path / "half.webp").read_bytes()[:-200])
    torch.save({"weight": torch.zeros(1)}, tmp_path / "net.pt")
    write_scene(tmp_path / "photos/b.png")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = run(*words)
    assert result.code == 2
    assert named in result.err
    assert "Traceback" not in result.err
    assert len(result.err.strip().splitlines()) == 1
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("name", ["nope.jpg", "nope.mp4", "nope"])
def test_a_file_that_is_missing_is_told_before_the_detector_is_fetched(run, tmp_path, monkeypatch, name):
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("fer.faces.detectors.read_url", lambda *_, **__: pytest.fail("a download"))
    result = run(f"input={name}")
    assert (result.code, result.out) == (2, "")
    assert result.err == f"error: input={name}: expected photos or clips, but there is nothing of that name: check it\n"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 143)])
def test_an_interrupted_clip_is_whole_up_to_there(tmp_path, weights, name, code):
    write_clip(tmp_path / "a.mp4", 1500, picture=lambda index: scene(index % 100))
    words = ["mode=video", "input=a.mp4", "output=b.mp4", HAAR, f"weights={weights}"]
    command = [sys.executable, str(ROOT / "infer.py"), *words]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    partial = tmp_path / "b.partial.jsonl"
    while not (partial.exists() and len(partial.read_bytes().splitlines()) > 20):
        assert process.poll() is None
    process.send_signal(getattr(signal, name))
    assert "Traceback" not in process.communicate(timeout=60)[1]
    assert process.returncode == code
    found = records(tmp_path / "b.jsonl")
    assert 20 < len(found) < 1500
    assert abs(len(read_clip(tmp_path / "b.mp4").times) - len(found)) <= 1
