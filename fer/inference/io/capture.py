"""The two live sources, one attempt each: a camera (OpenCV), a network stream or a file on a web server (PyAV).

Why PyAV for streams: it says why one does not open, where OpenCV says nothing, and its time limits hold (a silent
server with a limit of 1 s: back after 1.0 to 1.1 s).
"""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from fer.data.decoding import silence
from fer.inference.io.deinterlace import deinterlaced
from fer.inference.io.upright import Upright, size_of
from fer.inference.results import BOUNDED, too_large

BACKENDS = {"linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION, "win32": cv2.CAP_DSHOW}  # the quickest to open
# Kinds of addresses, and what they may lead on to by a redirect or a playlist: a network, never this machine's files.
SCHEMES = {"http", "https", "ftp", "udp", "tcp", "tls", "rtp", "srtp", "rtsp", "rtsps", "srt", "rist", "mmsh", "mmst"}
SCHEMES |= {"rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts"}
NETWORK = "http,https,tls,rtp,tcp,udp,crypto,httpproxy,data,ffrtmphttp,ffrtmpcrypt"
HOPELESS = 3  # time limits in which no picture could be decoded of what was sent
ENDLESS = ("mpjpeg", "hls", "dash")  # formats whose answers may name a size and yet go on for ever


class StreamLost(Exception):
    """A source does not open, or has stopped; says why in a few words."""


class Raw(NamedTuple):
    """A picture before it is converted, which those that nobody looks at are spared.

    Attributes:
        width, height: upright, in square pixels.
        image: returns it, (H, W, 3) uint8, blue-green-red.
    """

    width: int
    height: int
    image: Callable[[], np.ndarray]


class Camera:
    """An opened camera; iterating gives its pictures, without times.

    Attributes:
        rate: frames per second as it claims; None if it does not.

    Raises:
        StreamLost: if it does not open, and when it stops.
    """

    finite, duration, skipped = False, None, 0

    def __init__(self, number: int) -> None:
        with silence():
            self._capture = cv2.VideoCapture(number, BACKENDS.get(sys.platform, cv2.CAP_ANY))
        if not self._capture.isOpened():
            raise StreamLost(_missing(number))
        self.rate = self._capture.get(cv2.CAP_PROP_FPS) or None

    def __iter__(self) -> Iterator[tuple[Raw, None]]:
        while True:
            good, image = self._capture.read()
            if not good:
                raise StreamLost("it gives no pictures (unplugged, or used by another program?)")
            height, width = image.shape[:2]
            if reason := too_large(width, height):
                raise StreamLost(reason)
            yield Raw(width, height, lambda image=image: image), None

    def close(self) -> None:
        """Let go of the camera."""
        self._capture.release()


class Stream:
    """An opened stream; iterating gives its pictures, with times in seconds from the first one if it has an end.

    Args:
        address: rtsp://..., http://..., ...
        timeout: seconds in which it has to open, and then to send.

    Attributes:
        finite: whether it has an end; otherwise the end is an outage.
        duration: seconds; None if unknown.
        rate: frames per second as it claims; None if it does not.
        skipped: frames so far that could not be decoded.

    Raises:
        StreamLost: if it does not open, and when it stops before its end.
    """

    def __init__(self, address: str, timeout: float) -> None:
        self._address, self._timeout, self.skipped = address, timeout, 0
        scheme, _, rest = address.partition(":")
        scheme, address = scheme.lower(), f"{scheme.lower()}:{rest}"  # FFmpeg knows no HTTP://
        if scheme not in SCHEMES:
            raise StreamLost(f"{scheme}:// is no known kind of address (a file goes by its path alone)")
        options = {
            "rtsp_transport": "tcp",  # UDP tears pictures
            "analyzeduration": str(int(timeout * 5e5)),  # microseconds
            "protocol_whitelist": f"{scheme},{NETWORK}",
        }
        try:
            self._container = av.open(address, options=options, timeout=timeout, metadata_errors="replace")
        except (av.FFmpegError, OSError) as error:
            raise StreamLost(_reason(error, address, timeout)) from None
        self._stream = _pictures(self._container)
        self._latest = time.monotonic()  # when a picture was decoded
        self.rate = float(self._stream.average_rate) if self._stream.average_rate else None
        self.duration = self._container.duration / av.time_base if self._container.duration else None
        sized = self._container.size > 0 and self._container.format.name not in ENDLESS
        self.finite = self.duration is not None or sized
        self._upright = Upright()

    def __iter__(self) -> Iterator[tuple[Raw, float | None]]:
        first = None
        try:
            for at, frame in deinterlaced(self._decoded()):
                first = at if first is None else first
                aspect = self._stream.sample_aspect_ratio
                raw = Raw(*size_of(frame, aspect), partial(self._upright, frame, aspect))
                yield raw, at - first if self.finite and at is not None else None
        except (av.FFmpegError, OSError) as error:
            raise StreamLost(_reason(error, self._address, self._timeout)) from None
        if not self.finite:
            raise StreamLost("it stopped")

    def _decoded(self) -> Iterator[tuple[float | None, av.VideoFrame]]:
        for packet in self._container.demux(self._stream):
            for frame in self._decode(packet):
                yield frame.time, frame

    def _decode(self, packet: av.Packet) -> list[av.VideoFrame]:
        try:
            frames = packet.decode()
        except av.FFmpegError:  # the decoder goes on with the next packet
            self.skipped += 1
            if time.monotonic() > self._latest + HOPELESS * self._timeout:
                raise StreamLost("its pictures are damaged or too large") from None
            return []
        if frames:
            self._latest = time.monotonic()
        return frames

    def close(self) -> None:
        """Close the connection."""
        self._container.close()


def _pictures(container: InputContainer) -> VideoStream:
    """Return the stream of pictures, ready to be decoded.

    Raises:
        StreamLost: if there is none, or none that can be decoded.
    """
    stream = next(iter(container.streams.video), None)
    if stream is None or container.format.name == "tty":  # which draws text
        problem = "there are no pictures in it"
    elif stream.codec_context is None:
        problem = "its codec is unknown"
    else:
        problem = too_large(stream.codec_context.width, stream.codec_context.height)
    if problem:
        container.close()
        raise StreamLost(problem)
    stream.codec_context.options = BOUNDED
    return stream


def _missing(number: int) -> str:
    """Say why a camera does not open, and on Linux which ones there are."""
    if sys.platform != "linux":
        return "it does not open (unplugged, used by another program, or forbidden in the system's settings?)"
    device = Path(f"/dev/video{number}")
    if not device.exists():
        found = sorted(int(path.name[5:]) for path in device.parent.glob("video[0-9]*"))
        return f"there is none of this number (found: {', '.join(map(str, found)) or 'no camera'})"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"you may not open {device} (become a member of its group, often video)"
    return f"{device} does not open (used by another program?)"


def _reason(error: Exception, address: str, timeout: float) -> str:
    """Say in a few words why a stream does not open or stops; never its address, which may hold a password."""
    match error:
        case av.error.HTTPNotFoundError():
            return "the server has nothing there (404)"
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            return "the server asks for a right user and password (rtsp://USER:PASSWORD@HOST/PATH)"
        case av.error.ConnectionRefusedError():
            return "the server refuses the connection"
        case av.error.ExitError() | av.error.TimeoutError():
            return f"nothing came for {timeout:g} s"
        case av.error.InvalidDataError():
            return "what comes is no video"
        case av.error.ProtocolNotFoundError():
            return f"{address.partition(':')[0]}:// is no known kind of address"
    try:
        socket.getaddrinfo(urlsplit(address).hostname, None)
    except (OSError, ValueError):
        return "there is no such host"
    return f"the connection broke ({(error.strerror or 'unknown error').lower()})"
