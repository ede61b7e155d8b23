"""An animated WebP as a clip: FFmpeg reads only still ones, so Pillow decodes it into a file of lossless frames."""

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from PIL import Image, UnidentifiedImageError

from fer.errors import UserError
from fer.inference.results import too_large

SHORTEST, USUAL = 11, 100  # milliseconds; browsers show a picture that is to stay for less for the usual time
TICK = Fraction(1, 1000)  # seconds


def is_animated(path: Path) -> bool:
    """Tell whether a file is a WebP with more than one picture, by its header."""
    with path.open("rb") as file:
        start = file.read(21)
    return start[:4] == b"RIFF" and start[8:16] == b"WEBPVP8X" and len(start) == 21 and bool(start[20] & 2)


def open_animation(path: Path) -> InputContainer:
    """Open an animated WebP.

    Raises:
        UserError: if it is damaged or too large.
    """
    copy = tempfile.TemporaryFile()  # noqa: SIM115 (the container keeps it)
    try:
        with Image.open(path) as file, av.open(copy, "w", "mov") as clip:
            if problem := too_large(*file.size):
                raise UserError(f"input={path}: expected a video, but {problem}: make it smaller first")
            stream = clip.add_stream("png", rate=25, width=file.width, height=file.height, pix_fmt="rgba")
            stream.codec_context.time_base = TICK
            stream.codec_context.thread_count = 1  # a packet for each frame at once
            for frame in _frames(file):
                for packet in stream.encode(frame):
                    packet.duration = frame.duration
                    clip.mux(packet)
    except (OSError, ValueError, SyntaxError, EOFError, UnidentifiedImageError) as error:
        raise UserError(f"input={path}: expected a video, but this WebP is cut off or damaged") from error
    copy.seek(0)
    return av.open(copy)


def _frames(file: Image.Image) -> Iterator[av.VideoFrame]:
    begin = 0
    for number in range(file.n_frames):
        file.seek(number)
        frame = av.VideoFrame.from_ndarray(np.asarray(file.convert("RGBA")), format="rgba")
        stay = file.info.get("duration", 0)
        frame.pts, frame.time_base, frame.duration = begin, TICK, stay if stay >= SHORTEST else USUAL
        begin += frame.duration
        yield frame
