"""What is decoded is what a player shows: colours of all kinds, whole frames, transparency."""

from functools import partial
from itertools import pairwise

import av
import numpy as np
import pytest

from fer.inference.io.capture import Stream
from fer.inference.io.video_reader import VideoReader
from tests.clips import read_clip, spoil, write_clip

PQ, HLG, BT2020, P3 = 16, 18, 9, 12
SDR = [(30, 30, 30), (120, 120, 120), (36, 37, 220), (59, 200, 59), (87, 59, 27), (120, 160, 215)]  # BGR
XYZ = {  # of red, green and blue: the chromaticities of BT.709, BT.2020 and P3, all with the white of D65
    1: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}


def to_xyz(primaries: int) -> np.ndarray:
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in XYZ[primaries]]).T
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns * np.linalg.solve(columns, white)


def pq(light: np.ndarray) -> np.ndarray:
    """Return PQ's levels of light in shares of 203 cd/m2 (SMPTE ST 2084)."""
    power = (light * 203 / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(light: np.ndarray) -> np.ndarray:
    """Return HLG's levels of light in shares of that of 75 % (ARIB STD-B67)."""
    scene = light * 0.26496256
    bright = 0.17883277 * np.log(np.maximum(12 * scene, 1) - 0.28466892) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


def srgb(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def light_of(colour: tuple[int, int, int]) -> np.ndarray:
    """Return the linear light, red-green-blue, of a colour in BGR on a usual screen."""
    level = np.array(colour[::-1]) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def flat(colours: list, index: int) -> np.ndarray:
    return np.full((48, 64, len(colours[index])), colours[index], np.uint8)


def images(path) -> list[np.ndarray]:
    with VideoReader(path) as clip:
        return [frame.image for frame in clip]


def shown(path) -> np.ndarray:
    """Return the mean colour, BGR, of every frame of a clip."""
    return np.array([image.mean((0, 1)) for image in images(path)])


@pytest.mark.parametrize(
    ("transfer", "curve", "primaries"),
    [
        (PQ, pq, BT2020),
        (HLG, hlg, BT2020),
        (PQ, pq, 1),
        (HLG, hlg, 2),
        (14, srgb, BT2020),
        (1, srgb, BT2020),
        (1, srgb, P3),
    ],
)
@pytest.mark.parametrize("pix_fmt", ["gbrp10le", "yuv444p10le"])
def test_hdr_and_wide_colours_are_those_of_the_same_scene_in_sdr(tmp_path, transfer, curve, primaries, pix_fmt):
    matrix = np.linalg.solve(to_xyz(BT2020 if primaries == 2 else primaries), to_xyz(1))
    coded = [np.rint(255 * curve(matrix @ light_of(colour))).astype(np.uint8)[::-1] for colour in SDR]
    tags = {"color_trc": transfer, "color_primaries": primaries}
    if pix_fmt.startswith("yuv"):
        tags |= {"colorspace": 9, "color_range": 1}
    options = {"codec": "ffv1", "pix_fmt": pix_fmt, "colours": tags}
    path = write_clip(tmp_path / "a.mkv", len(SDR), picture=partial(flat, coded), **options)
    assert np.abs(shown(path) - SDR).max() < 10  # 8 bits of HDR are coarse


@pytest.mark.parametrize(("transfer", "level"), [(PQ, pq), (HLG, hlg)])
def test_highlights_of_hdr_are_told_apart_and_nothing_below_is_darkened(tmp_path, transfer, level):
    light = np.array([0.2, 0.7, 1, 1.5, 2.5])  # of white
    grays = [[round(255 * value)] * 3 for value in level(light)]
    tags = {"color_trc": transfer, "color_primaries": BT2020}
    options = {"codec": "ffv1", "pix_fmt": "gbrp10le", "colours": tags}
    found = shown(write_clip(tmp_path / "a.mkv", len(grays), picture=partial(flat, grays), **options))[:, 0]
    assert np.abs(found[:2] - 255 * srgb(light[:2])).max() < 3
    assert all(after > before + 1 for before, after in pairwise(found))
    assert found[2] > 235


def planes(path, size: tuple[int, int], colour: tuple[int, int, int], matrix: int, tags: dict[str, int]):
    """Write one picture of a colour by a matrix, whatever the tags say."""
    image = np.full((size[1], size[0], 3), colour, np.uint8)
    limits = tags.get("color_range", 1)
    frame = av.VideoFrame.from_ndarray(image, format="bgr24")
    frame = frame.reformat(format="yuv444p", dst_colorspace=matrix, dst_color_range=limits)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=25, width=size[0], height=size[1], pix_fmt="yuv444p")
        for name, value in ({"colorspace": 2, "color_range": 0} | tags).items():
            setattr(frame, name, value)
            setattr(stream.codec_context, name, value)
        frame.pts = 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("size", "tags", "matrix"),
    [
        ((64, 48), {}, 5),
        ((1280, 534), {}, 1),  # of cinema
        ((720, 576), {}, 5),
        ((720, 720), {}, 1),
        ((64, 48), {"colorspace": 1}, 1),
        ((64, 48), {"colorspace": 5, "color_range": 2}, 5),
        ((64, 48), {"colorspace": 1, "color_range": 2}, 1),
        ((64, 48), {"colorspace": 9}, 9),
    ],
)
def test_untagged_pictures_have_the_matrix_of_their_size(tmp_path, size, tags, matrix):
    colour = (40, 120, 200)
    path = planes(tmp_path / "a.mkv", size, colour, matrix, tags)
    assert np.abs(shown(path) - colour).max() < 3


@pytest.mark.parametrize("tags", [{"color_trc": PQ}, {"color_trc": HLG}, {"color_primaries": BT2020}])
def test_hdr_and_wide_colours_without_a_matrix_have_that_of_bt2020(tmp_path, tags):
    paths = [
        planes(tmp_path / f"{len(more)}.mkv", (1280, 720), (90, 120, 150), 9, tags | more)
        for more in ({}, {"colorspace": 9})
    ]
    assert np.array_equal(shown(paths[0]), shown(paths[1]))
    assert len(np.unique(shown(paths[0]))) == 3


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), [("a.mkv", "ffv1", "bgra"), ("a.apng", "apng", "rgba")])
def test_what_is_transparent_is_over_white(tmp_path, name, codec, pix_fmt):
    coded = [(0, 0, 0, 0), (0, 0, 200, 255), (0, 0, 200, 128)]
    path = write_clip(tmp_path / name, 3, picture=partial(flat, coded), codec=codec, pix_fmt=pix_fmt)
    assert np.abs(shown(path) - [(255, 255, 255), (0, 0, 200), (127, 127, 227)]).max() < 2


def edge(index: int) -> np.ndarray:
    """Return a picture whose upper field is of an earlier moment than the lower one: an edge that moves right."""
    image = np.full((96, 128, 3), 40, np.uint8)
    for field in (0, 1):
        image[field::2, : 16 + 8 * index + 4 * field] = 200
    return image


def combed(image: np.ndarray) -> float:
    """Return the share of pixels that differ from both neighbours, above and below, in the same direction."""
    levels = image[..., 0].astype(int)
    above, below = levels[1:-1] - levels[:-2], levels[1:-1] - levels[2:]
    return float(((above * below > 0) & (np.minimum(abs(above), abs(below)) > 30)).mean())


INTERLACED = {"codec": "libx264", "encoder": {"x264-params": "tff=1:keyint=1"}}


@pytest.mark.parametrize("name", ["a.ts", "a.mp4"])
def test_interlaced_frames_become_whole_ones_with_their_times(tmp_path, name):
    path = write_clip(tmp_path / name, 12, picture=edge, **INTERLACED)
    before = read_clip(path)
    with VideoReader(path) as clip:
        frames = list(clip)
    assert min(combed(image) for image in before.images) > 0.02
    assert max(combed(frame.image) for frame in frames) < 0.003
    assert np.allclose([frame.time for frame in frames], before.times - before.times[0])
    for frame, image in zip(frames, before.images, strict=True):  # of the same moment
        assert abs(float(frame.image.mean()) - float(image.mean())) < 4
    assert (len(frames), clip.skipped, clip.missing) == (12, 0, 0)


@pytest.mark.parametrize("lost", [[5], [3, 4, 9], [0], [11]])
def test_interlaced_frames_that_do_not_decode_keep_their_places(tmp_path, lost):
    path = write_clip(tmp_path / "a.mp4", 12, picture=edge, **INTERLACED)
    times = read_clip(path).times
    with VideoReader(spoil(path, *lost)) as clip:
        frames = list(clip)
    assert [frame.index for frame in frames if frame.image is None] == lost
    assert clip.skipped == len(lost)
    assert np.allclose([frame.time for frame in frames], times)
    for frame in frames:
        if frame.image is not None:
            assert abs(float(frame.image.mean()) - float(edge(frame.index).mean())) < 6


def test_whole_frames_among_interlaced_ones_stay_as_they_are(tmp_path):
    def picture(index):
        return np.random.default_rng(index).integers(0, 256, (96, 128, 3), np.uint8)

    parts = [
        write_clip(tmp_path / "0.h264", 3, picture=edge, **INTERLACED),
        write_clip(tmp_path / "1.h264", 3, picture=picture, codec="libx264", encoder={"x264-params": "keyint=1"}),
        write_clip(tmp_path / "2.h264", 3, picture=edge, **INTERLACED),
    ]
    path = tmp_path / "a.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    found, before = images(path), images(parts[1])
    assert len(found) == 9
    assert all(np.array_equal(one, other) for one, other in zip(found[3:6], before, strict=True))
    assert max(combed(image) for image in found[:3] + found[6:]) < 0.003


def test_a_single_interlaced_frame_is_shown(tmp_path):
    [image] = images(write_clip(tmp_path / "a.mp4", 1, picture=edge, **INTERLACED))
    assert np.abs(image.astype(int) - edge(0)).mean() < 6


@pytest.mark.parametrize(
    "options",
    [
        {"rotation": 90, "mirrored": True},
        {"aspect": 2},
        {"picture": edge, **INTERLACED},
        {
            "codec": "libx264",
            "colours": {"color_trc": HLG, "color_primaries": BT2020, "colorspace": 9, "color_range": 2},
        },
    ],
)
def test_a_stream_is_shown_as_the_same_file(server, tmp_path, options):
    path = write_clip(tmp_path / "a.mp4", 6, **options)
    server.file = path.read_bytes()
    stream = Stream(f"http://{server.place}/a.mp4", 5)
    found = [raw for raw, _ in stream]
    pictures = [raw.image() for raw in found]
    stream.close()
    assert [(raw.height, raw.width, 3) for raw in found] == [picture.shape for picture in pictures]
    for picture, image in zip(pictures, images(path), strict=True):
        assert np.array_equal(picture, image)
