"""mode=webcam: a camera or a stream in a window."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from fer.errors import UserError
from fer.faces.area import framed
from fer.inference.draw.annotate import Style, annotate
from fer.inference.io.live import Live
from fer.inference.io.output_paths import make_folder
from fer.inference.modes import video
from fer.inference.modes.video import RecordingWriter, say
from fer.inference.modes.window import View, Window, why_no_window
from fer.inference.pipeline import Pipeline
from fer.inference.results import FaceResult, Frame
from fer.inference.schema import InferConfig
from fer.terms import BEFORE_A_CAMERA

LATE = 1.0  # seconds without a new picture after which one sees that there are none
AGAIN = 0.05  # seconds after which a picture is shown once more, while no new one comes
STEADY = 0.5  # seconds, time constant of the frames per second that are shown


def run(config: InferConfig, pipeline: Pipeline, style: Style) -> None:
    """Watch a camera or a stream; without a window (show=false) record it, as mode=video does."""
    recorded = config.output is not None or not config.show
    say(BEFORE_A_CAMERA.format(kept="it is recorded" if recorded else "nothing is written but by the keys s and r"))
    (watch if config.show else video.run)(config, pipeline, style)


def watch(config: InferConfig, pipeline: Pipeline, style: Style) -> None:
    """Show a camera or a stream with what is seen in it, until the user quits; record it from the start or at a key.

    Raises:
        UserError: if there is no camera, no stream or no display.
    """
    if reason := why_no_window():
        others = "" if config.input else ", and to look at photos or a clip: input=FILE"
        raise UserError(
            f"mode=webcam: expected a display, but {reason}; to record instead: show=false output=FILE.mp4{others}"
        )
    folder = config.output.parent if config.output else Path("results")
    view = View(heatmap=style.heatmap, bars=style.bars, mirror=not config.input, recording=config.output is not None)
    with Window("fer", folder, view) as window, ExitStack() as stack:
        screen = Screen(window)
        live = Live(config.input or "0", drop_stale=True, say=screen.tell, idle=lambda: screen.again() or live.close())
        stack.enter_context(live)
        tape = stack.enter_context(Tape(config, pipeline, folder))
        for frame in live:
            view = window.view
            pipeline.heatmaps = view.heatmap
            seen = window.meanwhile(partial(_look, pipeline, frame))
            now = replace(style, heatmap=view.heatmap, bars=view.bars)
            tape.add(frame, seen, now, view.recording)
            if not screen.show(partial(_drawn, frame.image, seen, pipeline, replace(now, mirror=view.mirror))):
                break


def _look(pipeline: Pipeline, frame: Frame) -> list[FaceResult]:
    return pipeline.look(frame, pipeline.find(frame))


def _drawn(image: np.ndarray, seen: list[FaceResult], pipeline: Pipeline, style: Style, fps: str | None) -> np.ndarray:
    image = framed(pipeline.area, image)
    return annotate(image, seen, pipeline.predictor.classes, replace(style, fps=fps))


class Screen:
    """The window's latest picture, which stays while nothing new comes: then without frames per second."""

    def __init__(self, window: Window) -> None:
        self.window, self.clock = window, Clock()
        self.draw: Callable[[str | None], np.ndarray] | None = None  # of the latest picture
        self.picture: np.ndarray | None = None
        self.since = self.shown = 0.0  # when it came, and when it was shown last
        self.outage = ""  # why no other one comes, as far as that is known

    def show(self, draw: Callable[[str | None], np.ndarray]) -> bool:
        """Show a new picture, for as long as the user pauses; tell whether to go on.

        Args:
            draw: makes the picture, given the frames per second to be written into it, or None.
        """
        self.draw, self.picture = draw, draw(self.clock.tick())
        self.since = self.shown = time.monotonic()
        if self.outage and self.window.message == self.outage:
            self.window.tell("", 0)
        self.outage = ""
        view = self.window.show(self.picture)
        if view.paused:
            self._stand_still()
            while (view := self.window.show(self.picture)).paused and not view.quit:
                pass
        return not view.quit

    def tell(self, sentence: str) -> None:
        """Say on the console and, until the next picture comes, in the window that the source has stopped."""
        say(sentence)
        self.outage = sentence
        self.window.tell(sentence, math.inf)

    def again(self) -> bool:
        """Show the latest picture once more if that was some time ago, else note keys; tell whether to go on."""
        now = time.monotonic()
        if self.picture is None:
            return True
        if now - self.shown < AGAIN:
            self.window.listen()
            return True
        if self.draw and now - self.since > LATE:
            self._stand_still()
        self.shown = now
        return not self.window.show(self.picture).quit

    def _stand_still(self) -> None:
        """Take the frames per second out of the picture: there are none, and those to come count from then on."""
        self.draw, self.picture, self.clock = None, self.draw(None), Clock()


class Tape:
    """What is recorded while somebody watches, within a `with` block: a clip for each time that it is switched on.

    Args:
        config: names the first clip by its output.
        pipeline: as for `RecordingWriter`.
        folder: of all other clips.
    """

    def __init__(self, config: InferConfig, pipeline: Pipeline, folder: Path) -> None:
        self.config, self.pipeline, self.folder = config, pipeline, folder
        self.path = config.output
        self.recording: RecordingWriter | None = None
        self.start = 0.0

    def __enter__(self) -> "Tape":
        return self

    def add(self, frame: Frame, seen: list[FaceResult], style: Style, on: bool) -> None:
        """Record a frame if recording is on; begin and end clips as it changes."""
        if not on:
            self.__exit__(None, None, None)
            return
        if self.recording is None:
            self._begin(frame.image)
            self.start = frame.time
        moved = frame._replace(index=self.recording.timeline.frames, time=frame.time - self.start)
        self.recording.add(moved, seen, annotate(frame.image, seen, self.pipeline.predictor.classes, style))

    def _begin(self, image: np.ndarray) -> None:
        make_folder(self.folder)
        path = self.path or self.folder / f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}_webcam.mp4"
        self.path = None  # the next clip gets a name of its own
        self.recording = RecordingWriter(path, image.shape[1::-1], self.config.format, self.pipeline, None)

    def __exit__(self, *error: object) -> None:
        if self.recording:
            self.recording.__exit__(*error)
            self.recording = None


class Clock:
    """Frames per second, smoothed."""

    def __init__(self) -> None:
        self.last: float | None = None
        self.step = 0.0

    def tick(self) -> str | None:
        """Count one frame and return the rate, to be shown; None for the first one."""
        now = time.monotonic()
        passed, self.last = now - (self.last or now), now
        self.step += (passed - self.step) * (min(passed / STEADY, 1.0) if self.step else 1.0)
        return f"{1 / max(self.step, 1e-3):.0f} fps" if self.step else None
