"""Whole photos, clips and streams from Python, with the shipped net and drawn faces; as infer.py sees them."""

import inspect
import itertools
import logging
import re
import subprocess
import sys
import textwrap
import time
import types
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from fer.config.jobs import one_config
from fer.errors import UserError
from fer.faces.crops import cut
from fer.inference.pipeline import Pipeline
from fer.inference.recognition import Recognition, to_pandas
from fer.inference.recognizer import Recognizer
from fer.inference.results import Frame
from fer.inference.schema import InferConfig
from fer.processes import cores
from fer.weights import read_weights, save_weights
from tests.clips import spoil, write_clip
from tests.runs import ROOT
from tests.scenes import PLACES, records, scene


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer.load("ferplus", detector="haar", not_sure=0)  # of drawn faces, many answers are not sure


def rgb(step=0):
    return np.ascontiguousarray(scene(step)[..., ::-1])


def boxes(recognition):
    return [face.box for face in recognition.faces]


def test_a_photo_has_its_faces_from_left_to_right_whatever_it_is_given_as(recognizer, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), scene())
    found = [
        recognizer.image(one) for one in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(rgb()), rgb())
    ]
    for photo in found:
        assert isinstance(photo, Recognition) and (photo.width, photo.height) == (480, 320)
        assert boxes(photo) == boxes(found[0])
        for face, (left, top, side) in zip(photo.faces, PLACES, strict=True):
            x, y, width, height = face.box
            assert (
                abs(x + width / 2 - left - side / 2) < 0.1 * side and abs(y + height / 2 - top - side / 2) < 0.15 * side
            )
            assert tuple(face.probabilities) == recognizer.classes
            assert sum(face.probabilities.values()) == pytest.approx(1, abs=1e-5)
            assert face.emotion == max(face.probabilities, key=face.probabilities.get)
            assert face.crop.shape == (48, 48) and face.crop.dtype == np.uint8 and face.track is None
    assert found[0].file == str(tmp_path / "a.png") and found[3].file is None
    assert np.array_equal(found[3].image, rgb())
    assert recognizer.image(cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY)).image.shape == (320, 480, 3)


def test_what_is_seen_comes_from_left_to_right_in_photos_and_frames(recognizer):
    faces = sorted(recognizer.detector.find(scene()), key=lambda face: -face.box[0])
    detector = types.SimpleNamespace(find=lambda *_: faces, min_size=20, width=640)
    pipeline = Pipeline(recognizer.config, recognizer.predictor, detector)
    frame = Frame(0, 0.0, scene())
    for seen, tracks in ((pipeline.photo(scene()), [None, None]), (pipeline.look(frame, pipeline.find(frame)), [2, 1])):
        assert [one.face.box for one in seen] == [face.box for face in faces[::-1]]
        assert [one.track for one in seen] == tracks
        assert all(np.array_equal(one.crop, cut(scene(), one.region, 48)) for one in seen)


def test_a_photo_without_faces_has_none(recognizer):
    photo = recognizer.image(np.full((200, 300, 3), 90, np.uint8))
    assert photo.faces == () and photo.error is None and photo.to_dict() == {"file": None, "faces": []}
    assert photo.draw().size == (300, 200)
    assert len(Recognizer.load("ferplus", detector="none").image(np.full((200, 300, 3), 90, np.uint8)).faces) == 1


def test_what_cannot_be_looked_at_is_said(recognizer, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    for source, message in (
        (tmp_path / "a.jpg", "expected an image"),
        (np.zeros((2, 2), float), "expected uint8"),
        (None, r"an array, but got None \(cv2.imread gives None for a file that it cannot read\)"),
        (b"\x89PNG", "expected a path, a Pillow image or an array, but got bytes"),
        (np.zeros((2, 2, 4), np.uint8), r"leave the alpha channel out"),
    ):
        with pytest.raises(UserError, match=message):
            recognizer.image(source)
    with pytest.raises(UserError, match=r"^expected the path of a clip, but got int: for a camera use .*camera\(0\)"):
        recognizer.video(0)
    with pytest.raises(UserError, match="expected a video"):
        recognizer.video(tmp_path / "a.jpg")  # at once, not when it is gone through
    for call in (recognizer.image, recognizer.images, recognizer.video):
        with pytest.raises(UserError, match=r"^https://\*\*\*@host/a\.jpg: expected a file, .* download it first"):
            call("https://me:secret@host/a.jpg")
    with pytest.raises(UserError, match=r"detector=har: expected one of .*; did you mean haar\?"):
        Recognizer.load(detector="har")
    with pytest.raises(UserError, match=r"did you mean ferplus\?$"):
        Recognizer.load("FERPLUS", detector="haar")
    with pytest.raises(UserError, match="not_sure"):
        Recognizer.load(detector="haar", not_sure=2)
    with pytest.raises(UserError, match="explainer"):
        Recognizer.load(detector="haar", explainer="gradcan")


@pytest.mark.slow
def test_records_and_tables_are_those_of_the_command(recognizer, tmp_path):
    pandas = pytest.importorskip("pandas")
    (album := tmp_path / "album").mkdir()
    for name, step in (("a.png", 0), ("b.png", 20)):
        cv2.imwrite(str(album / name), scene(step))
    cv2.imwrite(str(album / "c.png"), np.full((200, 300, 3), 90, np.uint8))
    write_clip(tmp_path / "clip.mp4", 4, picture=scene)
    for words in (
        ("input=album", "mode=image", "output=drawn"),
        ("input=album", "mode=image", "output=csv", "format=csv"),
    ):
        infer(tmp_path, *words)
    infer(tmp_path, "input=clip.mp4", "output=clip_drawn.mp4")
    photos = [photo.to_dict() for photo in recognizer.images(album)]
    assert [row["file"] for row in photos] == [str(album / name) for name in ("a.png", "b.png", "c.png")]
    assert [row["faces"] for row in photos] == [row["faces"] for row in records(tmp_path / "drawn/records.jsonl")]
    frames = [frame.to_dict() for frame in recognizer.video(tmp_path / "clip.mp4")]
    expected = records(tmp_path / "clip_drawn.jsonl")
    assert [(row["frame"], row["time"]) for row in frames] == [(row["frame"], row["time"]) for row in expected]
    assert [sorted(face["track"] for face in row["faces"]) for row in frames] == [[1, 2]] * 4
    table, written = to_pandas(recognizer.images(album)), pandas.read_csv(tmp_path / "csv/records.csv")
    assert list(table.columns) == list(written.columns) and len(table) == len(written) == 5
    assert list(to_pandas(recognizer.video(tmp_path / "clip.mp4")).columns)[:4] == ["frame", "time", "track", "x"]
    assert len(to_pandas(recognizer.image(rgb()))) == 2


def infer(folder, *words):
    command = [sys.executable, str(ROOT / "infer.py"), "detector=haar", "not_sure=0", *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_a_file_that_cannot_be_read_comes_with_an_error_and_the_others_go_on(recognizer, tmp_path):
    for name in ("a.png", "c.png"):
        cv2.imwrite(str(tmp_path / name), scene())
    (tmp_path / "b.png").write_bytes(b"no picture")
    found = list(recognizer.images(str(tmp_path / "*.png")))
    assert [len(photo.faces) for photo in found] == [2, 0, 2]
    assert "expected an image" in found[1].error and found[1].to_dict()["error"] == found[1].error
    with pytest.raises(UserError, match="expected a picture to draw on"):
        found[1].draw()
    with pytest.raises(UserError, match=rf"^{re.escape(str(tmp_path / 'empty'))}: the folder holds no image; "):
        (tmp_path / "empty").mkdir()
        recognizer.images(tmp_path / "empty")


def test_photos_are_looked_at_lazily(recognizer):
    given = []

    def sources():
        for number in range(1000):
            given.append(number)
            yield rgb(number % 20)

    found = recognizer.images(sources())
    assert not given
    assert len(next(found).faces) == 2 and len(given) <= cores() + 2
    found.close()


def test_every_frame_of_a_clip_comes_with_time_and_tracks(recognizer, tmp_path):
    clip = spoil(write_clip(tmp_path / "a.mp4", 12, picture=lambda index: scene(4 * index)), 5)
    frames = list(recognizer.video(clip))
    assert [frame.index for frame in frames] == list(range(12))
    assert frames[3].time > frames[2].time > 0
    lost = [frame for frame in frames if frame.error]
    assert lost and all(frame.faces == () and frame.image is None for frame in lost)
    assert {face.track for frame in frames for face in frame.faces} >= {1, 2}


def test_a_clip_that_is_left_early_is_let_go(recognizer, tmp_path):
    write_clip(tmp_path / "a.mp4", 30, picture=scene)
    frames = recognizer.video(tmp_path / "a.mp4")
    assert [frame.index for frame in itertools.islice(frames, 2)] == [0, 1]
    frames.close()
    assert list(frames) == []


def test_a_stream_is_watched_within_a_block(recognizer, server):
    with recognizer.camera(f"http://{server.place}/live") as frames:
        first = next(frames)
    assert first.index is not None and (first.width, first.height) == (64, 48)
    assert list(frames) == []


def test_heatmaps_are_made_when_they_are_read_or_in_the_same_pass(recognizer):
    eager = Recognizer.load("ferplus", detector="haar", heatmaps=True).image(rgb())
    for face, other in zip(recognizer.image(rgb()).faces, eager.faces, strict=True):
        assert "heatmap" not in vars(face) and face.heatmap.shape == (48, 48)
        assert face.heatmap.min() == 0 and face.heatmap.max() == pytest.approx(1)
        assert np.abs(face.heatmap - other.heatmap).max() < 1e-4
    with pytest.raises(UserError, match="expected an explainer"):
        Recognizer.load("ferplus", detector="haar", explainer="none").image(rgb()).faces[0].heatmap


def test_drawings_show_what_is_asked_for(recognizer):
    photo = recognizer.image(rgb())
    plain, warm = photo.draw(heatmap=False, bars=False, labels=False), photo.draw(heatmap=True)
    assert isinstance(warm, Image.Image) and warm.mode == "RGB" and warm.size == (480, 320)
    changed = [(np.asarray(one) != rgb()).any(2).mean() for one in (plain, warm)]
    assert 0 < changed[0] < 0.1 < changed[1]
    assert photo._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "words"), [("heatmap", 'True, False or "auto"'), ("bars", "True or False")])
def test_a_drawing_takes_no_other_words(recognizer, name, words):
    with pytest.raises(UserError, match=f"^{name}: expected {words}, but got 'off'$"):
        recognizer.image(rgb()).draw(**{name: "off"})


def test_unsure_answers_are_withheld(recognizer):
    photo = Recognizer.load("ferplus", detector="haar", not_sure=0.999).image(rgb())
    assert [face.emotion for face in photo.faces] == ["not sure"] * 2
    assert photo.faces[0].heatmap.shape == (48, 48)


def test_the_weights_file_says_which_answers_are_withheld(weights, tmp_path):
    state, header = read_weights(weights)
    save_weights(tmp_path / "wary.safetensors", state, replace(header, not_sure=0.9))
    for not_sure, is_silent in ((None, True), (0, False)):
        wary = Recognizer.load(tmp_path / "wary.safetensors", detector="haar", not_sure=not_sure)
        assert [face.emotion == "not sure" for face in wary.image(rgb()).faces] == [is_silent] * 2


def test_results_cannot_be_changed(recognizer):
    photo = recognizer.image(rgb())
    for change in (lambda: setattr(photo, "faces", ()), lambda: setattr(photo.faces[0], "emotion", "sad")):
        with pytest.raises(AttributeError):
            change()
    with pytest.raises(TypeError):
        photo.faces[0].probabilities["sad"] = 1
    assert "happy" in repr(photo) or "Recognition of photo" in repr(photo)


def test_threads_may_share_one(recognizer):
    pictures = [rgb(step) for step in range(12)]
    alone = [boxes(recognizer.image(one)) for one in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert [boxes(photo) for photo in pool.map(recognizer.image, pictures)] == alone


def test_large_photos_are_looked_at_one_at_a_time(recognizer, monkeypatch):
    at_work, most = [], []

    def photo(pipeline, picture):
        at_work.append(picture)
        most.append(len(at_work))
        time.sleep(0.05)
        at_work.pop()
        return []

    monkeypatch.setattr("fer.inference.pipeline.Pipeline.photo", photo)
    monkeypatch.setattr("fer.inference.parallel.cores", lambda: 4)
    assert len(list(recognizer.images([rgb()] * 8))) == 8 and max(most) > 1
    most.clear()
    monkeypatch.setattr("fer.inference.parallel.LARGE", rgb().size // 3 - 1)
    assert len(list(recognizer.images([rgb()] * 8))) == 8 and max(most) == 1


def test_what_is_not_asked_for_is_as_the_command_has_it():
    command = one_config("infer", ["input=a.jpg", "detector=haar"], InferConfig)
    config = Recognizer.load("ferplus", detector="haar").config.model_dump()
    assert config == {key: value for key, value in command.model_dump().items() if key in config}
    assert inspect.signature(Recognizer.load).parameters["weights"].default == str(command.weights)
    assert inspect.signature(Recognizer.load).parameters["device"].default == command.device


def test_other_libraries_get_their_detections(recognizer, monkeypatch):
    class Detections:
        def __init__(self, **given):
            self.__dict__.update(given)

    monkeypatch.setitem(sys.modules, "supervision", types.SimpleNamespace(Detections=Detections))
    photo = recognizer.image(rgb())
    found = photo.to_supervision()
    x, y, width, height = photo.faces[1].box
    assert found.xyxy[1].tolist() == pytest.approx([x, y, x + width, y + height], abs=1e-3)
    assert found.tracker_id is None and found.data["class_name"][0] == photo.faces[0].emotion
    assert found.class_id[0] == recognizer.classes.index(photo.faces[0].emotion)
    assert recognizer.image(np.zeros((99, 99, 3), np.uint8)).to_supervision().xyxy.shape == (0, 4)


def test_a_column_of_a_table_is_of_one_kind_whatever_is_seen(recognizer):
    pandas = pytest.importorskip("pandas")
    faces, nothing = recognizer.image(rgb()), np.full((99, 99, 3), 90, np.uint8)
    seen = replace(faces.faces[0], track=1, _seen=faces.faces[0]._seen._replace(track=1))
    frames = [
        replace(faces, index=0, time=0.0, faces=(seen,)),
        replace(recognizer.image(nothing), index=1, time=0.04),
        Recognition((), 0, 0, index=2, time=0.08, error="could not be decoded", classes=faces.classes),
    ]
    kinds = {"frame": "Int64", "track": "Int64", "emotion": "string", "error": "string"}
    for some in (frames, frames[:1], frames[1:], frames[2:]):
        table = to_pandas(some)
        assert {name: str(kind) for name, kind in table.dtypes.items()} == dict.fromkeys(table, "float64") | kinds
    table = to_pandas(frames)
    assert table["track"].tolist() == [1, pandas.NA, pandas.NA] and table["x"].isna().tolist() == [False, True, True]
    assert table["error"].tolist() == [pandas.NA, pandas.NA, "could not be decoded"]
    assert table["emotion"].tolist() == [faces.faces[0].emotion, pandas.NA, pandas.NA]
    assert to_pandas([faces, *frames])["frame"].tolist() == [pandas.NA, pandas.NA, 0, 1, 2]
    assert to_pandas(faces)["file"].tolist() == [pandas.NA, pandas.NA] and to_pandas([]).empty


def test_a_table_is_made_of_what_is_recognized(recognizer):
    pytest.importorskip("pandas")
    photo = recognizer.image(rgb())
    camera = recognizer.camera(0)  # not entered
    for given, name in ((photo.faces, "Face"), ("album", "str"), ([photo.to_dict()], "dict"), (None, "NoneType")):
        with pytest.raises(UserError, match=rf"^expected what Recognizer\.image, .* or video give, but got {name}$"):
            to_pandas(given)
    with pytest.raises(UserError, match=r"but got _GeneratorContextManager$"):
        to_pandas(camera)


@pytest.mark.parametrize(("name", "call"), [("pandas", to_pandas), ("supervision", Recognition.to_supervision)])
def test_a_library_that_is_missing_is_named(recognizer, monkeypatch, name, call):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=f"expected the library {name}, but found nothing: pip install {name}"):
        call(recognizer.image(rgb()))


def test_nothing_is_downloaded_printed_or_changed(monkeypatch, tmp_path, capsys, caplog):
    monkeypatch.setenv("FER_CACHE", str(tmp_path))
    monkeypatch.setattr("fer.faces.detectors.read_url", lambda *_, **__: pytest.fail("a download"))
    threads = cv2.getNumThreads()
    with caplog.at_level(logging.WARNING, "fer"):
        recognizer = Recognizer.load("fer2013")
        Recognizer.load("ferplus")
    assert len(recognizer.image(rgb()).faces) == 2 and len(recognizer.classes) == 6
    used = "haar" if caplog.records else "yunet"
    assert repr(recognizer).endswith(f"; detector {used}>")
    assert caplog.text.count("Finding faces with Haar") == (used == "haar")  # once, however many are loaded
    assert capsys.readouterr() == ("", "") and cv2.getNumThreads() == threads and list(tmp_path.iterdir()) == []


def test_the_readme_s_lines_do_what_they_say(server, tmp_path, monkeypatch, capsys):
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "album").mkdir()
    for name in ("party.jpg", "album/a.jpg", "album/b.jpg"):
        cv2.imwrite(name, scene())
    write_clip(tmp_path / "clip.mp4", 3, picture=scene)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.match(r"(    .*\n|\n)+", text[text.index("    from fer import Recognizer") :])[0]
    values: dict = {}
    exec(textwrap.dedent(block).replace("camera(0)", f"camera('http://{server.place}/live')"), values)
    assert len(values["album"]) == 4 and set(values["album"]["file"]) == {"album/a.jpg", "album/b.jpg"}
    assert len(values["table"]) == 3 * 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 3 + 1 and lines[2].startswith("0 0.0 [(1, ")
    assert Image.open(tmp_path / "out.png").size == (480, 320)


def test_yunet_s_model_file_may_lie_elsewhere(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("FER_CACHE", str(tmp_path))
    (tmp_path / "model.onnx").write_bytes(b"no net")
    with pytest.raises(UserError, match=r"model\.onnx: expected the face detector YuNet"):
        Recognizer.load("ferplus", detector_model=tmp_path / "model.onnx")
    with pytest.raises(
        UserError, match=rf"its model is not in {tmp_path}: run .* once, .* or name it by detector_model="
    ):
        Recognizer.load("ferplus", detector="yunet")
