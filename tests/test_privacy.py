"""What docs/data-protection.md says of the program: no network but what was asked for, and no files but the results."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from fer.terms import LAW, NO_ADVICE
from tests.clips import write_clip
from tests.runs import ROOT
from tests.scenes import records, scene

# A program that notes every address it asks for, and every program it starts, while Python works.
WATCHED = """
import os, runpy, sys
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
PROGRAMS = ("subprocess.Popen", "os.exec", "os.posix_spawn")
def watch(event, arguments):
    local = event == "socket.connect" and isinstance(arguments[1], (str, bytes))  # a file of this machine
    fonts = event == "subprocess.Popen" and arguments[0] == "fc-list"  # Matplotlib looks for some
    if event in NETWORK + PROGRAMS and not (local or fonts):
        os.write(9, f"{event} {arguments}\\n".encode())
os.dup2(os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 9)
sys.addaudithook(watch)
sys.argv = sys.argv[1:]
"""
INFER = WATCHED + "runpy.run_path(sys.argv[0], run_name='__main__')"
RECOGNIZER = (
    WATCHED
    + """
from fer import Recognizer
recognizer = Recognizer.load("ferplus", heatmaps=True)
photo = recognizer.image(sys.argv[0])
photo.draw(heatmap=True), photo.to_dict(), [face.crop for face in photo.faces]
print(len(photo.faces), sum(len(frame.faces) for frame in recognizer.video(sys.argv[1])))
"""
)
FONTS = "home/.cache/matplotlib/"


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a program in a folder: what it said, the files it left, and whom it asked."""
    (tmp_path / "a").mkdir()
    cv2.imwrite(str(tmp_path / "a/a.png"), scene())
    write_clip(tmp_path / "a/a.mp4", frames=4, picture=scene)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    kept = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "FER_CACHE", "XDG_CACHE_HOME")}
    places = {"HOME": str(tmp_path / "home"), "USERPROFILE": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    noted = tmp_path / "noted.txt"

    def start(program: str, *words: str, code: int = 0) -> tuple[str, set[str], str]:
        command = [sys.executable, "-c", program, noted, *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=kept | places)
        assert done.returncode == code, done.stderr
        found = {path for path in tmp_path.rglob("*") if path.is_file()} - before - {noted}
        names = {path.relative_to(tmp_path).as_posix() for path in found}
        return done.stdout, {name for name in names if not name.startswith(FONTS)}, noted.read_text()

    return start


def infer(run, *words: str, **more):
    return run(INFER, str(ROOT / "infer.py"), "detector=haar", *words, **more)


LEFT = {
    "a photo": (("input=a/a.png", "output=b.png"), {"b.png", "b.jsonl"}),
    "a clip": (("input=a/a.mp4", "output=b.mp4"), {"b.mp4", "b.jsonl", "b_timeline.png"}),
}


@pytest.mark.parametrize(
    ("words", "left"),
    [pytest.param(*values, id=name, marks=[pytest.mark.slow] * (name != "a photo")) for name, values in LEFT.items()],
)
def test_nobody_is_asked_and_nothing_is_left_but_the_results(run, words, left):
    _, found, asked = infer(run, *words)
    assert (found, asked) == (left, "")


@pytest.mark.slow
def test_faces_that_are_cut_out_are_all_that_is_left(run):
    _, found, asked = infer(run, "mode=crop", "input=a/a.png", "output=c")
    assert asked == "" and found and all(name.startswith("c/") and name.endswith(".png") for name in found)


@pytest.mark.slow
def test_from_python_nothing_is_left_and_nobody_is_asked(run):
    said, found, asked = run(RECOGNIZER, "a/a.png", "a/a.mp4")
    photo, clip = map(int, said.split())
    assert photo > 0 and clip > 0
    assert (found, asked) == (set(), "")


@pytest.mark.slow
def test_the_watch_would_see_a_network(run):
    program = WATCHED + "import socket\ntry: socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError: pass"
    assert "socket.connect" in run(program)[2]


@pytest.mark.slow
def test_records_hold_numbers_and_no_picture(run, tmp_path):
    infer(run, "input=a/a.mp4", "output=b.mp4")
    known = {"track", "box", "score", "emotion", "probabilities"}
    for record in records(tmp_path / "b.jsonl"):
        assert set(record) == {"frame", "time", "faces"}
        assert all(set(face) == known for face in record["faces"])
        assert len(json.dumps(record)) < 1000
    assert min(face["track"] for record in records(tmp_path / "b.jsonl") for face in record["faces"]) == 1


@pytest.mark.slow
def test_before_a_camera_it_says_what_is_due_and_what_is_written(run, server, tmp_path):
    server.file = (tmp_path / "a/a.mp4").read_bytes()
    stream = f"input=http://{server.place}/a.mp4"
    said, found, _ = infer(run, "mode=webcam", "show=false", stream, "output=b.mp4")
    assert found == {"b.mp4", "b.jsonl", "b_timeline.png"}
    assert "Article 50(3)" in said and "Article 5(1)(f)" in said and "it is recorded" in said
    assert said.index("Tell the people") == 0


def test_the_page_the_cards_and_the_notes_say_what_the_law_says():
    page = " ".join((ROOT / "fer/export/page/index.html").read_text(encoding="utf-8").split())
    assert LAW in page and NO_ADVICE in page
    for name in ("docs/consent.md", "docs/data-protection.md", "README.md"):
        text = " ".join((ROOT / name).read_text(encoding="utf-8").split())
        assert "5(1)(f)" in text and "no legal advice" in text, name


def test_what_the_notes_name_is_there():
    text = (ROOT / "docs/data-protection.md").read_text(encoding="utf-8")
    for name in ("tests/test_privacy.py", "weights/ferplus.md", "docs/consent.md"):
        assert Path(name).name in text and (ROOT / name).exists()
