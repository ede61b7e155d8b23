"""A video file as a row of upright pictures with their times; every frame of the file has its place in it."""

import heapq
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fer.errors import UserError
from fer.inference.io.deinterlace import deinterlaced
from fer.inference.io.upright import Upright
from fer.inference.io.video_file import open_clip, rate_seen
from fer.inference.results import BOUNDED, Frame, room, too_large

THREADS = 4  # of a decoder or an encoder, whose threads may each hold whole pictures; the net is slower than so many
FAST = 60  # frames a second; where the file tells none, FFmpeg claims up to as many as its time stamps could tell apart


class VideoReader:
    """Open a video file and yield its frames once, as `Frame`.

    A frame that cannot be decoded comes with image None; damage never raises after the opening.

    Attributes:
        width, height: of the upright pictures, in square pixels.
        rate: average frames per second.
        count: expected number of frames; None if unknown.
        duration: in seconds; None if unknown.
        has_sound: whether there is sound that can be kept.
        time_base: seconds, the unit of the file's time stamps.
        zero: time stamp, in seconds, at which the file begins: sound may begin before the pictures.
        start: seconds from `zero` to the first frame.
        tail: seconds that the last frame read so far stays.
        skipped: frames so far that could not be decoded.
        missing: frames that a file that was cut off lacks at its end; known when `finished`.
        finished: whether all frames have been read.

    Args:
        path: the file.

    Raises:
        UserError: if it is missing, unreadable, empty, no video, or holds nothing that can be decoded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.container = open_clip(path)
        self.stream = _pictures(self.container, path)
        self.rate, self._told_rate = _rate(self.stream, path)
        self.time_base = self.stream.time_base
        self.duration = _duration(self.container, self.stream)
        self.count = self.stream.frames or (round(self.duration * self.rate) if self.duration else None)
        sound = self.container.streams.best("audio")
        self.has_sound = sound is not None and sound.codec_context is not None
        self.zero = Fraction(self.container.start_time or 0, av.time_base)
        self.width = self.height = self.skipped = self.missing = 0
        self.start, self.tail, self.finished = Fraction(0), 1 / self.rate, False
        self._convert = Upright()
        self._waiting: list[int] = []  # heap: time stamps of the packets that no picture has come of yet
        self._faults = 0  # packets that the decoder refused and whose frames have not been found yet
        self._packet_is_frame = self.stream.frames > 0  # MP4 and AVI count their frames; others may have hidden ones
        self._read = self._index = 0
        self._first: int | None = None  # time stamp of the first frame
        self._last: int | None = None  # time stamp of the latest frame
        self._frames = self._decode()
        self._look_ahead()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._frames.close()
        self.container.close()

    def __iter__(self) -> Iterator[Frame]:
        while self._head:
            yield self._head.pop(0)
        yield from self._frames

    def _look_ahead(self) -> None:
        """Read up to the first picture, which alone tells the size and how the camera was held."""
        self._head: list[Frame] = []
        for frame in self._frames:
            self._head.append(frame)
            if frame.image is not None:
                break
        else:
            self.container.close()
            raise UserError(f"input={self.path}: expected a video, but not one frame of it could be decoded")
        self.height, self.width = self._head[-1].image.shape[:2]
        self.start = max(self._first * self.time_base - self.zero, Fraction(0))
        if self.duration and not self.stream.frames and not self.stream.duration:  # known is only the whole file's
            self.count = round((self.duration - self.start) * self.rate)

    def _decode(self) -> Iterator[Frame]:
        for pts, picture in deinterlaced(self._decoded()):
            yield self._next(pts, None if picture is None else self._upright(picture))
        self.skipped += self._faults
        self.missing, self.finished = self._count_missing(), True

    def _decoded(self) -> Iterator[tuple[int | None, VideoFrame | None]]:
        """Yield the frames with their time stamps; None for those that could not be decoded."""
        for packet in self._packets():
            try:
                pictures = self.stream.decode(packet)
            except av.FFmpegError:  # the decoder goes on with the next packet
                self._faults += 1
                continue
            for picture in pictures:
                self._packet_is_frame &= not picture.interlaced_frame  # fields may have packets of their own
                yield from self._lost_before(picture.pts)
                yield picture.pts, picture
        yield from self._lost_before(None)

    def _packets(self) -> Iterator[av.Packet | None]:
        """Yield the packets, noting the time stamp of each, and at the end what makes the decoder give all it has."""
        try:
            for packet in self.container.demux(self.stream):
                if packet.size:
                    self._read += 1
                    if packet.pts is not None and not packet.is_discard:
                        heapq.heappush(self._waiting, packet.pts)
                    if packet.duration and self._told_rate:
                        self.tail = packet.duration * self.time_base
                    yield packet
        except av.FFmpegError:
            pass  # the file is damaged from here on: see `missing`
        yield None

    def _lost_before(self, pts: int | None) -> Iterator[tuple[int, None]]:
        """Yield the frames up to a time stamp whose packets were read, but of which no picture came."""
        while self._waiting and (pts is None or self._waiting[0] < pts):
            lost = heapq.heappop(self._waiting)
            if self._faults or self._packet_is_frame:
                self._faults -= self._faults > 0
                self.skipped += 1
                yield lost, None
        if self._waiting and self._waiting[0] == pts:
            heapq.heappop(self._waiting)

    def _next(self, pts: int | None, image: np.ndarray | None) -> Frame:
        """Return the next frame; one whose time stamp is missing or too early comes a usual step after the last."""
        if self._last is not None and (pts is None or pts <= self._last):
            pts = self._last + max(1, round(1 / (self.rate * self.time_base)))
        self._last = pts or 0
        self._first = self._last if self._first is None else self._first
        self._index += 1
        return Frame(self._index - 1, float((self._last - self._first) * self.time_base), image)

    def _upright(self, picture: VideoFrame) -> np.ndarray:
        """Return a picture as (H, W, 3) uint8 BGR, as it is to be shown; all have the size of the first."""
        image = self._convert(picture, self.stream.sample_aspect_ratio)
        size = (self.width, self.height) if self.width else image.shape[1::-1]
        return image if image.shape[1::-1] == size else cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    def _count_missing(self) -> int:
        """Return how many frames the file promises beyond those it holds."""
        if self.stream.frames:
            return max(0, self.stream.frames - self._read)
        if self._last is None:
            return 0  # not one frame, which is told as it is
        passed = float((self._last - self._first) * self.time_base)
        promised = (self.duration or 0) - (0 if self.stream.duration else self.start)
        lacking = promised - passed - float(self.tail)  # seconds
        rate = (self._index - 1) / passed if passed else float(self.rate)
        return round(lacking * rate) if lacking > 1 else 0  # the duration may be the sound's


def _rate(stream: VideoStream, path: Path) -> tuple[Fraction, bool]:
    """Return frames per second, and whether the file tells them rather than the times of its first frames."""
    claimed = stream.average_rate or stream.guessed_rate
    if claimed and claimed <= FAST:
        return claimed, True
    seen = rate_seen(path, stream.index)
    if seen and (not claimed or claimed > 2 * seen):
        return seen, False
    return claimed or Fraction(25), True


def _pictures(container: InputContainer, path: Path) -> VideoStream:
    """Return the stream of moving pictures, ready to be decoded.

    Raises:
        UserError: if there is none, or none with a known codec.
    """
    kind = container.format.name
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    stream = best if best in streams else next(iter(streams), None)
    problem = None
    if kind == "tty" or (stream is None and not container.streams.audio):
        problem = "there are no pictures in the file"
    elif stream is None:
        problem = "the file holds only sound"
    elif kind == "image2" or kind.endswith("_pipe"):
        problem = "it is a single picture: use mode=image"
    elif stream.codec_context is None:
        problem = "its codec is unknown: convert the file to H.264 first"
    elif reason := too_large(stream.codec_context.width, stream.codec_context.height):
        problem = f"{reason}: make it smaller first"
    if problem:
        container.close()
        raise UserError(f"input={path}: expected a video, but {problem}")
    context = stream.codec_context
    # Parts of one picture at once, not several pictures: after damage near the end, FFmpeg would lose all that follow.
    context.thread_type, context.thread_count = "SLICE", room(context.width, context.height, THREADS)
    context.options = BOUNDED
    context.flags |= Flags.output_corrupt  # a smeared picture is better than none
    return stream


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None
