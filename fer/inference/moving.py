"""Clips, streams and cameras: recorded (mode=video) or watched in a window (mode=webcam)."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np

from fer.inference.clip_sink import ClipWriter
from fer.inference.clip_source import Clip
from fer.inference.drawing import Style, draw
from fer.inference.faces import Frame, Seen
from fer.inference.live import Live
from fer.inference.photos import save_photo
from fer.inference.pipeline import Pipeline
from fer.inference.places import claimed, output_file, records_of
from fer.inference.progress import progress
from fer.inference.records import Records
from fer.inference.schema import InferConfig
from fer.inference.streams import is_address
from fer.inference.timeline import Timeline, summary

AHEAD = 4  # frames that are decoded, and as many that are searched, while an earlier one is looked at

Item = TypeVar("Item")


def record(config: InferConfig, pipeline: Pipeline, style: Style) -> None:
    """Look at every frame of a clip, stream or camera and write the drawn clip, its records and its timeline.

    An interruption leaves what there is so far as whole files.

    Raises:
        UserError: if the input cannot be read or the output not be written.
        RunError: if writing fails later.
    """
    with _open(config.input or "0") as source:
        clip = source if isinstance(source, Clip) else None
        path = output_file(config, f"{clip.path.stem if clip else 'stream'}.mp4")
        frames = ahead(source)
        first = next(frames)
        size = (clip.width, clip.height) if clip else first.image.shape[1::-1]
        with Recording(path, size, config.format, pipeline, clip) as recording:
            looked = looked_at(chain([first], frames), pipeline, style, source.close if clip is None else None)
            for frame, seen, image in progress(looked, clip and clip.count, "frames"):
                recording.add(frame, seen, image)
    if clip and clip.skipped:
        print(f"frames that could not be decoded: {clip.skipped}")
    if clip and clip.missing:
        print(f"frames that are missing, as the file was cut off or damaged: {clip.missing}")


def looked_at(
    frames: Iterable[Frame], pipeline: Pipeline, style: Style, end: Callable[[], None] | None = None
) -> Iterator[tuple[Frame, list[Seen], np.ndarray | None]]:
    """Yield every frame, what is seen in it, and as it is drawn; the faces of the next ones are sought in a thread.

    `end` is for frames that may not come for long: it ends them, as for `ahead`.
    """
    for frame, faces in ahead(((frame, pipeline.find(frame)) for frame in frames), end):
        seen = pipeline.look(frame, faces)
        image = None if frame.image is None else draw(frame.image, seen, pipeline.predictor.classes, style)
        yield frame, seen, image


class Recording:
    """A drawn clip, its records and its timeline, within a `with` block; an interruption leaves all three whole.

    Args:
        path: of the clip; the others get its stem.
        size: width and height of the pictures.
        kind: of the records, "jsonl" or "csv".
        pipeline: knows the classes and how much the answers flicker.
        clip: where the pictures come from; None for a live source.
    """

    def __init__(self, path: Path, size: tuple[int, int], kind: str, pipeline: Pipeline, clip: Clip | None) -> None:
        self.path, self.pipeline, self.begun = path, pipeline, time.monotonic()
        self.timeline = Timeline(pipeline.predictor.classes)
        with ExitStack() as stack:
            stack.enter_context(claimed(path))
            self.records = stack.enter_context(Records(records_of(path, kind), pipeline.predictor.classes, kind))
            self.writer = stack.enter_context(ClipWriter(path, *size, clip))
            self.files = stack.pop_all()
        if any(self.writer.padded):
            width, height = (side + more for side, more in zip(size, self.writer.padded, strict=True))
            print(f"H.264 needs even sizes: {size[0]}x{size[1]} becomes {width}x{height} by repeating the border")

    def __enter__(self) -> Self:
        return self

    def add(self, frame: Frame, seen: list[Seen], image: np.ndarray | None) -> None:
        """Add a frame: what is seen in it, and as it was drawn."""
        self.records.frame(frame, seen)
        self.timeline.add(frame.time, seen)
        self.writer.write(image, frame.time)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.files.__exit__(kind, error, trace)
        if not self.timeline.frames:
            return
        if kind is not None and issubclass(kind, Exception):  # interruptions are none
            print(f"what there is so far: {self.writer.partial}, {self.records.partial}", flush=True)
            return
        from rich.console import Console

        flicker = self.pipeline.smoother.flicker
        Console().print(summary(self.timeline, flicker, time.monotonic() - self.begun))
        print(f"{self.path}, {self.records.path.name}, {self._draw().name}", flush=True)

    def _draw(self) -> Path:
        """Write the timeline as a picture."""
        from fer.inference.timeline_figure import timeline_picture  # matplotlib

        picture = timeline_picture(self.timeline, self.path.name)
        return save_photo(self.path.with_name(f"{self.path.stem}_timeline.png"), picture)


def ahead(items: Iterable[Item], end: Callable[[], None] | None = None) -> Iterator[Item]:
    """Yield items, the next ones being made in a thread.

    Args:
        items: what to go through.
        end: makes them end at once; without it an interruption has to wait for the next item.
    """
    source = iter(items)
    with ThreadPoolExecutor(1) as thread:
        try:
            waiting = deque(thread.submit(next, source, None) for _ in range(AHEAD))
            while (item := waiting.popleft().result()) is not None:
                waiting.append(thread.submit(next, source, None))
                yield item
        finally:
            if end:
                end()


def _open(source: str) -> Clip | Live:
    if is_address(source) or source.isdecimal():
        return Live(source, drop_stale=False, say=say)
    return Clip(Path(source).expanduser())


def say(sentence: str) -> None:
    """Say at once what has happened, also into a file or a pipe."""
    print(sentence, flush=True)
