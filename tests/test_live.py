"""Cameras and streams: a server on loopback sends numbered pictures, is cut, stalls, and comes back."""

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.errors import UserError
from fer.inference import results as faces
from fer.inference.io import capture as streams
from fer.inference.io.live import Live
from fer.inference.results import Frame
from fer.paths import is_address, is_live
from tests.camera import Server
from tests.clips import write_clip

PLAIN_AND_TURNED = (65536, 0, 0, 0, 65536, 0), (0, 65536, 0, -65536, 0, 0)  # an MP4 track's matrix, but for its end


@pytest.fixture
def said() -> list[str]:
    return []


def watch(server: Server, say: Callable[[str], None], drop_stale: bool = False, path: str = "live", **times) -> Live:
    return Live(f"http://{server.place}/{path}", drop_stale, say, **{"timeout": 2, "patience": 1, "wait": 0.05} | times)


def level(image: np.ndarray) -> int:
    return round(float(image.mean()))


def until(stream: Iterator[Frame], number: int) -> list[Frame]:
    """Return the next frames, up to the server's picture of this number."""
    frames = []
    for frame in stream:
        frames.append(frame)
        if level(frame.image) >= number:
            break
    return frames


def test_recording_gets_every_picture_also_when_it_is_slow(server, said):
    with watch(server, said.append) as live:
        time.sleep(0.8)  # more than waits in the queue
        frames = list(islice(live, 80))
    assert [frame.index for frame in frames] == list(range(80))
    levels = [level(frame.image) for frame in frames]
    assert levels == list(range(levels[0], levels[0] + 80))
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[0].image.dtype == np.uint8
    assert frames[0].time < 0.1
    assert all(a.time < b.time for a, b in pairwise(frames))
    assert live.duration is None
    assert said == []


def test_watching_gives_the_latest_picture(server, said):
    with watch(server, said.append, drop_stale=True) as live:
        stream = iter(live)
        first = next(stream)
        while server.number < 25:
            time.sleep(0.02)
        server.stalled = True
        time.sleep(0.3)  # for what is on its way
        second = next(stream)
        server.stalled = False
    assert server.number - level(second.image) <= 3  # the decoder may keep some
    assert second.index - first.index >= 10
    assert second.time - first.time > 0.1
    assert said == []


def test_stream_that_is_cut_and_comes_back_goes_on(server, said):
    def come_back(sentence: str) -> None:
        said.append(sentence)
        server.size, server.number, server.chunked, server.gone = (96, 128), server.number + 20, True, False

    with watch(server, come_back) as live:
        stream = iter(live)
        frames = list(islice(stream, 5))
        for outages in (1, 2):
            server.gone = True
            while len(said) < outages:
                frames.append(next(stream))
            frames += until(stream, server.number)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}  # of the first, although it is larger now
    jumps = [b.time - a.time for a, b in pairwise(frames) if level(b.image) - level(a.image) >= 20]
    assert len(jumps) == 2
    assert min(jumps) > 0.05
    assert len(said) == 2  # each outage once
    assert f"{server.place}/live: the connection broke" in said[0]
    assert f"{server.place}/live: it stopped" in said[1]
    assert "trying again for 1 s" in said[0]


def test_stream_that_stays_away_ends_in_order_after_growing_waits(server, said):
    with watch(server, said.append, patience=1.5, wait=0.1) as live:
        stream = iter(live)
        next(stream)
        server.requests.clear()
        server.gone = True
        start = time.monotonic()
        rest = list(stream)
        assert 1.4 < time.monotonic() - start < 5
    assert [frame.index for frame in rest] == list(range(1, len(rest) + 1))
    assert 2 <= len(server.requests) <= 5  # after 0.1, 0.2, 0.4 and 0.8 s; equal waits would be 15
    assert len(said) == 2
    assert "did not come back within 1.5 s" in said[1]


def test_stream_that_stalls_is_opened_again(server, said):
    def come_back(sentence: str) -> None:
        said.append(sentence)
        server.stalled = False

    with watch(server, come_back, timeout=0.5) as live:
        stream = iter(live)
        next(stream)
        server.stalled = True
        frames = until(stream, server.number + 1)
    assert max(frame.time for frame in frames) > 0.5
    assert "nothing came for 0.5 s; trying again" in said[0]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none", r"nothing there \(404\)"),
        ("private", "asks for a right user and password"),
        ("talk", "no video"),
        ("silent", "nothing came for 0.5 s"),
    ],
)
def test_stream_that_does_not_open_is_refused_at_once(server, said, path, message):
    start = time.monotonic()
    with pytest.raises(
        UserError, match=f"input=http://{server.place}/{path}: expected a video stream, but .*{message}"
    ):
        watch(server, said.append, path=path, timeout=0.5).__enter__()
    assert time.monotonic() - start < 5
    assert said == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("rtsp://me:sec@ret@127.0.0.1:{port}/a?key=secret", r"rtsp://\*\*\*@127.*/a\?\.\.\.: .*refuses the connection"),
        ("http://me:secret@nowhere.invalid/a", r"http://\*\*\*@nowhere\.invalid/a: .*no such host"),
        ("htp://me:secret@127.0.0.1/a", "htp:// is no known kind of address"),
        ("clip.avi", "expected a camera's number or an address"),
        ("file:///a.mp4", r"file:// is no known kind of address \(a file goes by its path alone\)"),
        ("concat://a.mp4", "concat:// is no known kind of address"),
        ("subfile://,,start,0,end,0,,:a.mp4", "subfile:// is no known kind of address"),
    ],
)
def test_wrong_address_is_refused_without_its_secrets(monkeypatch, said, address, message):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = address.format(port=free.getsockname()[1])
    with pytest.raises(UserError, match=f"input=.*{message}") as error:
        Live(address, True, said.append).__enter__()
    assert "sec" not in str(error.value)


def test_password_is_used_and_never_said(server, said):
    address = f"http://user:pa55@{server.place}/private?token=hidden"
    with Live(address, True, said.append, timeout=2, patience=0.1) as live:
        server.gone = True
        list(live)
    assert len(said) == 2
    assert "pa55" not in "".join([live.name, *said])
    assert "hidden" not in "".join([live.name, *said])


@pytest.fixture
def clip(server, tmp_path) -> Server:
    """Let the server have a file of 12 frames, one second, whose index is at its end."""
    writer = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 12, (320, 240))
    rng = np.random.default_rng(0)
    for number in range(12):
        image = rng.integers(0, 256, (240, 320, 3), np.uint8)
        image[:120] = 20 * number
        writer.write(image)
    writer.release()
    server.file = (tmp_path / "a.mp4").read_bytes()
    return server


def test_file_on_a_server_ends_where_it_ends(clip, said):
    with watch(clip, said.append, path="file.mp4") as live:
        frames = list(islice(live, 50))
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(12) / 12)
    assert [level(frame.image[:112]) for frame in frames] == pytest.approx(np.arange(12) * 20, abs=8)
    assert (live.duration, live.rate) == (1.0, 12.0)
    assert said == []


def test_file_of_a_turned_phone_is_upright(clip, said):
    plain, turned = (struct.pack(">9i", *values, 0, 0, 1 << 30) for values in PLAIN_AND_TURNED)
    track = clip.file.index(b"tkhd")
    clip.file = clip.file[:track] + clip.file[track:].replace(plain, turned, 1)
    with watch(clip, said.append, path="file.mp4") as live:
        image = next(iter(live)).image
    assert image.shape == (320, 240, 3)
    assert image[:, 130:].max() < 30  # the black upper half has come to the right: turned clockwise
    assert image[:, :110].mean() > 100


def playlist(server: Server, *segments: str) -> str:
    """Let the server have a playlist, and return its path."""
    parts = "".join(f"#EXTINF:0.4,\n{segment}\n" for segment in segments)
    text = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n{parts}#EXT-X-ENDLIST\n"
    server.files["/a.m3u8"] = "application/vnd.apple.mpegurl", text.encode()
    return "a.m3u8"


def test_playlist_on_a_server_gives_its_parts(server, said, tmp_path):
    data = write_clip(tmp_path / "a.ts", 10, codec="libx264").read_bytes()
    server.files["/a.ts"] = "video/mp2t", data
    with watch(server, said.append, path=playlist(server, "a.ts")) as live:
        frames = list(islice(live, 50))
    assert len(frames) == 10
    assert said == []


def test_playlist_on_a_server_shows_no_file_of_this_machine(server, said, tmp_path):
    own = write_clip(tmp_path / "own.ts", 10, codec="libx264")
    path = playlist(server, f"file://{own}", str(own))
    with pytest.raises(UserError, match=r"expected a video stream, but "):
        watch(server, said.append, path=path).__enter__()


def test_stream_of_pictures_that_are_too_large_is_refused(server, said, monkeypatch):
    monkeypatch.setattr(faces, "LARGEST", 64 * 48 - 1)
    with pytest.raises(UserError, match=r"expected a video stream, but its pictures are 64x48, more than"):
        watch(server, said.append).__enter__()


def test_camera_of_pictures_that_are_too_large_is_refused(capture, said, monkeypatch):
    monkeypatch.setattr(faces, "LARGEST", 24 * 24 - 1)
    capture.scripts += [[np.zeros((24, 24, 3), np.uint8)]]
    with pytest.raises(UserError, match=r"expected a camera, but its pictures are 24x24, more than"):
        Live("0", True, said.append).__enter__()


def test_stream_whose_pictures_become_too_large_is_given_up(server, said, monkeypatch):
    monkeypatch.setattr(streams, "BOUNDED", {"max_pixels": str(320 * 240)})
    with watch(server, said.append, timeout=0.3, patience=0.2) as live:
        stream = iter(live)
        next(stream)
        server.size = 480, 640
        assert {frame.image.shape for frame in islice(stream, 200)} <= {(48, 64, 3)}
    assert "its pictures are damaged or too large; trying again" in said[0]
    assert live.skipped > 10


def test_few_pictures_wait_for_a_slow_recorder_where_they_are_large(server, said, monkeypatch):
    decoded = []

    def decode(self, packet, original=streams.Stream._decode):
        frames = original(self, packet)
        decoded.extend(frame.width for frame in frames)
        return frames

    monkeypatch.setattr(streams.Stream, "_decode", decode)
    monkeypatch.setattr(faces, "LARGEST", 4 * 64 * 48)
    with watch(server, said.append) as live:
        time.sleep(0.5)
        assert 4 <= len(decoded) <= 6  # four wait, and one or two are on their way
        assert [frame.index for frame in islice(live, 20)] == list(range(20))


def test_file_that_is_watched_plays_at_its_own_pace(clip, said):
    start = time.monotonic()
    with watch(clip, said.append, drop_stale=True, path="file.mp4") as live:
        assert list(live)[-1].index == 11
    assert time.monotonic() - start > 0.8


def test_file_whose_server_breaks_off_is_kept_so_far(clip, said):
    with watch(clip, said.append, path="half.mp4") as live:
        frames = list(islice(live, 50))
    assert 3 < len(frames) < 12
    assert len(said) == 1
    assert said[0].endswith("it ends here")


def test_closing_while_waiting_ends_the_frames(server, said):
    lives: list[Live] = []
    calls: list[float] = []

    def idle() -> None:
        calls.append(time.monotonic())
        if server.gone and len(calls) > 3:
            lives[0].close()

    lives.append(watch(server, said.append, patience=30, wait=10))
    lives[0].idle = idle
    with lives[0] as live:
        next(iter(live))
        calls.clear()
        server.gone = True
        start = time.monotonic()
        list(live)
        assert time.monotonic() - start < 5
    assert len(calls) >= 4
    assert len(said) == 1


def test_nobody_waits_for_a_stalled_stream_at_the_end(server, said):
    live = watch(server, said.append, timeout=10).__enter__()
    server.stalled = True
    time.sleep(0.1)
    start = time.monotonic()
    live.close()
    assert time.monotonic() - start < 4
    assert list(live) == []


@pytest.mark.skipif(os.name == "nt", reason="sends Ctrl-C to one process")
def test_ctrl_c_ends_the_process_during_an_outage(server):
    script = (
        "import signal\nfrom fer.inference.io.live import Live\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # background jobs inherit that it is ignored
        f"with Live('http://{server.place}/live', False, print, wait=20) as live:\n"
        "    for frame in live: print(frame.index, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "0\n"
        server.gone = True
        time.sleep(0.4)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=15)
        assert time.monotonic() - start < 10
        assert errors.rstrip().endswith("KeyboardInterrupt")
    finally:
        process.kill()


class Capture:
    """Stands in for cv2.VideoCapture: each opening takes the next of `scripts`, a list of pictures or None."""

    scripts: list[list[np.ndarray] | None]

    def __init__(self, number: int, backend: int) -> None:
        script = self.scripts.pop(0) if self.scripts else None
        self.opened, self.pictures = script is not None, iter(script or ())

    def isOpened(self) -> bool:
        return self.opened

    def get(self, key: int) -> float:
        return 30.0 if key == cv2.CAP_PROP_FPS else 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        image = next(self.pictures, None)
        return image is not None, image

    def release(self) -> None:
        self.opened = False


@pytest.fixture
def capture(monkeypatch) -> type[Capture]:
    monkeypatch.setattr("cv2.VideoCapture", Capture)
    monkeypatch.setattr(Capture, "scripts", [], raising=False)
    return Capture


def test_absent_camera_is_said_at_once_and_nothing_else_is(capfd, said):
    start = time.monotonic()
    with pytest.raises(UserError, match=r"input=99: expected a camera, but ") as error:
        Live("99", True, said.append).__enter__()
    assert time.monotonic() - start < 5
    if sys.platform == "linux":
        found = [path.name for path in Path("/dev").glob("video*")]
        assert all(name[5:] in str(error.value) for name in found)
        assert found or "found: no camera" in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_a_device_is_the_camera_of_its_number(capture, monkeypatch, said):
    opened = []
    monkeypatch.setattr("cv2.VideoCapture", lambda number, backend: opened.append(number) or Capture(number, backend))
    for source in ("2", "/dev/video2"):
        capture.scripts += [[np.zeros((24, 24, 3), np.uint8)] * 3]
        with Live(source, False, said.append, patience=0.01, wait=0.01) as live:
            assert len(list(live)) == 3
    assert set(opened) == {2}
    assert [is_live(source) for source in ("/dev/video2", "2", "a2", "video2", "/dev/null")] == [True, True] + [
        False
    ] * 3


def test_a_file_that_is_to_be_watched_is_told_from_a_camera(tmp_path, said):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UserError, match=r"expected a camera's number .* this is a file: use mode=video"):
        Live(str(tmp_path / "a.mp4"), True, said.append).__enter__()


def test_camera_that_is_unplugged_and_comes_back_goes_on(capture, said):
    small, large = (np.full((side, side, 3), side, np.uint8) for side in (24, 48))
    capture.scripts += [[small] * 3, None, None, [large] * 2]
    with Live("0", False, said.append, patience=0.3, wait=0.02) as live:
        frames = list(live)
    assert [frame.index for frame in frames] == list(range(5))
    assert [level(frame.image) for frame in frames] == [24] * 3 + [48] * 2
    assert {frame.image.shape for frame in frames} == {(24, 24, 3)}
    assert live.rate == 30
    assert len(said) == 3  # two outages, and the end
    assert all(sentence.startswith("camera 0: ") for sentence in said)
    assert "did not come back" in said[2]


def test_busy_camera_is_refused_at_once(capture, said):
    capture.scripts += [[]]
    with pytest.raises(UserError, match=r"input=0: expected a camera, but it gives no pictures .*another program"):
        Live("0", True, said.append).__enter__()
    assert said == []


def test_camera_that_hangs_is_refused(capture, monkeypatch, said):
    capture.scripts += [[]]
    monkeypatch.setattr(capture, "read", lambda self: time.sleep(0.5) or (False, None))
    with pytest.raises(UserError, match=r"input=0: expected a camera, but no picture came within 0\.3 s"):
        Live("0", True, said.append, timeout=0.1).__enter__()


def test_addresses_are_told_from_files():
    assert all(map(is_address, ("rtsp://a/b", "HTTP://a/b", "rtmps://a", "srt://a:1")))
    assert not any(map(is_address, ("a.mp4", "C:/a.mp4", "C://a.mp4", "/dev/video0", "0", "a/b://c", "a:b.mp4")))
