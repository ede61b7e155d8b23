"""Clips in and out: every frame, its time, its way up, the sound; damage, interruptions and full disks."""

import errno
import gc
import os
import subprocess
import sys
import time
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from fer.errors import RunError, Terminated, UserError
from fer.inference import results as faces
from fer.inference.io import video_reader as clip_source
from fer.inference.io import video_writer as clip_sink
from fer.inference.io.video_reader import VideoReader
from fer.inference.io.video_writer import VideoWriter
from tests.clips import is_blue, moving, read_clip, spoil, write_clip, write_tone
from tests.runs import ROOT

MEDIA = Path(os.environ.get("FER_MEDIA", "no media"))
QUARTERS = ("upper left", "lower left", "lower right", "upper right")  # counterclockwise


def read(path):
    with VideoReader(path) as clip:
        return clip, list(clip)


def copy(source: Path, target: Path, stop: int | None = None, error: type[BaseException] = KeyboardInterrupt):
    """Write a clip anew, frame by frame; after `stop` frames raise an error."""
    with VideoReader(source) as clip, VideoWriter(target, clip.width, clip.height, clip) as writer:
        for frame in clip:
            if frame.index == stop:
                raise error
            writer.write(frame.image, frame.time)
    return writer


def quarter(image: np.ndarray) -> str:
    """Return which quarter of a picture is blue."""
    (name,) = [name for name, blue in is_blue(image).items() if blue]
    return name


def boxes(path: Path) -> list[str]:
    """Return the names of the outermost parts of an MP4 file."""
    data, names = path.read_bytes(), []
    while data:
        names.append(data[4:8].decode())
        data = data[int.from_bytes(data[:4], "big") :]
    return names


def test_clip_gives_every_frame_and_what_is_known_of_it(tmp_path):
    clip, frames = read(write_clip(tmp_path / "a.mp4", 10, sound="aac"))
    assert [frame.index for frame in frames] == list(range(10))
    assert np.allclose([frame.time for frame in frames], np.arange(10) / 25)
    assert all(np.abs(frame.image.astype(int) - moving(frame.index)).mean() < 5 for frame in frames)
    assert (clip.width, clip.height, clip.rate, clip.count) == (64, 48, 25, 10)
    assert clip.duration == pytest.approx(0.4)
    assert clip.has_sound
    assert (clip.skipped, clip.missing, clip.finished) == (0, 0, True)


def test_clip_without_sound_or_frame_count_says_so(tmp_path):
    clip, frames = read(write_clip(tmp_path / "a.mkv", 10))
    assert not clip.has_sound
    assert (clip.count, len(frames), clip.missing) == (10, 10, 0)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.ts", "libx264", "yuv420p"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.flv", "flv", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.h264", "libx264", "yuv420p"),  # without time stamps
    ],
)
def test_other_containers_give_every_frame_too(tmp_path, name, codec, pix_fmt):
    clip, frames = read(write_clip(tmp_path / name, 10, codec=codec, pix_fmt=pix_fmt))
    assert np.allclose([frame.time for frame in frames], np.arange(10) / 25, atol=0.01)
    assert (clip.skipped, clip.missing) == (0, 0)


def test_pictures_that_change_size_follow_the_first(tmp_path):
    parts = [
        write_clip(tmp_path / f"{size[0]}.h264", 5, picture=partial(moving, size=size), codec="libx264")
        for size in ((64, 48), (96, 64))
    ]
    (tmp_path / "a.h264").write_bytes(b"".join(path.read_bytes() for path in parts))
    assert [frame.image.shape for frame in read(tmp_path / "a.h264")[1]] == [(48, 64, 3)] * 10


def test_pictures_that_become_too_large_are_not_decoded(tmp_path, monkeypatch):
    parts = [
        write_clip(tmp_path / f"{number}.h264", 5, picture=partial(moving, size=size), codec="libx264")
        for number, size in enumerate(((64, 48), (640, 480), (64, 48)))
    ]
    (tmp_path / "a.h264").write_bytes(b"".join(path.read_bytes() for path in parts))
    monkeypatch.setattr(clip_source, "BOUNDED", {"max_pixels": str(320 * 240)})
    clip, frames = read(tmp_path / "a.h264")
    assert (clip.width, clip.height) == (64, 48)
    assert sum(frame.image is not None for frame in frames) == 10
    assert clip.skipped == 5


def test_clip_of_pictures_that_are_too_large_is_refused(tmp_path, monkeypatch):
    source = write_clip(tmp_path / "a.mp4", 3)
    monkeypatch.setattr(faces, "LARGEST", 64 * 48 - 1)
    with pytest.raises(UserError, match=r"^input=.*a\.mp4: expected a video, but its pictures are 64x48, more than"):
        VideoReader(source)


def test_8k_is_not_too_large():
    assert all(faces.too_large(*size) is None for size in ((7680, 4320), (4320, 7680), (8192, 4320)))
    assert "8192x8192, more than 36 million pixels" in faces.too_large(8192, 8192)


def test_large_frames_wait_in_small_numbers():
    assert [faces.room(width, height, 32) for width, height in ((640, 360), (3840, 2160), (7680, 4320))] == [32, 4, 1]


def test_no_picture_stays_in_memory_after_its_use(tmp_path):
    """FFmpeg's pictures are large; Python's collector of circles, which comes late, is not to be needed for them."""
    source = write_clip(tmp_path / "a.mp4", 30)
    gc.collect()
    gc.disable()
    try:
        with VideoReader(source) as clip:
            for last in clip:  # noqa: B007
                pass
            left = sum(issubclass(type(item), av.VideoFrame) for item in gc.get_objects())
    finally:
        gc.enable()
    assert last.index == 29
    assert left < 6


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_frames_are_turned_upright_and_written_so(tmp_path, turns, mirrored):
    source = write_clip(tmp_path / "a.mp4", 3, rotation=90 * turns, mirrored=mirrored, aspect=Fraction(2))
    clip, frames = read(source)
    place = QUARTERS[turns]
    if mirrored:
        place = {"left": place.replace("left", "right"), "right": place.replace("right", "left")}[place.split()[1]]
    assert (clip.width, clip.height) == ((48, 128) if turns % 2 else (128, 48))
    assert [quarter(frame.image) for frame in frames] == [place] * 3
    copy(source, tmp_path / "b.mp4")
    written = read_clip(tmp_path / "b.mp4")
    assert written.rotation == 0
    assert [quarter(image) for image in written.images] == [place] * 3
    assert written.images[0].shape == frames[0].image.shape


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (None, (64, 48)),
        ("4/3", (85, 48)),
        ("16/15", (68, 48)),
        ("1/2", (64, 96)),
        ("20", (64, 48)),
        ("1/255", (64, 48)),
    ],
)
def test_pixels_are_square_and_none_is_lost(tmp_path, aspect, size):
    """Of 4:3 and 16:9 pictures stored otherwise; what no camera writes is damage."""
    clip, frames = read(write_clip(tmp_path / "a.mkv", 2, aspect=aspect and Fraction(aspect)))
    assert (clip.width, clip.height) == size
    assert [frame.image.shape for frame in frames] == [(size[1], size[0], 3)] * 2
    assert quarter(frames[0].image) == "upper left"


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("mpeg4", "yuv420p", "avi"),
        ("mjpeg", "yuvj420p", "avi"),
        ("libx264", "yuv420p10le", "mp4"),
        ("libx264", "yuv444p", "mkv"),
        ("libvpx-vp9", "yuv420p", "webm"),
        ("ffv1", "gbrp12le", "mkv"),
        ("ffv1", "bgra", "mkv"),
    ],
)
def test_colours_survive_any_pixel_format_and_our_encoding(tmp_path, codec, pix_fmt, suffix):
    colours = [(0, 0, 0), (255, 255, 255), (0, 0, 255), (0, 255, 0), (255, 0, 0), (40, 120, 200)]

    def flat(index):
        return np.full((48, 64, 3), colours[index], np.uint8)

    source = write_clip(tmp_path / f"a.{suffix}", len(colours), picture=flat, codec=codec, pix_fmt=pix_fmt)
    copy(source, tmp_path / "b.mp4")
    for path in (source, tmp_path / "b.mp4"):
        found = [frame.image.mean((0, 1)) for frame in read(path)[1]]
        assert np.abs(np.array(found) - colours).max() < 12, path  # a wrong range or matrix is off by 16 and more


def test_written_file_is_what_browsers_play(tmp_path):
    copy(write_clip(tmp_path / "a.mp4", 5), tmp_path / "b.mp4")
    written = read_clip(tmp_path / "b.mp4")
    assert written.video == "h264"
    assert written.colours == (1, 1, 1, 1)  # limited range, BT.709
    with av.open(str(tmp_path / "b.mp4")) as file:
        assert file.streams.video[0].codec_context.pix_fmt == "yuv420p"
    assert boxes(tmp_path / "b.mp4") == ["ftyp", "free", "mdat", "moov"]  # an ordinary file, no fragments


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("times", [None, [0, 0.04, 0.05, 0.2, 0.21, 0.5, 1.5, 1.54]])
def test_number_and_times_of_frames_are_kept(tmp_path, suffix, times):
    source = write_clip(tmp_path / "a.mp4", 8, times=times)
    writer = copy(source, tmp_path / f"b.{suffix}")
    old, new = read_clip(source), read_clip(tmp_path / f"b.{suffix}")
    assert writer.frames == len(new.times) == 8
    assert np.allclose(new.times, old.times, atol=0.001 if suffix == "mkv" else 1e-6)
    rates = [read(path)[0].rate for path in (source, tmp_path / f"b.{suffix}")]
    assert rates[0] == pytest.approx(rates[1], rel=0.02)


UNEVEN = [0, 0.031, 0.07, 0.101, 0.14, 0.19, 0.222, 0.26, 0.333, 0.36, 0.401, 0.45]  # seconds, of a browser's recording


def without_rate(path: Path) -> Path:
    """Take the usual stay of a frame, DefaultDuration, out of a WebM file: FFmpeg then claims 1,000 frames a second."""
    data = path.read_bytes()
    place = data.index(bytes.fromhex("23e38384"))  # its name, and 4 bytes as its length
    path.write_bytes(data[:place] + bytes.fromhex("ec86") + data[place + 2 :])  # 6 bytes that say nothing
    return path


def test_rate_and_last_stay_of_a_browsers_recording_are_by_its_times(tmp_path):
    picture = partial(moving, size=(1280, 720))
    source = without_rate(write_clip(tmp_path / "a.webm", 12, picture=picture, times=UNEVEN, codec="libvpx"))
    with av.open(str(source)) as file:
        assert (file.streams.video[0].average_rate or file.streams.video[0].guessed_rate) > 200
    copy(source, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as file:
        stays = [packet.duration * packet.time_base for packet in file.demux(video=0) if packet.size]
        level = file.streams.video[0].codec_context.extradata[3] / 10
    assert level <= 3.2
    assert float(stays[-1]) == pytest.approx(0.041, abs=0.002)
    assert np.allclose(read_clip(tmp_path / "b.mp4").times, UNEVEN, atol=0.0011)


def test_frames_of_uneven_times_are_not_taken_for_missing(tmp_path):
    times = [index / 50 for index in range(60)] + [1.2 + index / 2 for index in range(20)]
    clip, frames = read(write_clip(tmp_path / "a.mkv", times=times, rate=50))
    assert (len(frames), clip.missing) == (80, 0)


def test_odd_sizes_get_a_row_and_a_column(tmp_path):
    source = write_clip(tmp_path / "a.mkv", 3, picture=lambda i: moving(i, (63, 47)), codec="ffv1", pix_fmt="bgra")
    assert copy(source, tmp_path / "b.mp4").padded == (1, 1)
    image = read_clip(tmp_path / "b.mp4").images[0].astype(int)
    assert image.shape == (48, 64, 3)
    assert np.abs(image[:, -1] - image[:, -2]).max() < 12
    assert copy(tmp_path / "b.mp4", tmp_path / "c.mp4").padded == (0, 0)


@pytest.mark.parametrize(
    ("source", "codec", "target", "how"),
    [
        ("mp4", "aac", "mp4", "copied"),
        ("mkv", "aac", "mov", "copied"),
        ("mkv", "libopus", "mp4", "copied"),
        ("mkv", "pcm_s16le", "mkv", "copied"),
        ("mov", "pcm_s16le", "mp4", "encoded"),
        ("mkv", "ac3", "mp4", "encoded"),
    ],
)
def test_sound_is_kept(tmp_path, source, codec, target, how):
    old = write_clip(tmp_path / f"a.{source}", 25, sound=codec)
    assert copy(old, tmp_path / f"b.{target}").sound == how
    old, new = read_clip(old), read_clip(tmp_path / f"b.{target}")
    if how == "copied":
        assert [data for _, data in old.sound] == [data for _, data in new.sound]
        assert np.allclose([t for t, _ in old.sound], [t for t, _ in new.sound], atol=0.001)
    else:
        assert new.audio == "aac"
        assert new.sound[-1][0] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("target", ["mp4", "mkv"])
@pytest.mark.parametrize("first", [0.8, 100])
def test_pictures_that_begin_after_the_sound_stay_in_step_with_it(tmp_path, target, first):
    """First: seconds at which the pictures begin; the sound begins at 0."""
    source = write_clip(tmp_path / "a.mkv", times=[first, first + 0.04, first + 0.2], sound="aac", seconds=0.5)
    copy(source, tmp_path / f"b.{target}")
    old, new = read_clip(source), read_clip(tmp_path / f"b.{target}")
    assert np.allclose(new.times - new.sound[0][0], old.times - old.sound[0][0], atol=0.002)
    assert np.allclose(np.diff(new.times), np.diff(old.times), atol=0.002)


def test_sound_lies_between_the_pictures(tmp_path):
    copy(write_clip(tmp_path / "a.mp4", 150, sound="aac"), tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as file:
        packets = [(p.pos, p.stream.type, float(p.pts * p.time_base)) for p in file.demux() if p.size]
    latest = {"video": 0.0, "audio": 0.0}
    for _, kind, at in sorted(packets):
        latest[kind] = at
        assert abs(latest["video"] - latest["audio"]) < 1.5  # seconds; fragments last one


@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg", "libx264"])
@pytest.mark.parametrize("lost", [[5], [3, 4, 9], [0]])
def test_frames_that_do_not_decode_keep_their_places(tmp_path, codec, lost):
    options = ("avi", "yuvj420p") if codec == "mjpeg" else ("mp4", "yuv420p")
    source = write_clip(tmp_path / f"a.{options[0]}", 12, codec=codec, pix_fmt=options[1])
    times = read_clip(source).times
    with av.open(str(source)) as file:  # frames are stored in another order than they are shown in
        shown = np.argsort(np.argsort([packet.pts for packet in file.demux(video=0) if packet.size]))
    clip, frames = read(spoil(source, *lost))
    assert [frame.index for frame in frames if frame.image is None] == sorted(shown[lost])
    assert clip.skipped == len(lost)
    assert [frame.index for frame in frames] == list(range(12))
    assert np.allclose([frame.time for frame in frames], times)


def test_frames_that_do_not_decode_are_written_as_the_one_before(tmp_path):
    source = spoil(write_clip(tmp_path / "a.avi", 6, codec="mjpeg", pix_fmt="yuvj420p"), 0, 3)
    copy(source, tmp_path / "b.mp4")
    others = [frame.image for frame in read(source)[1] if frame.image is not None]
    grays = [image[40, 50].mean() for image in read_clip(tmp_path / "b.mp4").images]
    expected = [0, *(others[index][40, 50].mean() for index in (0, 1, 1, 2, 3))]
    assert np.abs(np.subtract(grays, expected)).max() < 4


def test_file_that_was_cut_off_gives_what_it_has_and_counts_the_rest(tmp_path):
    source = write_clip(tmp_path / "a.mp4", 20, sound="aac", options={"movflags": "faststart"})
    source.write_bytes(source.read_bytes()[: -source.stat().st_size // 3])
    clip, frames = read(source)
    good = [frame for frame in frames if frame.image is not None]
    assert 5 < len(good) < 20
    assert clip.missing + len(frames) == 20
    assert clip.missing > 3
    assert clip.finished
    copy(source, tmp_path / "b.mp4")
    assert len(read_clip(tmp_path / "b.mp4").times) == len(frames)


def test_cut_off_file_without_frame_count_is_noticed(tmp_path):
    source = write_clip(tmp_path / "a.mkv", 100)
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    clip, frames = read(source)
    assert 30 < len(frames) < 70
    assert clip.missing + len(frames) == 100


def test_a_frame_with_the_time_of_the_last_one_comes_a_step_after_it(tmp_path):
    with VideoReader(write_clip(tmp_path / "a.mp4", 3)) as clip:
        *_, last = clip
        for step, stamp in ((1, clip._last), (2, None)):
            assert clip._next(stamp, None).time == pytest.approx(last.time + step / 25)


def no_frames(path):
    spoil(write_clip(path, 1), 0)


def without_packets(path):
    write_clip(path, 5)
    with av.open(str(path)) as file:
        first = next(file.demux(video=0))
    path.write_bytes(path.read_bytes()[: first.pos])


def unknown_codec(path):
    write_clip(path, 2, codec="libx264")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))


def without_index(path):
    write_clip(path, 5)
    path.write_bytes(path.read_bytes()[:1000])


def photo(path):
    write_clip(path.with_suffix(".mjpeg"), 1, codec="mjpeg", pix_fmt="yuvj420p").rename(path)


@pytest.mark.parametrize(
    ("name", "make", "found"),
    [
        ("a.mp4", lambda path: None, "cannot be opened .No such file"),
        ("a.mp4", Path.mkdir, "it is a folder: name one file"),
        ("a.mp4", Path.touch, "the file is empty"),
        ("a.mp4", lambda path: path.write_text("not a video, but some words\n" * 50), "something else, cut off"),
        ("a.txt", lambda path: path.write_text("not a video, but some words\n" * 50), "no pictures in the file"),
        ("a.mp4", without_index, "something else, cut off or damaged"),
        ("a.m4a", write_tone, "the file holds only sound"),
        ("a.mp4", no_frames, "not one frame of it could be decoded"),
        ("a.mkv", no_frames, "not one frame of it could be decoded"),
        ("a.mkv", without_packets, "not one frame of it could be decoded"),
        ("a.mp4", unknown_codec, "its codec is unknown"),
        ("a.jpg", photo, "it is a single picture: use mode=image"),
    ],
)
def test_what_is_no_video_is_refused_in_one_sentence(tmp_path, name, make, found):
    make(tmp_path / name)
    with pytest.raises(UserError, match=rf"^input=.*{name}: expected a video.*, but .*{found}[^\n]*$"):
        VideoReader(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nfile://{other}\n#EXT-X-ENDLIST\n"),
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n"),
        ("a.mp4", "ffconcat version 1.0\nfile other.ts\n"),
        ("a.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"),
    ],
)
def test_list_of_other_files_is_refused(tmp_path, name, text):
    other = write_clip(tmp_path / "other.ts", 25, codec="libx264")
    (tmp_path / name).write_text(text.format(other=other))
    with pytest.raises(UserError, match=rf"^input=.*{name}: expected a video, but .*a playlist[^\n]*$"):
        VideoReader(tmp_path / name)


def test_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(errno.EACCES, "Permission denied")

    source = write_clip(tmp_path / "a.mp4", 2)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match=r"cannot be opened \(Permission denied\)"):
        VideoReader(source)


@pytest.mark.parametrize("name", ["it's (1), 100%d é:x.mp4", "a=b.mp4"])
def test_strange_names_are_taken_as_they_are(tmp_path, name):
    name = name.replace(":", "" if os.name == "nt" else ":")
    source = write_clip(tmp_path / "a.mp4", 3).rename(tmp_path / name)
    copy(source, tmp_path / f"b {name}")
    assert len(read_clip(tmp_path / f"b {name}").times) == 3


def test_live_frames_keep_their_times(tmp_path):
    times = [0, 0.031, 0.07, 0.07, 0.06, 0.2, 2.5]
    with VideoWriter(tmp_path / "b.mp4", 64, 48) as writer:
        for index, time in enumerate(times):
            writer.write(moving(index), time)
    written = read_clip(tmp_path / "b.mp4").times
    assert writer.sound is None
    assert np.allclose(written, times, atol=0.011)
    assert (np.diff(written) > 0).all()


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, Terminated])
def test_interrupted_clip_plays_as_far_as_it_came(tmp_path, stop, suffix):
    source, target = write_clip(tmp_path / "a.mp4", 100, sound="aac"), tmp_path / f"b.{suffix}"
    with pytest.raises(stop):
        copy(source, target, 50, stop)
    written = read_clip(target)
    assert np.allclose(written.times - written.times[0], np.arange(50) / 25, atol=0.001)
    assert written.sound[-1][0] == pytest.approx(2, abs=0.05)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", target.name]


def test_error_replaces_nothing_and_leaves_what_there_is(tmp_path):
    target = tmp_path / "b.mp4"
    target.write_text("good")
    with pytest.raises(ZeroDivisionError):
        copy(write_clip(tmp_path / "a.mp4", 20), target, 12, ZeroDivisionError)
    assert target.read_text() == "good"
    assert len(read_clip(tmp_path / "b.partial.mp4").times) == 12


def test_old_file_stays_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "b.mp4"
    target.write_text("good")
    with VideoWriter(target, 64, 48) as writer:
        writer.write(moving(0), 0)
        assert target.read_text() == "good"
    assert len(read_clip(target).times) == 1
    assert not writer.partial.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links are of POSIX")
def test_part_that_a_kill_left_is_in_nobodys_way_and_no_link_is_followed(tmp_path):
    (tmp_path / "victim").write_text("old")
    (tmp_path / "b.partial.mp4").symlink_to("victim")
    for _ in "ab":
        with VideoWriter(tmp_path / "b.mp4", 64, 48) as writer:
            writer.write(moving(0), 0)
        (tmp_path / "b.partial.mp4").write_text("left")
    assert (tmp_path / "victim").read_text() == "old"
    assert len(read_clip(tmp_path / "b.mp4").times) == 1


@pytest.mark.parametrize("stop", [None, KeyboardInterrupt, ValueError])
def test_no_frame_leaves_everything_as_it_was(tmp_path, stop):
    target = tmp_path / "b.mp4"
    target.write_text("good")
    try:
        with VideoWriter(target, 64, 48):
            if stop:
                raise stop
    except (KeyboardInterrupt, ValueError):
        pass
    assert target.read_text() == "good"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("sound", [None, 0.3, 4])
def test_growing_file_plays_up_to_its_last_second(tmp_path, suffix, sound):
    """Sound: seconds of it; the pictures last 4."""
    source = write_clip(tmp_path / "a.mp4", 100, sound=sound and "aac", seconds=sound)
    with VideoReader(source) as clip, VideoWriter(tmp_path / f"b.{suffix}", 64, 48, clip) as writer:
        for frame in clip:
            writer.write(frame.image, frame.time)
        while writer.frames < 100:
            time.sleep(0.01)
        assert read_clip(writer.partial).times[-1] > 2.96  # seconds; the last picture's is 3.96


KILLED = """
import sys, numpy as np
from pathlib import Path
import fer.inference
from fer.inference.io.video_writer import VideoWriter
from fer.inference.results import Frame
from fer.inference.io.records import Records
noise = np.random.default_rng(0).integers(0, 256, (500, 160, 3), np.uint8)
folder = Path(sys.argv[1])
with Records(folder / "b.jsonl", ("a",)) as records, VideoWriter(folder / "b.mp4", 160, 120) as writer:
    for i in range(100_000):
        records.frame(Frame(i, i / 25, noise), [])
        writer.write(noise[i % 380 : i % 380 + 120], i / 25)
        if i == 100:
            print(flush=True)
"""


@pytest.mark.parametrize("wait", [0, *(pytest.param(0.31 * n, marks=pytest.mark.slow) for n in range(1, 10))])
def test_killed_process_leaves_all_but_the_last_second(tmp_path, wait):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        time.sleep(wait)
        process.kill()
    recorded = (tmp_path / "b.partial.jsonl").read_bytes().count(b"\n")
    _, frames = read(tmp_path / "b.partial.mp4")
    assert recorded > 100
    assert sum(frame.image is not None for frame in frames) > recorded - 25


@pytest.mark.parametrize("after", [0, 30, None])
def test_full_disk_fails_in_one_sentence(tmp_path, monkeypatch, after):
    """After: packets that are written before the disk is full; None: it fills up at the end of the file."""
    target = tmp_path / "b.mp4"
    target.write_text("good")
    opened = av.open

    class Full:
        """A file on a disk that fills up."""

        def __init__(self, file):
            self.file, self.packets = file, 0

        def __getattr__(self, name):
            return getattr(self.file, name)

        def mux(self, packets):
            self.packets += 1
            if after is not None and self.packets > after:
                raise av.error.OSError(errno.ENOSPC, "No space left on device")
            self.file.mux(packets)

        def close(self):
            self.file.close()
            if after is None:
                raise av.error.OSError(errno.ENOSPC, "No space left on device")

    def fake(name, *words, **options):
        file = opened(name, *words, **options)
        return Full(file) if "w" in words else file

    source = write_clip(tmp_path / "a.mp4", 100)
    monkeypatch.setattr(clip_sink.av, "open", fake)
    with pytest.raises(RunError, match=r"b\.mp4 could not be written \(No space left on device\).*b\.partial\.mp4$"):
        copy(source, target)
    assert target.read_text() == "good"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("b.avi", r"ends in \.mp4, \.mov, \.mkv"),
        ("nowhere/b.mp4", "there is no .*nowhere: make it"),
        ("folder.mp4", "it is a folder"),
        ("x" * 300 + ".mp4", "cannot be made .File name too long"),
    ],
)
def test_impossible_outputs_are_refused_in_one_sentence(tmp_path, name, found):
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UserError, match=rf"^output=.*: expected [^\n]*{found}[^\n]*$"):
        VideoWriter(tmp_path / name, 64, 48)


@pytest.mark.slow
def test_memory_stays_flat(tmp_path):
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from fer.inference.io.video_reader import VideoReader; from fer.inference.io.video_writer import VideoWriter\n"
        "peaks = []\n"
        "with VideoReader(Path(sys.argv[1])) as clip, VideoWriter(Path(sys.argv[2]), 320, 240, clip) as writer:\n"
        "    for frame in clip:\n"
        "        writer.write(frame.image, frame.time)\n"
        "        if frame.index in (500, 1999):\n"
        "            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        "print((peaks[1] - peaks[0]) / 1024)\n"
    )
    source = write_clip(tmp_path / "a.mp4", 2000, picture=lambda i: moving(i, (320, 240)), sound="aac")
    command = [sys.executable, "-c", code, str(source), str(tmp_path / "b.mp4")]
    grown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert float(grown) < 8  # MB; 1,500 pictures are 345


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in other units elsewhere")
def test_8k_takes_little_more_than_a_gigabyte(tmp_path):
    code = (
        "import resource, sys; from pathlib import Path; import numpy as np; import fer.inference\n"
        "from fer.inference.io.video_reader import VideoReader; from fer.inference.io.video_writer import VideoWriter\n"
        "with VideoWriter(Path(sys.argv[1]), 7680, 4320) as writer:\n"
        "    for index in range(8):\n"
        "        writer.write(np.full((4320, 7680, 3), 20 * index, np.uint8), index / 25)\n"
        "with VideoReader(Path(sys.argv[1])) as clip:\n"
        "    assert sum(frame.image is not None for frame in clip) == 8\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "b.mp4")]
    peak = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert float(peak) < 1300  # MB; a frame has 100


@pytest.mark.real
@pytest.mark.skipif(not MEDIA.is_dir(), reason="FER_MEDIA names no folder")
@pytest.mark.parametrize("name", ["test.mp4", "short_hamilton_clip.mp4"])
def test_real_clips_keep_frames_times_and_sound(tmp_path, name):
    copy(MEDIA / name, tmp_path / "b.mp4")
    old, new = read_clip(MEDIA / name), read_clip(tmp_path / "b.mp4")
    assert len(old.times) == len(new.times)
    assert [image.shape for image in old.images] == [image.shape for image in new.images]
    assert np.allclose(np.diff(old.times), np.diff(new.times), atol=1e-6)
    assert [data for _, data in old.sound] == [data for _, data in new.sound]
    if old.sound:
        assert new.times[0] - new.sound[0][0] == pytest.approx(old.times[0] - old.sound[0][0], abs=0.001)
    rates = [read(path)[0].rate for path in (MEDIA / name, tmp_path / "b.mp4")]
    assert rates[0] == pytest.approx(rates[1], rel=0.001)


@pytest.mark.parametrize("frames", [26, 27, 51])  # the encoder puts the last picture before others
def test_the_last_picture_is_shown(tmp_path, frames):
    def picture(index):
        image = np.full((48, 64, 3), 40 + 5 * (index % 40), np.uint8)
        image[10:30, 2 * index % 40 : 2 * index % 40 + 20] = 200
        return image

    with VideoWriter(tmp_path / "b.mp4", 64, 48) as writer:
        for index in range(frames):
            writer.write(picture(index), index / 25)
    assert len(read_clip(tmp_path / "b.mp4").images) == frames
