"""A virtual display for tests, its keys and windows, and waiting for what they do."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

PATIENCE = 60  # seconds
needs_display = pytest.mark.skipif(not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb, xdotool")


class Display:
    """A display of 1366x768 without a window manager, as a context manager.

    Attributes:
        environment: of the programs that use it.
    """

    def __enter__(self) -> "Display":
        self._folder = tempfile.TemporaryDirectory()
        command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1366x768x24", "-fbdir", self._folder.name]
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.environment = {**os.environ, "DISPLAY": f":{int(self._server.stdout.readline())}"}
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()
        self._server.communicate()
        self._folder.cleanup()

    def xdotool(self, *words: str) -> str:
        """Run xdotool, which presses keys and finds windows; return what it says."""
        return subprocess.run(
            ["xdotool", *words], env=self.environment, check=True, stdout=subprocess.PIPE, text=True, timeout=PATIENCE
        ).stdout

    def focus(self, title: str) -> str:
        """Wait for the window of a title and let it have the keys; return its number."""
        window = self.xdotool("search", "--sync", "--onlyvisible", "--name", f"^{title}$").split()[0]
        self.xdotool("windowfocus", "--sync", window)
        return window

    def picture(self) -> np.ndarray:
        """Return what is on the display, (768, 1366, 3) blue-green-red."""
        data = (Path(self._folder.name) / "Xvfb_screen0").read_bytes()
        head = np.frombuffer(data, ">u4", 25)  # of an xwd file: its length, then sizes in pixels and bytes, ...
        start, width, height, line = int(head[0] + 12 * head[19]), int(head[4]), int(head[5]), int(head[12])
        pixels = np.frombuffer(data, np.uint8, line * height, start).reshape(height, line // 4, 4)
        return pixels[:, :width, :3]


def wait(true: Callable[[], object]) -> None:
    """Wait until something is true."""
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)
