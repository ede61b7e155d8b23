"""Writes tiny clips for tests, spoils them, and reads back what a clip holds."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.container import OutputContainer

SIZE = (64, 48)
TICK = Fraction(1, 12_800)  # seconds


class Content(NamedTuple):
    """What a file holds.

    Attributes:
        times: (N,) seconds of the frames.
        images: BGR, as stored: not turned.
        rotation: degrees counterclockwise by which they are to be turned.
        sound: the time, in seconds, and the bytes of every packet.
        video, audio: names of the codecs, or None.
        colours: colour range, colour space, transfer and primaries, FFmpeg's codes.
    """

    times: np.ndarray
    images: list[np.ndarray]
    rotation: int
    sound: list[tuple[float, bytes]]
    video: str | None
    audio: str | None
    colours: tuple[int, int, int, int] | None


def moving(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a gray picture, other for each frame, with a blue upper left quarter."""
    width, height = size
    image = np.full((height, width, 3), 40 + 5 * (index % 40), np.uint8)
    image[: height // 2, : width // 2] = (255, 0, 0)
    return image


def write_clip(
    path: Path,
    frames: int = 10,
    *,
    picture: Callable[[int], np.ndarray] = moving,
    rate: int = 25,
    times: Sequence[float] | None = None,
    codec: str = "mpeg4",
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    mirrored: bool = False,
    aspect: Fraction | None = None,
    sound: str | None = None,
    seconds: float | None = None,
    options: dict[str, str] | None = None,
    encoder: dict[str, str] | None = None,
    colours: dict[str, int] | None = None,
) -> Path:
    """Write a clip.

    Args:
        path: its suffix chooses the container.
        frames: their number.
        picture: takes a frame's number and returns it, (H, W, 3) BGR, or (H, W, 4) with opacity.
        rate: frames a second.
        times: seconds of each frame, growing; None spaces them evenly.
        codec: mpeg4, libx264, mjpeg (with pix_fmt yuvj420p), ...
        pix_fmt: as FFmpeg names it.
        rotation: degrees counterclockwise by which a player is to turn the pictures.
        mirrored: whether it is to mirror them too.
        aspect: width over height of one pixel.
        sound: codec of a tone of 440 Hz; None for no sound.
        seconds: length of the sound; None for that of the pictures.
        options: of the container.
        encoder: options of the encoder; {"x264-params": "tff=1"} makes libx264 take lines as those of two fields.
        colours: color_range, colorspace, color_trc, color_primaries, by FFmpeg's codes; untagged without.
    """
    times = [index / rate for index in range(frames)] if times is None else times
    with av.open(str(path), "w", container_options=options or {}) as file:
        stream = file.add_stream(codec, rate=rate, options=encoder or {})
        stream.height, stream.width = picture(0).shape[:2]
        stream.pix_fmt = pix_fmt
        for name, value in (colours or {}).items():
            setattr(stream.codec_context, name, value)
        stream.codec_context.time_base = Fraction(1, rate) if codec == "mjpeg" else TICK
        stream.set_display_rotation(rotation, hflip=mirrored)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        tone = _tone(file, sound, len(times) / rate if seconds is None else seconds) if sound else iter(())
        next(tone, None)  # makes the stream
        for index, time in enumerate(times):
            image = picture(index)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24" if image.shape[2] == 3 else "bgra")
            frame.time_base = TICK
            frame.pts = round(time / TICK)
            if colours:
                frame = frame.reformat(format=pix_fmt, dst_colorspace=colours.get("colorspace"))
                for name, value in colours.items():
                    setattr(frame, name, value)
            file.mux(stream.encode(frame))
            next(tone, None)
        file.mux(stream.encode(None))
        for _ in tone:
            pass
    return path


def write_tone(path: Path, codec: str = "aac") -> Path:
    """Write a file that holds only sound, half a second of it."""
    with av.open(str(path), "w") as file:
        for _ in _tone(file, codec, 0.5):
            pass
    return path


def read_clip(path: Path) -> Content:
    """Return all that a file holds, decoded without our code."""
    with av.open(str(path)) as file:
        video = next(iter(file.streams.video), None)
        frames = list(file.decode(video)) if video else []
        rotation = frames[0].rotation if frames else 0
        images = [frame.to_ndarray(format="bgr24", dst_color_range="JPEG") for frame in frames]
        context = video.codec_context if video else None
        colours = context and (context.color_range, context.colorspace, context.color_trc, context.color_primaries)
        names = [
            streams[0].codec_context.name if streams else None for streams in (file.streams.video, file.streams.audio)
        ]
    return Content(np.array([frame.time for frame in frames]), images, rotation, _sound(path), *names, colours)


def spoil(path: Path, *indices: int) -> Path:
    """Overwrite the frames of these numbers with zeros."""
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for index in indices:
        start, size = packets[index].pos, packets[index].size
        data[start : start + size] = bytes(size)
    path.write_bytes(data)
    return path


def is_blue(image: np.ndarray) -> dict[str, bool]:
    """Tell for each quarter of a picture of `moving` whether it is the blue one."""
    small = cv2.resize(image, (2, 2), interpolation=cv2.INTER_AREA).astype(int)
    blue = small[..., 0] - small[..., 2] > 60
    return dict(zip(("upper left", "upper right", "lower left", "lower right"), blue.ravel().tolist(), strict=True))


def _tone(file: OutputContainer, codec: str, seconds: float):
    """Add a stream of sound to a file, then, each time that it is asked, one packet's worth."""
    rate = 48_000
    stream = file.add_stream(codec, rate=rate)
    stream.layout = "mono"
    yield
    step = 1024
    for start in range(0, int(seconds * rate), step):
        wave = 8000 * np.sin(2 * np.pi * 440 * np.arange(start, start + step) / rate)
        frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        file.mux(stream.encode(frame))
        yield
    file.mux(stream.encode(None))


def _sound(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as file:
        if not file.streams.audio:
            return []
        packets = [packet for packet in file.demux(audio=0) if packet.size]
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in packets]


def write_y4m(path: Path, images: list[np.ndarray]) -> None:
    """Write images (H, W, 3) as the clip that Chromium takes for a camera's."""
    height, width = images[0].shape[:2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg\n".encode())
        for image in images:
            file.write(b"FRAME\n" + cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420).tobytes())
