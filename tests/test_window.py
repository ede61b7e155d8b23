"""The window: what keys do, what is shown in which size, and, on a virtual display, all of it with real key presses."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.errors import UserError
from fer.inference.modes import window as module
from fer.inference.modes.window import View, Window, after, fitted, key_of, opening_size, why_no_window
from tests.display import Display, needs_display, wait

IMAGE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


@pytest.mark.parametrize(
    ("code", "key"),
    [
        (ord("q"), "q"),
        (ord("Q"), "q"),
        (27, "\x1b"),
        (ord(" "), " "),
        (0x100000 + ord("g"), "g"),  # Num Lock, as GTK reports it
        (0x20000 + ord("G"), "g"),  # Caps Lock
        (-1, ""),  # none
        (0xFF51, ""),  # left arrow of X11, whose low byte is Q
        (0xFF53, ""),  # right arrow, S
        (0x250000, ""),  # left arrow of Windows
        (0xFFE1, ""),  # Shift
    ],
)
def test_key_codes(code, key):
    assert key_of(code) == key


def test_keys_switch_what_they_say_and_back():
    view = View()
    for key, name in {"g": "heatmap", "b": "bars", "m": "mirror", " ": "paused", "r": "recording", "h": "help"}.items():
        once = after(view, key)
        assert once == replace(view, **{name: not getattr(view, name)})
        assert after(once, key) == view
    for key in ("q", "\x1b"):
        assert after(view, key) == replace(view, quit=True)
    for key in ("", "s", "x", "\x00"):
        assert after(view, key) == view


@pytest.mark.parametrize(
    ("picture", "window"),
    [((320, 240), (640, 480)), ((640, 480), (640, 480)), ((3840, 2160), (1280, 720)), ((1080, 1920), (405, 720))],
)
def test_new_window_is_large_enough_and_fits_on_the_screen(picture, window):
    assert opening_size(*picture) == window


@pytest.mark.parametrize(
    ("size", "inside"),
    [
        ((320, 240), (0, 0, 320, 240)),
        ((400, 120), (120, 0, 160, 120)),
        ((80, 200), (0, 70, 80, 60)),
        ((1, 1), (0, 0, 1, 1)),
    ],
)
def test_picture_fits_the_window_undistorted(size, inside):
    x, y, width, height = inside
    shown = fitted(np.full_like(IMAGE, 200), *size)
    assert shown.shape == (size[1], size[0], 3)
    assert (shown[y : y + height, x : x + width] == 200).all()
    assert (shown == 200).all(2).sum() == width * height


class Screen:
    """Stands in for OpenCV's windows: hands out `keys`, keeps what is shown."""

    def __init__(self, monkeypatch) -> None:
        self.keys: list[int] = []
        self.shown: list[np.ndarray] = []
        self.waits: list[int] = []
        self.visible, self.size = 1.0, (640, 480)
        monkeypatch.setenv("QT_QPA_PLATFORM", "wayland")  # as some desktops do; and it is put back after the test
        monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
        monkeypatch.setattr(cv2, "resizeWindow", lambda *_: None)
        monkeypatch.setattr(cv2, "imshow", lambda _, image: self.shown.append(image))
        monkeypatch.setattr(cv2, "waitKeyEx", self.wait)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: self.visible)
        monkeypatch.setattr(cv2, "getWindowImageRect", lambda *_: (0, 0, *self.size))
        monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
        monkeypatch.setattr(cv2, "waitKey", lambda _: -1)

    def wait(self, delay: int) -> int:
        self.waits.append(delay)
        return self.keys.pop(0) if self.keys else -1


@pytest.fixture
def screen(monkeypatch) -> Screen:
    return Screen(monkeypatch)


def test_keys_pressed_between_two_frames_are_all_obeyed(screen, tmp_path):
    with Window("test", tmp_path, View()) as window:
        screen.keys = [ord("g"), ord("b"), 0xFF51, ord("q"), ord("m")]
        assert window.show(IMAGE) == View(heatmap=False, bars=False, quit=True)


def test_keys_pressed_while_a_picture_is_made_are_obeyed_with_it(screen, tmp_path):
    with Window("test", tmp_path, View()) as window:
        window.show(IMAGE)
        screen.keys = [ord("g"), -1, -1, ord("b"), -1, ord("m"), -1]
        assert window.meanwhile(lambda: wait(lambda: not screen.keys) or 7) == 7
        assert window.view == View()
        assert window.show(IMAGE) == View(heatmap=False, bars=False, mirror=True)


def test_what_fails_while_the_window_listens_is_raised(screen, tmp_path):
    with Window("test", tmp_path, View()) as window, pytest.raises(ZeroDivisionError):
        window.meanwhile(lambda: 1 // 0)


def test_closing_the_window_quits(screen, tmp_path, monkeypatch):
    for closed in (lambda *_: 0.0, lambda *_: -1.0, raising):
        monkeypatch.setattr(cv2, "getWindowProperty", closed)
        with Window("test", tmp_path, View()) as window:
            assert window.show(IMAGE).quit


def raising(*_):
    raise cv2.error("NULL guiReceiver")


def test_snapshot_is_the_picture_without_help_or_signs(screen, tmp_path):
    with Window("test", tmp_path / "results", View(recording=True)) as window:
        screen.keys = [ord("s"), ord("S")]
        window.show(IMAGE)
        assert len(files := sorted((tmp_path / "results").iterdir())) == 2
        assert all(np.array_equal(cv2.imdecode(np.fromfile(path, np.uint8), 1), IMAGE) for path in files)
        window.show(IMAGE)
    assert not np.array_equal(screen.shown[0], screen.shown[1])  # it is said where the snapshot is


def test_snapshot_that_cannot_be_saved_is_said_and_ends_nothing(screen, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with Window("test", tmp_path / "file", View()) as window:
        screen.keys = [ord("s")]
        assert not window.show(IMAGE).quit
        assert window.message.startswith("not saved")


def test_what_is_told_is_written_into_the_picture_until_its_time_is_over(screen, tmp_path):
    with Window("test", tmp_path, View(help=False)) as window:
        window.show(IMAGE)
        window.until["help"] = 0
        window.show(IMAGE)
        window.tell("camera 0: it stopped; trying again for 30 s", np.inf)
        window.show(IMAGE)
        window.tell("", 0)
        window.show(IMAGE)
    before, told, after = screen.shown[1:]
    assert (told != before).any()
    assert np.array_equal(after, before)


def test_help_vanishes_by_itself_unless_it_was_asked_for(screen, tmp_path, monkeypatch):
    with Window("test", tmp_path, View()) as window:
        assert window.show(IMAGE).help
        now = time.monotonic()
        monkeypatch.setattr(module.time, "monotonic", lambda: now + 60)
        assert not window.show(IMAGE).help
        screen.keys = [ord("h")]
        assert window.show(IMAGE).help
        monkeypatch.setattr(module.time, "monotonic", lambda: now + 1000)
        assert window.show(IMAGE).help
    plain, helped = screen.shown[1], screen.shown[3]
    changed = (plain != helped).any(2)
    assert changed[-40:].any()
    assert not changed[:-80].any()


def test_recording_and_pause_are_shown(screen, tmp_path):
    pictures = []
    for view in (View(help=False), View(help=False, recording=True), View(help=False, paused=True)):
        with Window("test", tmp_path, view) as window:
            window.show(IMAGE)
        pictures.append(screen.shown[-1])
    plain, recording, paused = pictures
    for other in (recording, paused):
        changed = (other != plain).any(2)
        assert changed.any()
        assert not changed[60:].any()
    assert not np.array_equal(recording, paused)


def test_pictures_follow_the_window_and_a_pause_saves_work(screen, tmp_path):
    with Window("test", tmp_path, View()) as window:
        for screen.size in ((640, 480), (800, 300), (0, 0), (30, 20)):
            window.show(IMAGE)
        screen.waits.clear()
        screen.keys = [ord(" ")]
        window.show(IMAGE)
        window.show(IMAGE)
    assert [picture.shape[1::-1] for picture in screen.shown[:5]] == [
        (640, 480),
        (640, 480),
        (800, 300),
        (800, 300),
        (30, 20),
    ]
    assert screen.waits[0] == 1 < 10 <= screen.waits[-1]


def test_opencv_that_fails_to_open_a_window_is_said_in_one_sentence(screen, tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "namedWindow", raising)
    with pytest.raises(UserError, match="show=false"):
        Window("test", tmp_path, View())


def test_opencv_without_windows_is_said_with_the_cure(monkeypatch):
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    assert "pip install --force-reinstall --no-deps opencv-python" in why_no_window()


@pytest.mark.skipif(sys.platform != "linux", reason="X11")
@pytest.mark.parametrize(
    ("display", "words"), [(None, "DISPLAY is not set"), ("", "not set"), (":987", "display :987")]
)
def test_missing_display_is_said_and_does_not_abort(display, words, monkeypatch):
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "QT5")
    if display is None:
        monkeypatch.delenv("DISPLAY", raising=False)
    else:
        monkeypatch.setenv("DISPLAY", display)
    assert words in why_no_window()


CHILD = """
import json, sys
from dataclasses import asdict
from pathlib import Path
import fer.inference.run, fer.inference.modes.video  # as infer.py: PyAV before OpenCV would hang its windows
import numpy as np
from fer.inference.modes.window import View, Window, why_no_window

assert why_no_window() is None
view = None
with Window("fer under test", Path(sys.argv[1]), View()) as window:
    while not window.view.quit:
        if window.show(np.full((240, 320, 3), 128, np.uint8)) != view:
            view = window.view
            print(json.dumps({**asdict(view), "size": window.size}), flush=True)
"""


@pytest.mark.slow
@needs_display
@pytest.mark.parametrize("end", ["q", "Escape"])
def test_real_keys_on_a_virtual_display(end, display, tmp_path):
    environment = {**display.environment, "QT_QPA_PLATFORM": "wayland"}
    command = [sys.executable, "-c", CHILD, str(tmp_path / "results")]
    with (tmp_path / "out.txt").open("w") as out, subprocess.Popen(command, env=environment, stdout=out) as child:
        try:
            press_keys(tmp_path, display, end)
            assert child.wait(20) == 0
        finally:
            child.kill()


def press_keys(folder: Path, display: Display, end: str) -> None:
    """Press one key after the other and wait for what each should do."""

    def last() -> dict:
        lines = (folder / "out.txt").read_text().splitlines()
        return json.loads(lines[-1]) if lines else {}

    wait(lambda: last().get("size") == [640, 480])
    window = display.focus("fer under test")
    for key, name in {"g": "heatmap", "b": "bars", "m": "mirror", "r": "recording", "space": "paused"}.items():
        before = last()[name]
        display.xdotool("key", key)
        wait(lambda name=name, before=before: last()[name] is not before)
    display.xdotool("key", "s")
    wait(lambda: list((folder / "results").glob("*.png")))
    display.xdotool("windowsize", window, "500", "300", "key", "Left", "key", "Up", "key", "b")
    wait(lambda: last()["bars"])
    assert not last()["quit"]
    display.xdotool("key", "g")
    wait(lambda: last()["heatmap"])
    assert last()["size"] == [500, 300]
    display.xdotool("key", end)
    wait(lambda: last()["quit"])
