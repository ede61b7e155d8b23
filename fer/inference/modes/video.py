"""mode=video: clips, streams and cameras are recorded, with what is seen in them."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from fer.counting import counted
from fer.errors import UserError
from fer.inference.draw.annotate import Style, annotate
from fer.inference.io.clips import is_many, keep_apart, list_clips, overview
from fer.inference.io.images import save_photo
from fer.inference.io.live import Live
from fer.inference.io.output_paths import claimed, make_folder, new_folder, output_file, records_of
from fer.inference.io.records import Records
from fer.inference.io.video_reader import VideoReader
from fer.inference.io.video_writer import VideoWriter
from fer.inference.parallel import ahead
from fer.inference.pipeline import Pipeline
from fer.inference.results import FaceResult, Frame, room
from fer.inference.schema import InferConfig
from fer.inference.timeline import Timeline, summary
from fer.paths import is_live
from fer.progress import progress

AHEAD = 4  # frames that are decoded, and as many that are searched, and looked at, while an earlier one is drawn


def run(config: InferConfig, pipeline: Pipeline, style: Style) -> None:
    """Look at every frame of a clip, of many, of a stream or a camera; write the drawn clip, its records and timeline.

    An interruption leaves what there is so far as whole files.

    Raises:
        UserError: if the input cannot be read or the output not be written.
        RunError: if writing fails later.
    """
    name = config.input or "0"
    if is_live(name):
        with Live(name, drop_stale=False, say=say) as source:
            _record(source, output_file(config, "stream.mp4"), pipeline, style)
    elif is_many(name):
        _record_many(config, pipeline, style)
    else:
        with VideoReader(Path(name).expanduser()) as clip:
            path = output_file(config, f"{clip.path.stem}.mp4")
            keep_apart(path, [clip.path])
            _record(clip, path, pipeline, style)


def _record_many(config: InferConfig, pipeline: Pipeline, style: Style) -> None:
    """Record the clips of a folder or a pattern one after another; those that cannot be read are named and counted."""
    clips = list_clips(config.input)
    if config.output and config.output.suffix and not config.output.is_dir():
        raise UserError(
            f"output={config.output}: expected a folder, as the input is {len(clips)} clips: leave out the suffix"
        )
    folder = config.output or new_folder(config.mode)
    for _, place in clips:
        keep_apart(folder / place, [path for path, _ in clips])
    done, skipped = [], []
    for path, place in clips:
        try:
            clip = VideoReader(path)
        except UserError as error:
            skipped.append(str(error))
            continue
        with clip:
            make_folder((folder / place).parent)
            fresh = Pipeline(config, pipeline.predictor, pipeline.detector)  # knows no face of the clip before
            done.append((place.as_posix(), _record(clip, folder / place, fresh, style)))
    _report(done, skipped, folder)


def _report(done: list[tuple[str, Timeline]], skipped: list[str], folder: Path) -> None:
    from rich.console import Console

    if done:
        Console().print(overview(done))
        print(f"{counted(len(done), 'clip')} in {folder}")
    if skipped:
        print(f"skipped {len(skipped)}:", *skipped, sep="\n  ")
    if not done:
        raise UserError("expected at least one clip that can be read, but there was none: see above")


def _record(source: VideoReader | Live, path: Path, pipeline: Pipeline, style: Style) -> Timeline:
    clip = source if isinstance(source, VideoReader) else None
    size = source.width, source.height
    with (
        RecordingWriter(path, size, pipeline.config.format, pipeline, clip) as recording,
        looked_at(source, size, pipeline, style) as looked,
        nullcontext() if clip else closing(source),  # first of all, or an interruption would wait for a picture
    ):
        for frame, seen, image in progress(looked, clip and clip.count, "frames"):
            recording.add(frame, seen, image)
    if source.skipped:
        print(f"frames that could not be decoded: {source.skipped}")
    if clip and clip.missing:
        print(f"frames that are missing, as the file was cut off or damaged: {clip.missing}")
    return recording.timeline


@contextmanager
def looked_at(
    frames: Iterable[Frame], size: tuple[int, int], pipeline: Pipeline, style: Style
) -> Iterator[Iterator[tuple[Frame, list[FaceResult], np.ndarray | None]]]:
    """Give, within a `with` block, every frame, what is seen in it, and as it is drawn: see `seen_in`."""
    with seen_in(frames, size, pipeline) as seen:
        yield ((*one, _drawn(*one, pipeline, style)) for one in seen)


@contextmanager
def seen_in(
    frames: Iterable[Frame], size: tuple[int, int], pipeline: Pipeline
) -> Iterator[Iterator[tuple[Frame, list[FaceResult]]]]:
    """Give, within a `with` block, every frame and what is seen in it.

    Three threads work ahead: one makes the next frames, of (width, height) `size`, one seeks the faces in them, and one
    looks at these.
    """
    count = room(*size, AHEAD)
    with (
        ahead(frames, count) as decoded,
        ahead(((frame, pipeline.find(frame)) for frame in decoded), count) as found,
        ahead(((frame, pipeline.look(frame, faces)) for frame, faces in found), count) as seen,
    ):
        yield seen


def _drawn(frame: Frame, seen: list[FaceResult], pipeline: Pipeline, style: Style) -> np.ndarray | None:
    return None if frame.image is None else annotate(frame.image, seen, pipeline.predictor.classes, style)


class RecordingWriter:
    """A drawn clip, its records and its timeline, within a `with` block; an interruption leaves all three whole.

    Args:
        path: of the clip; the others get its stem.
        size: width and height of the pictures.
        kind: of the records, "jsonl" or "csv".
        pipeline: knows the classes and how much the answers flicker.
        clip: where the pictures come from; None for a live source.
    """

    def __init__(
        self, path: Path, size: tuple[int, int], kind: str, pipeline: Pipeline, clip: VideoReader | None
    ) -> None:
        self.path, self.pipeline, self.begun = path, pipeline, time.monotonic()
        self.timeline = Timeline(pipeline.predictor.classes)
        with ExitStack() as stack:
            stack.enter_context(claimed(path))
            self.records = stack.enter_context(Records(records_of(path, kind), pipeline.predictor.classes, kind))
            self.writer = stack.enter_context(VideoWriter(path, *size, clip))
            self.files = stack.pop_all()
        if any(self.writer.padded):
            width, height = (side + more for side, more in zip(size, self.writer.padded, strict=True))
            print(f"H.264 needs even sizes: {size[0]}x{size[1]} becomes {width}x{height} by repeating the border")

    def __enter__(self) -> Self:
        return self

    def add(self, frame: Frame, seen: list[FaceResult], image: np.ndarray | None) -> None:
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
        from fer.inference.draw.timeline_plot import timeline_picture  # matplotlib

        picture = timeline_picture(self.timeline, self.path.name)
        return save_photo(self.path.with_name(f"{self.path.stem}_timeline.png"), picture)


def say(sentence: str) -> None:
    """Say at once what has happened, also into a file or a pipe."""
    print(sentence, flush=True)
