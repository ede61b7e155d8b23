"""The window in which one watches a camera or a stream, and what its keys do."""

import ctypes
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import cv2
import numpy as np

from fer.errors import RunError, UserError
from fer.faces.detection import Rectangle
from fer.inference.draw import blend
from fer.inference.io.images import save_photo
from fer.inference.io.output_paths import make_folder

SWITCHES = {"g": "heatmap", "b": "bars", "m": "mirror", " ": "paused", "r": "recording", "h": "help"}
HELP = (
    *("q  quit", "g  heatmap", "b  bars", "m  mirror"),
    *("space  pause", "s  snapshot", "r  record", "h  help"),
)
QUIT = ("q", "\x1b")
LARGEST = (1280, 720)  # pixels of a new window: it fits on the smallest usual screen
SMALLEST = 640  # pixels, width of a new window that shows smaller pictures
BRIEFLY = 6.0  # seconds for which the help at the start and messages are shown
IDLE = 30  # milliseconds from one look at the keys to the next while paused
LISTEN = 5  # the same while a picture is made: of two keys between two looks, OpenCV tells one
RED = (48, 48, 208)

Made = TypeVar("Made")


@dataclass(frozen=True)
class View:
    """What the user has chosen so far."""

    heatmap: bool = True
    bars: bool = True
    mirror: bool = False
    paused: bool = False
    recording: bool = False
    help: bool = True
    quit: bool = False


def key_of(code: int) -> str:
    """Return the key that `cv2.waitKeyEx` means, in lower case; "" for none and for keys without a character.

    The low byte alone would not do: it takes the left arrow, 0xff51, for a Q. Bits above the lowest 16 stand for
    Caps Lock and the like.
    """
    code &= 0xFFFF
    return chr(code).lower() if 0 < code < 0x80 else ""


def after(view: View, key: str) -> View:
    """Return the view after a key was pressed; keys that mean nothing change nothing."""
    if key in QUIT:
        return replace(view, quit=True)
    if name := SWITCHES.get(key):
        return replace(view, **{name: not getattr(view, name)})
    return view


def why_no_window() -> str | None:
    """Return why no window can be opened, as the end of a sentence, or None if one can.

    Without this check Qt, the windows of opencv-python on Linux, would abort the process.
    """
    if not (toolkit := cv2.currentUIFramework()):
        return (
            "opencv-python-headless, which has no windows, lies over opencv-python: "
            "python -m pip install --force-reinstall --no-deps opencv-python"
        )
    return _why_no_qt() if toolkit.startswith("QT") and sys.platform == "linux" else None


def _why_no_qt() -> str | None:
    if not (display := os.environ.get("DISPLAY")):
        return "there is no display (DISPLAY is not set)"
    plugin = Path(cv2.__file__).with_name("qt") / "plugins/platforms/libqxcb.so"
    try:
        if plugin.exists():
            ctypes.CDLL(str(plugin))
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError as error:
        return f"a library for windows is missing ({error})"
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    if xcb.xcb_connection_has_error(connection):
        xcb.xcb_disconnect(connection)
        return f"the display {display} does not answer or refuses us"
    return None  # and stay connected: a bare server starts anew when its last client leaves, and refuses Qt meanwhile


class Window:
    """A window, within a `with` block: it shows pictures of any size whole and undistorted, however it is resized.

    Args:
        title: of the window.
        folder: where snapshots go; it is made for the first one.
        view: what is switched on at the start; `Window.view` is what is on now.

    Raises:
        UserError: if it cannot be opened; ask `why_no_window` first.
    """

    def __init__(self, title: str, folder: Path, view: View) -> None:
        self.title, self.folder, self.view = title, folder, view
        self._worker, self._codes = ThreadPoolExecutor(1), []  # codes of keys that were noted and not obeyed so far
        self.size = (0, 0)  # of the window's inside, in pixels; none before the first picture
        self.message = ""
        self.until = {"help": 0.0, "message": 0.0}  # when they vanish
        os.environ["QT_QPA_PLATFORM"] = "xcb"  # the wheel has no other; Qt would abort where a desktop asks for wayland
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise UserError(
                f"show=true: expected a window, but OpenCV cannot open one ({error.err}): add show=false"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._worker.shutdown()
        cv2.destroyAllWindows()
        cv2.waitKey(1)  # else some systems leave it on the screen

    def show(self, image: np.ndarray) -> View:
        """Show a picture (H, W, 3) uint8, do what the keys say that OpenCV tells of, and return what is on now.

        While paused, this waits a little: the same picture can be shown again and again.
        """
        if self.size == (0, 0):
            self.size = opening_size(image.shape[1], image.shape[0])
            cv2.resizeWindow(self.title, *self.size)
            self.until["help"] = time.monotonic() + BRIEFLY
        cv2.imshow(self.title, self._dressed(image))
        self.listen(IDLE if self.view.paused else 1)
        while self._codes and not self.view.quit:
            self._press(key_of(self._codes.pop(0)), image)
        if self._closed():
            self.view = replace(self.view, quit=True)
        return self.view

    def meanwhile(self, work: Callable[[], Made]) -> Made:
        """Return what `work` does, in a thread, and note the keys that are pressed meanwhile."""
        job = self._worker.submit(work)
        while not job.done():
            self.listen(LISTEN)
        return job.result()

    def listen(self, wait: int = 1) -> None:
        """Note all keys that OpenCV tells of within `wait` milliseconds; the next picture that is shown obeys them."""
        while (code := cv2.waitKeyEx(wait)) != -1:
            self._codes.append(code)
            wait = 1

    def tell(self, sentence: str, seconds: float = BRIEFLY) -> None:
        """Write a sentence into the pictures to come, in place of the help; any thread may."""
        self.until["message"], self.message = time.monotonic() + seconds, sentence

    def _closed(self) -> bool:
        """Tell whether the user has closed the window, and note its size if not."""
        try:
            if cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) < 1:
                return True
            _, _, width, height = cv2.getWindowImageRect(self.title)
        except cv2.error:  # Qt forgets even that there was one
            return True
        if min(width, height) > 0:  # not where it is an icon
            self.size = width, height
        return False

    def _press(self, key: str, image: np.ndarray) -> None:
        if key == "s":
            self.tell(self._snapshot(image))
        elif key == "h":
            self.until["help"] = np.inf  # asked for: it stays
        self.view = after(self.view, key)

    def _snapshot(self, image: np.ndarray) -> str:
        """Save a picture, and return what to tell the user; a full disk is no reason to end."""
        path = self.folder / f"snapshot_{datetime.now():%Y-%m-%d_%H-%M-%S-%f}.png"
        try:
            make_folder(self.folder)
            return f"saved {save_photo(path, image)}"
        except (UserError, RunError) as error:
            return f"not saved: {error}"

    def _dressed(self, image: np.ndarray) -> np.ndarray:
        """Return the picture in the window's size, with signs and help on it."""
        now = time.monotonic()
        if now > self.until["help"]:
            self.view = replace(self.view, help=False)
        canvas = fitted(image, *self.size)
        size = min(max(canvas.shape[1] // 50, blend.SMALLEST), 16)
        signs = [("REC", RED)] * self.view.recording + [("paused", blend.DARK)] * self.view.paused
        right = canvas.shape[1] - size // 2
        for words, colour in signs:
            width, height = blend.tag_size(words, size)
            blend.tag(canvas, (right - width, size // 2, width, height), words, size, colour)
            right -= width + size // 2
        words = self.message.split("; ") if now < self.until["message"] else HELP if self.view.help else ()
        for place, line in _rows(words, size, canvas.shape[1], canvas.shape[0]):
            blend.tag(canvas, place, line, size, blend.DARK, 0.8)
        return canvas


def opening_size(width: int, height: int) -> tuple[int, int]:
    """Return the size of a new window for pictures of a size: small ones are enlarged, large ones fit on the screen."""
    scale = min(LARGEST[0] / width, LARGEST[1] / height, max(SMALLEST / width, 1))
    return max(round(scale * width), 1), max(round(scale * height), 1)


def fitted(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a picture (H, W, 3) as (height, width, 3): as large as it can be, black beside it."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = max(round(scale * image.shape[1]), 1), max(round(scale * image.shape[0]), 1)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    return cv2.copyMakeBorder(image, y, height - size[1] - y, x, width - size[0] - x, cv2.BORDER_CONSTANT)


def _rows(words: Sequence[str], size: int, width: int, height: int) -> list[tuple[Rectangle, str]]:
    """Return where short texts go: beside each other, from the lower left corner, in as many rows as it takes."""
    x, y, gap, places = size // 2, 0, size // 3, []
    for line in words:
        wide, high = blend.tag_size(line, size)
        if x + wide > width and x > size // 2:
            x, y = size // 2, y + high + gap
        places.append(((x, y, wide, high), line))
        x += wide + gap
    lower = height - y - round(1.5 * size) - size // 2
    return [((x, lower + y, wide, high), line) for (x, y, wide, high), line in places]
