"""A stream that is watched or recorded by `python infer.py`, on a virtual display, with real keys and real signals.

The camera is a server on loopback: it sends drawn faces, is cut, stalls and comes back, or does not.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from fer.emotions import class_names
from fer.inference.draw.annotate import Style
from fer.inference.modes import webcam
from fer.inference.modes.window import View, opening_size
from fer.inference.results import Frame
from fer.inference.tracking.smoothing import Smoother
from tests.clips import read_clip
from tests.display import Display, needs_display, wait
from tests.runs import ROOT
from tests.scenes import PLACES, records, scene

# infer.py with a change to what has no setting.
CHANGED = """
import runpy, sys, time
from functools import partial
import fer.inference.run  # OpenCV before PyAV, as in infer.py
from fer.inference.modes import video
from fer.inference.modes import webcam
{change}
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# How long a stream may be silent, and how long one that is gone is tried again, in seconds.
IMPATIENT = "webcam.Live = video.Live = partial(video.Live, timeout=3, patience={patience})"
SLOW = "look = webcam._look; webcam._look = lambda *words: time.sleep(3) or look(*words)"
LEFT, TOP, SIDE = PLACES[0]
FACE = np.s_[TOP + SIDE // 3 : TOP + SIDE * 2 // 3, LEFT + SIDE // 3 : LEFT + SIDE * 2 // 3]  # its middle
BELOW = np.s_[TOP + SIDE + 20 : TOP + SIDE + 70, LEFT + 40 : LEFT + 140]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Running:
    """A command that runs, in a folder; what it says goes to files, as in a service."""

    def __init__(self, process: subprocess.Popen, folder: Path, display: Display | None) -> None:
        self.process, self.folder, self.display = process, folder, display

    def said(self, stream: str = "out") -> str:
        return (self.folder / f"{stream}.txt").read_text()

    def until(self, true) -> None:
        """Wait until something is true, unless the command ends before."""

        def alive_and_true() -> bool:
            assert self.process.poll() is None, self.said("err") + self.said()
            return true()

        wait(alive_and_true)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, in the window: one that is just opening may let go of the focus."""
        self.display.focus("fer")
        self.display.xdotool("key", *keys)

    def shown(self) -> np.ndarray:
        """Return the picture in the window, in the size of a scene."""
        size = scene().shape[1::-1]
        width, height = opening_size(*size)
        return cv2.resize(self.display.picture()[:height, :width], size)

    def snapshot(self) -> np.ndarray:
        """Press s and return the snapshot that it leaves."""
        before = set(self.folder.glob("**/*.png"))
        self.press("s")
        self.until(lambda: set(self.folder.glob("**/*.png")) - before)
        [path] = set(self.folder.glob("**/*.png")) - before
        return cv2.imread(str(path))

    def frames(self, name: str = "b") -> int:
        """Return how many frames are recorded so far."""
        path = self.folder / f"{name}.partial.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def ends(self, code: int) -> None:
        """Check that it ends within a minute, with an exit code, and without a traceback."""
        assert self.process.wait(60) == code, self.said("err")
        assert "Traceback" not in self.said("err")


@pytest.fixture
def start(server, tmp_path, weights):
    """Return a function that starts `python infer.py ...` on the camera."""

    @contextmanager
    def starting(display: Display | None, *words: str, change: str = "") -> Iterator[Running]:
        server.picture, server.rate = lambda _: scene(), 20
        words = (f"weights={weights}", f"input=http://{server.place}/live", *words)
        environment = dict(display.environment if display else os.environ)
        environment.pop("PYTHONUNBUFFERED", None)
        if not display:
            environment.pop("DISPLAY", None)
        script = ["-c", CHANGED.format(change=change)] if change else []
        command = [sys.executable, *script, str(ROOT / "infer.py"), *words]
        with (
            (tmp_path / "out.txt").open("w") as out,
            (tmp_path / "err.txt").open("w") as err,
            subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=err) as process,
        ):
            try:
                yield Running(process, tmp_path, display)
            finally:
                process.kill()

    return starting


def assert_whole(path: Path, least: int) -> list[dict]:
    """Check that a clip plays, that its records and timeline belong to it, and that nothing is left half done."""
    found, clip = records(path.with_suffix(".jsonl")), read_clip(path)
    assert [record["frame"] for record in found] == list(range(len(found)))
    assert len(found) >= least
    assert abs(len(clip.times) - len(found)) <= 1  # an interruption may come between the two
    both = min(len(clip.times), len(found))
    assert clip.times[:both] == pytest.approx([record["time"] for record in found[:both]], abs=2e-3)
    assert cv2.imread(str(path.with_name(f"{path.stem}_timeline.png"))) is not None
    assert not list(path.parent.glob("*partial*"))
    return found


def colour(image: np.ndarray) -> float:
    """Return how colourful the middle of the first face is, which the camera sees in gray."""
    return float(np.ptp(image[FACE], axis=2).mean())


def changed(image: np.ndarray, other: np.ndarray) -> float:
    """Return the share of the pixels that differ by more than JPEG makes them."""
    return float((np.abs(image - other.astype(int)).max(2) > 40).mean())


@pytest.mark.slow
@needs_display
def test_keys_do_what_they_say(start, server, display, tmp_path):
    with start(display, "mode=webcam", "detector=haar") as command:
        command.until(lambda: colour(command.shown()) > 20)  # the heatmap
        command.press("g")
        command.until(lambda: colour(command.shown()) < 5)
        assert changed(command.shown()[BELOW], scene()[BELOW]) > 0.5  # the bars
        command.press("b")
        command.until(lambda: changed(command.shown()[BELOW], scene()[BELOW]) < 0.01)
        command.press("m")
        command.until(lambda: changed(command.shown()[:, ::-1][FACE], scene()[FACE]) < 0.01)
        command.press("m")
        command.until(lambda: changed(command.shown()[FACE], scene()[FACE]) < 0.01)
        command.press("space")
        command.until(lambda: changed(command.shown()[:30, -120:], scene()[:30, -120:]) > 0.1)  # "paused"
        server.picture = lambda _: np.full_like(scene(), 250)
        number = server.number
        command.until(lambda: server.number > number + 20)
        paused = command.snapshot()
        assert paused.shape == scene().shape
        assert changed(paused[FACE], scene()[FACE]) < 0.01
        command.press("space")
        command.until(lambda: command.shown()[FACE].min() > 200)
        assert not list(tmp_path.glob("results/*.mp4"))
        command.press("q")
        command.ends(0)


@pytest.mark.slow
@needs_display
def test_no_key_is_lost_while_a_picture_is_made(start, display):
    with start(display, "mode=webcam", "detector=haar", change=SLOW) as command:
        command.until(lambda: colour(command.shown()) > 20)  # the heatmap
        for colourful in (False, True) * 2:
            command.press("--delay", "800", "g", "b")  # milliseconds apart, of a picture's 3000
            command.until(lambda colourful=colourful: (colour(command.shown()) > 20) is colourful)
        command.until(lambda: changed(command.shown()[BELOW], scene()[BELOW]) > 0.5)  # bars, after an even number
        command.press("q")
        command.ends(0)


@pytest.mark.slow
@needs_display
def test_key_starts_and_stops_recordings(start, display, tmp_path):
    with start(display, "mode=webcam", "detector=haar") as command:
        for number in (1, 2):
            command.press("r")
            command.until(lambda: any(map(command.frames, names(tmp_path, "partial.jsonl"))))
            [name] = names(tmp_path, "partial.jsonl")
            command.until(lambda name=name: command.frames(name) > 3)
            command.press("r")
            command.until(lambda number=number: command.said().count("_timeline.png") == number)
        command.press("q")
        command.ends(0)
    clips = sorted(tmp_path.glob("results/*.mp4"))
    assert len(clips) == 2
    for clip in clips:
        found = assert_whole(clip, least=4)
        assert found[0]["time"] == 0
        assert all(len(record["faces"]) == 2 for record in found)
        assert clip.name in command.said()


def test_an_outage_is_told_in_the_window_until_the_next_picture(capsys):
    told = []
    window = SimpleNamespace(message="", show=lambda _: View(), tell=lambda *words: told.append(words))
    screen = webcam.Screen(window)
    assert screen.show(lambda fps: np.zeros((4, 4, 3), np.uint8))
    screen.tell(sentence := "camera 0: it stopped; trying again for 30 s")
    assert (capsys.readouterr().out, told) == (f"{sentence}\n", [(sentence, np.inf)])
    window.message = sentence
    screen.shown -= 1
    assert screen.again()
    assert len(told) == 1
    assert screen.show(lambda fps: np.zeros((4, 4, 3), np.uint8))
    assert screen.show(lambda fps: np.zeros((4, 4, 3), np.uint8))
    assert told[1:] == [("", 0)]


def names(folder: Path, suffix: str) -> list[str]:
    """Return the recordings that have a file of a suffix, each as a place without it."""
    return [str(path.relative_to(folder))[: -len(suffix) - 1] for path in folder.glob(f"results/*.{suffix}")]


@pytest.mark.slow
@needs_display
def test_cut_or_stalled_stream_that_comes_back_goes_on_into_the_same_clip(start, server, display, tmp_path):
    with start(
        display, "mode=webcam", "output=b.mp4", "detector=none", change=IMPATIENT.format(patience=30)
    ) as command:
        command.until(lambda: command.frames() > 10)
        for number, reason in enumerate(("the connection broke", "nothing came for 3 s"), 1):
            server.gone, server.stalled = number == 1, number == 2
            command.until(lambda reason=reason: f"{server.place}/live: {reason}" in command.said())
            assert command.said().count("trying again for 30 s") >= number
            command.snapshot()  # keys work meanwhile
            recorded = command.frames()
            server.gone = server.stalled = False
            command.until(lambda recorded=recorded: command.frames() > recorded + 10)
        command.press("q")
        command.ends(0)
    found = assert_whole(tmp_path / "b.mp4", least=30)
    gaps = np.diff([record["time"] for record in found])
    assert gaps.min() > 0
    assert gaps.max() > 2  # time went on while the stream stalled


@pytest.mark.slow
@needs_display
@pytest.mark.parametrize("mode", ["webcam", "video"])
def test_stream_that_is_cut_for_good_ends_in_order(start, server, display, tmp_path, mode):
    with start(
        display, f"mode={mode}", "output=b.mp4", "detector=none", change=IMPATIENT.format(patience=2)
    ) as command:
        command.until(lambda: command.frames() > 10)
        server.gone = True
        command.ends(0)
    assert "it did not come back within 2 s; it ends here" in command.said()
    assert_whole(tmp_path / "b.mp4", least=11)


@pytest.mark.slow
@needs_display
@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize(
    ("mode", "state", "number"),
    [
        ("video", "flows", signal.SIGINT),
        ("video", "stalls", signal.SIGTERM),
        ("video", "is gone", signal.SIGINT),
        ("webcam", "flows", signal.SIGTERM),
        ("webcam", "stalls", signal.SIGINT),
    ],
)
def test_interrupted_recording_of_a_stream_is_whole(start, server, display, tmp_path, mode, state, number):
    with start(
        display, f"mode={mode}", "output=b.mp4", "detector=none", change=IMPATIENT.format(patience=600)
    ) as command:
        command.until(lambda: command.frames() > 10)
        server.stalled, server.gone = state == "stalls", state == "is gone"
        if state != "flows":
            command.until(lambda: "trying again for 600 s" in command.said())
        command.process.send_signal(number)
        command.ends(CODES[number])  # within 1 to 3 s where nothing else runs, and by no patience
    assert_whole(tmp_path / "b.mp4", least=11)


def test_recordings_begun_in_the_same_second_are_both_kept(tmp_path, monkeypatch):
    begun = iter([datetime(2030, 1, 1, 12, 0, 0, 100_000), datetime(2030, 1, 1, 12, 0, 0, 700_000)])
    monkeypatch.setattr(webcam, "datetime", SimpleNamespace(now=lambda: next(begun)))
    pipeline = SimpleNamespace(predictor=SimpleNamespace(classes=class_names(6)), smoother=Smoother(0))
    with webcam.Tape(SimpleNamespace(output=None, format="jsonl"), pipeline, tmp_path) as tape:
        for index, on in enumerate((True, False, True)):
            tape.add(Frame(index, index / 4, scene()), [], Style(), on)
    assert len([assert_whole(path, least=1) for path in tmp_path.glob("*.mp4")]) == 2


class Shown:
    """Stands in for the window: keeps what is shown, and is paused for some of the pictures."""

    def __init__(self, paused: list[bool]) -> None:
        self.pictures, self.paused = [], paused

    def show(self, picture: np.ndarray) -> View:
        self.pictures.append(picture)
        return View(paused=self.paused.pop(0) if self.paused else False)


def frame_of(rate: str | None) -> np.ndarray:
    return np.full((1, 1), 0 if rate is None else float(rate.split()[0]))


def test_frames_per_second_are_hidden_while_nothing_comes_and_count_anew_afterwards(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(webcam.time, "monotonic", lambda: now[0])
    window = Shown([False] * 30 + [True, True, False])
    screen = webcam.Screen(window)
    for _ in range(32):  # the 31st is paused
        assert screen.show(frame_of)
        now[0] += 0.05 if len(window.pictures) < 31 else 60
    shown = [round(float(picture[0, 0])) for picture in window.pictures]
    assert shown[:31] == [0] + [20] * 30
    assert shown[31:] == [0, 0, 0]  # twice while it is paused; and the first one after it
    now[0] += 0.05 - 60
    screen.show(frame_of)
    assert window.pictures[-1][0, 0] == 20
    now[0] += 0.5
    screen.again()
    assert window.pictures[-1][0, 0] == 20
    now[0] += 5
    screen.again()
    assert window.pictures[-1][0, 0] == 0


@pytest.mark.parametrize("on", [True, False])
def test_window_begins_with_what_the_configuration_says(monkeypatch, on):
    class Opened(Exception):
        pass

    def opened(title, folder, view):
        raise Opened(view)

    monkeypatch.setattr(webcam, "why_no_window", lambda: None)
    monkeypatch.setattr(webcam, "Window", opened)
    with pytest.raises(Opened) as end:
        webcam.watch(SimpleNamespace(output=None, input=None), None, Style(heatmap=on, bars=not on))
    [view] = end.value.args
    assert (view.heatmap, view.bars) == (on, not on)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="X11")
def test_missing_display_is_one_sentence(start, server):
    with start(None, "mode=webcam", "detector=none") as command:
        command.ends(2)
    assert command.said("err").startswith("error: mode=webcam: expected a display, but there is no display")
    assert len(command.said("err").splitlines()) == 1
    assert not server.requests
