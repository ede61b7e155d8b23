"""Pictures with their times become an H.264 file that browsers play, with the sound of the clip they came from.

The file grows under the name `b.partial.mp4` and gets its own name when it is whole: at the end, and after an
interruption, with the frames so far. After an error it keeps the other name and replaces nothing. It plays even then,
after a kill or on a full disk, all but the last second, because it is written in parts of half a second, which the end
joins into an ordinary file. Encoding has a thread of its own: an interruption cannot tear a frame apart, and the next
one is worked on meanwhile.
"""

import contextlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from fer.atomic import growing_file
from fer.errors import RunError, UserError, unwritable
from fer.inference.io.audio import Sound
from fer.inference.io.video_reader import THREADS, VideoReader
from fer.inference.results import room

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
# What is finished goes to the disk at once, in parts of half a second; a sound that ends early holds nothing up.
AT_ONCE = {"flush_packets": "1", "max_interleave_delta": "100000"}  # microseconds
FRAGMENTS = AT_ONCE | {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "500000"}  # microseconds
CLUSTERS = AT_ONCE | {"cluster_time_limit": "500"}  # milliseconds
# As sharp as veryfast at 60 % of its cost; files a third larger. No B-frames: where the pictures are stored in another
# order than shown, FFmpeg ends a fragmented MP4 too early, and its last picture is never seen.
X264 = {"preset": "superfast", "crf": "20", "bf": "0"}
BT709, LIMITED = 1, 1  # FFmpeg's codes for colours and range; written into the file, so that no player has to guess
LIVE_TIME_BASE, LIVE_RATE = Fraction(1, 90_000), Fraction(30)  # for sources that tell neither
FINEST = 1_000_000  # parts of a second; MP4 counts durations with 32 bits
# Pixels up to which one thread encodes sooner than the net looks: infer.py on 596x336 takes 8.5 ms a frame, not 9.2.
SMALL = 1280 * 720
AHEAD = 3  # frames that may wait for the encoder


class VideoWriter:
    """Write a video file, within a `with` block.

    Attributes:
        path: the file.
        partial: its name until it is whole; what is left of it after an error.
        padded: columns and rows added at the right and at the bottom, each 0 or 1: H.264 needs even sizes.
        sound: "copied", "encoded" or None.
        frames: number of frames encoded so far.

    A process that writes the same file would mix in its own: keep it away (`places.claimed`).

    Args:
        path: ends in .mp4, .mov or .mkv.
        width, height: of the pictures.
        clip: where the pictures come from: gives times and sound; None for a live source.

    Raises:
        UserError: if a file of this name cannot be written there.
        RunError: if the disk is full; from `write` and from the end of the block, if writing fails later.
    """

    def __init__(self, path: Path, width: int, height: int, clip: VideoReader | None = None) -> None:
        self.path = path
        self.padded = (width % 2, height % 2)
        self.clip, self.frames = clip, 0
        self._check()
        try:
            self.partial = growing_file(path)
        except OSError as error:
            raise self._refused(error) from error
        kind = FORMATS[path.suffix.lower()]
        self._file = av.open(
            f"file:{self.partial}", "w", kind, container_options=CLUSTERS if kind == "matroska" else FRAGMENTS
        )
        self._stream = self._pictures(width + self.padded[0], height + self.padded[1])
        self._start = round(clip.start / self._tick) if clip else 0
        self._sound = Sound(clip, self._file) if clip and clip.has_sound else None
        self.sound = self._sound and self._sound.how
        try:
            self._file.start_encoding()
        except av.FFmpegError as error:
            self.partial.unlink(missing_ok=True)
            raise self._refused(error) from error
        self._convert = VideoReformatter()
        self._picture: VideoFrame | None = None  # the latest one
        self._last = -1  # its time stamp
        self._jobs: deque[Future] = deque()
        self._ahead = room(width, height, AHEAD)
        self._thread = ThreadPoolExecutor(1, "encoder")
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        failed = kind is not None and issubclass(kind, Exception)  # interruptions are none
        with self._thread:
            self._thread.submit(self._finish, failed).result()

    def write(self, image: np.ndarray | None, time: float) -> None:
        """Add a frame; may wait for the encoder.

        Args:
            image: (height, width, 3) uint8 BGR, which must not be changed any more; None shows the one before again.
            time: seconds from the first frame, growing.
        """
        self._jobs.append(self._thread.submit(self._add, image, time))
        if len(self._jobs) > self._ahead:
            self._jobs.popleft().result()

    def _check(self) -> None:
        if self.path.suffix.lower() not in FORMATS:
            raise UserError(f"output={self.path}: expected a name that ends in {', '.join(FORMATS)}")
        if os.path.isdir(self.path):  # noqa: PTH112 (Path.is_dir fails on a name that is too long)
            raise UserError(f"output={self.path}: expected the name of a video file, but it is a folder")
        if not self.path.parent.is_dir():
            raise UserError(
                f"output={self.path}: expected an existing folder, but there is no {self.path.parent}: make it"
            )

    def _refused(self, error: OSError | av.FFmpegError) -> Exception:
        sentence = f"output={self.path}: expected to write a video, but it cannot be made ({error.strerror})"
        return unwritable(f"{sentence}: choose another place or name", error)

    def _pictures(self, width: int, height: int) -> VideoStream:
        self._tick = self.clip.time_base if self.clip else LIVE_TIME_BASE  # seconds
        if self._tick.denominator > FINEST:
            self._tick = LIVE_TIME_BASE
        self._rate = self.clip.rate if self.clip else LIVE_RATE
        stream = self._file.add_stream("libx264", rate=self._rate, options=X264, width=width, height=height)
        context = stream.codec_context
        context.time_base, context.pix_fmt, context.thread_type = self._tick, "yuv420p", "FRAME"
        context.thread_count = 1 if width * height <= SMALL else room(width, height, THREADS)
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        return stream

    def _add(self, image: np.ndarray | None, time: float) -> None:
        if self._failure:
            raise self._failure
        try:
            self._encode(image, time)
        except Exception as error:
            self._failure = self._as_run_error(error)
            raise self._failure from error
        self.frames += 1

    def _encode(self, image: np.ndarray | None, time: float) -> None:
        if image is not None:
            self._picture = self._converted(image)
        elif self._picture is None:
            self._picture = self._converted(np.zeros((self._stream.height, self._stream.width, 3), np.uint8))
        self._last = max(self._start + round(time / self._tick), self._last + 1)
        self._picture.pts, self._picture.time_base = self._last, self._tick
        self._mux(self._stream.encode(self._picture))

    def _converted(self, image: np.ndarray) -> VideoFrame:
        """Return a picture of even size with the colours that the file says it has."""
        rows, columns = self._stream.height - len(image), self._stream.width - image.shape[1]
        if rows or columns:
            image = cv2.copyMakeBorder(image, 0, rows, 0, columns, cv2.BORDER_REPLICATE)
        frame = VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), "bgr24")
        return self._convert.reformat(
            frame,
            format="yuv420p",
            dst_colorspace="ITU709",
            dst_color_range="MPEG",
            interpolation=Interpolation.BILINEAR
            | Interpolation.ACCURATE_RND,  # else all gets a little darker and bluer
            threads=1,
        )

    def _mux(self, packets: list[Packet]) -> None:
        """Write packets, each after the sound up to its time, so that neither has to wait in memory."""
        for packet in packets:
            if self._sound:
                self._file.mux(self._sound.until(packet.dts * packet.time_base))
            self._file.mux(packet)

    def _finish(self, failed: bool) -> None:
        """Make the file playable; give it its name unless something went wrong, and remove it if it has no frame."""
        try:
            self._end()
            if self.frames and not failed and not self._failure:
                self.partial.replace(self.path)
        except (av.FFmpegError, OSError) as error:
            self._failure = self._failure or (self._as_run_error(error) if self.frames else None)
        if not self.frames:
            self.partial.unlink(missing_ok=True)
        if self._failure and not failed:
            raise self._failure

    def _end(self) -> None:
        """Write what the encoder still holds, the sound that belongs to it, and the file's index."""
        sound = contextlib.closing(self._sound) if self._sound else contextlib.nullcontext()
        with sound, contextlib.closing(self._file):
            if self._failure or not self.frames:
                return
            tail = self.clip.tail if self.clip else 1 / self._rate  # seconds
            packets = self._stream.encode(None)
            if packets:
                packets[-1].duration = max(1, round(tail / self._tick))
            self._mux(packets)
            if self._sound:
                end = None if self.clip.finished else self._last * self._tick + tail
                self._file.mux(self._sound.until(end))

    def _as_run_error(self, error: Exception) -> Exception:
        """Return a failure of the file as one sentence, and any other error as it is."""
        if not isinstance(error, av.FFmpegError | OSError):
            return error
        reason = error.strerror or error
        return RunError(f"{self.path} could not be written ({reason}); what there is so far is in {self.partial}")
