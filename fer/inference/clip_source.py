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
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from fer.errors import UserError
from fer.inference.clip_file import open_clip
from fer.inference.faces import BOUNDED, Frame, room, too_large

UNKNOWN_MATRIX = 2  # AVCOL_SPC_UNSPECIFIED
HD = 720  # untagged pictures of at least this height have BT.709's colours, smaller ones BT.601's

THREADS = 4  # of a decoder or an encoder, whose threads may each hold whole pictures; the net is slower than so many

FLIPS = {(False, False): None, (True, False): 1, (False, True): 0, (True, True): -1}  # across, down -> cv2.flip's code


class Clip:
    """Open a video file and yield its frames once, as `Frame`.

    A frame that cannot be decoded comes with image None; damage never raises after the opening.

    Attributes:
        width, height: of the upright pictures, in pixels.
        rate: average frames per second.
        count: expected number of frames; None if unknown.
        duration: in seconds; None if unknown.
        has_sound: whether there is sound that can be kept.
        aspect: width over height of one pixel, upright; None if unknown.
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
        self.rate = self.stream.average_rate or self.stream.guessed_rate or Fraction(25)
        self.time_base = self.stream.time_base
        self.duration = _duration(self.container, self.stream)
        self.count = self.stream.frames or (round(self.duration * self.rate) if self.duration else None)
        sound = self.container.streams.best("audio")
        self.has_sound = sound is not None and sound.codec_context is not None
        self.zero = Fraction(self.container.start_time or 0, av.time_base)
        self.aspect: Fraction | None = None
        self.width = self.height = self.skipped = self.missing = 0
        self.tail, self.finished = 1 / self.rate, False
        self._convert = VideoReformatter()
        self._size: tuple[int, int] | None = None  # of the first picture as coded; all later ones follow it
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
        for packet in self._packets():
            try:
                pictures = self.stream.decode(packet)
            except av.FFmpegError:  # the decoder goes on with the next packet
                self._faults += 1
                continue
            for picture in pictures:
                self._packet_is_frame &= not picture.interlaced_frame  # fields may have packets of their own
                yield from self._lost_before(picture.pts)
                yield self._next(picture.pts, self._upright(picture))
        yield from self._lost_before(None)
        self.skipped += self._faults
        self.missing, self.finished = self._count_missing(), True

    def _packets(self) -> Iterator[av.Packet | None]:
        """Yield the packets, noting the time stamp of each, and at the end what makes the decoder give all it has."""
        try:
            for packet in self.container.demux(self.stream):
                if packet.size:
                    self._read += 1
                    if packet.pts is not None and not packet.is_discard:
                        heapq.heappush(self._waiting, packet.pts)
                    if packet.duration:
                        self.tail = packet.duration * self.time_base
                    yield packet
        except av.FFmpegError:
            pass  # the file is damaged from here on: see `missing`
        yield None

    def _lost_before(self, pts: int | None) -> Iterator[Frame]:
        """Yield the frames up to a time stamp whose packets were read, but of which no picture came."""
        while self._waiting and (pts is None or self._waiting[0] < pts):
            lost = heapq.heappop(self._waiting)
            if self._faults or self._packet_is_frame:
                self._faults -= self._faults > 0
                self.skipped += 1
                yield self._next(lost, None)
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
        """Return a picture as (H, W, 3) uint8 BGR, turned as the file says that it is to be shown."""
        self._size = self._size or (picture.width, picture.height)
        hd = picture.colorspace == UNKNOWN_MATRIX and picture.height >= HD
        image = self._convert.reformat(
            picture,
            *self._size,
            format="bgr24",
            src_colorspace="ITU709" if hd else None,
            dst_color_range="JPEG",  # full range, whatever the video has
            threads=1,  # waking more costs more than it saves
        ).to_ndarray()
        aspect = self.stream.sample_aspect_ratio or None
        image, turned = _turn(image, picture)
        self.aspect = 1 / aspect if turned and aspect else aspect
        return image

    def _count_missing(self) -> int:
        """Return how many frames the file promises beyond those it holds."""
        if self.stream.frames:
            return max(0, self.stream.frames - self._read)
        lacking = (self.count or 0) - self._index
        return lacking if lacking > self.rate else 0  # an estimate from the duration, which may be the sound's


def _turn(image: np.ndarray, picture: VideoFrame) -> tuple[np.ndarray, bool]:
    """Return the image as its display matrix has it shown, in quarter turns, and whether width and height changed."""
    matrix = SideDataContainer(picture).get("DISPLAYMATRIX")  # picture.side_data: a circle that keeps it in memory
    if matrix is None:
        return image, False
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5]  # x' = a x + c y, y' = b x + d y
    turned = abs(b) > abs(a)
    mirrored, overturned = (c < 0, b < 0) if turned else (a < 0, d < 0)
    image = cv2.transpose(image) if turned else image
    code = FLIPS[bool(mirrored), bool(overturned)]
    return (image if code is None else cv2.flip(image, code)), bool(turned)


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
