"""YuNet in ONNX Runtime: what its grids mean, and that it finds what OpenCV's own class finds."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.faces.yunet import OUTPUTS, YuNetModel, decode, suppress, to_input
from tests.clips import read_clip
from tests.scenes import scene

MODEL = Path(os.environ.get("FER_YUNET", "nowhere"))
MEDIA = Path(os.environ.get("FER_MEDIA", "nowhere"))
SCORE = 0.6
WIDTH, HEIGHT = 96, 64  # pixels of the picture whose grids `outputs` gives
needs_model = pytest.mark.skipif(not MODEL.is_file(), reason="FER_YUNET names no file")
needs_media = pytest.mark.skipif(not MEDIA.is_dir(), reason="FER_MEDIA names no folder")


def outputs(*faces):
    """Return the net's answers with faces, each of a stride, column, row, score, box and points in the cell's words."""
    values = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    found = []
    for name in OUTPUTS:
        kind, stride = name.split("_")
        cells = np.zeros((1, WIDTH // int(stride) * (HEIGHT // int(stride)), values[kind]), np.float32)
        for one, column, row, score, box, points in faces:
            if one == int(stride):
                cells[0, row * (WIDTH // one) + column] = {"cls": score, "obj": score, "bbox": box, "kps": points}[kind]
        found.append(cells)
    return found


def theirs(score=SCORE):
    return cv2.FaceDetectorYN.create(str(MODEL), "", (64, 64), score, 0.3, 5000)


def assert_same(image, ours, net):
    """Check that both find the same faces, within a pixel and 0.01 of score; return how many."""
    net.setInputSize(image.shape[1::-1])
    expected, found = net.detect(image)[1], ours.detect(image)
    expected = np.empty((0, 15), np.float32) if expected is None else expected
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.abs(found[:, :14] - expected[:, :14]).max(initial=0) < 1
    assert np.abs(found[:, 14] - expected[:, 14]).max(initial=0) < 0.01
    return len(found)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_face_is_measured_from_its_cell_in_cells(stride):
    points = [0.5, 0, 1, 0, 0, 0.25, 0, 0, -1, 1]
    (face,) = decode(outputs((stride, 2, 1, 0.9, (0.5, 0.25, np.log(3), np.log(2)), points)), WIDTH, 0.8)
    cells = [2.5 - 1.5, 1.25 - 1, 3, 2, *(2.5, 1), *(3, 1), *(2, 1.25), *(2, 1), *(1, 2)]
    assert face == pytest.approx([*np.multiply(cells, stride), 0.9])


def test_a_score_is_the_mean_of_both_answers_on_a_scale_of_ratios():
    given = outputs((8, 0, 0, 0.9, (0, 0, 0, 0), [0] * 10))
    given[1] *= 0.4 / 0.9  # is it anything?
    assert decode(given, WIDTH, 0.59)[:, 14] == pytest.approx([0.6])
    assert decode(given, WIDTH, 0.61).shape == (0, 15)


def test_of_boxes_in_one_place_the_surest_stays():
    boxes = np.float32([[0, 0, 20, 20], [3, 0, 20, 20], [60, 0, 20, 20], [14, 0, 20, 20], [70, 0, 20, 20]])
    assert suppress(boxes, np.float32([0.7, 0.8, 0.9, 0.75, 0.6]), 0.5).tolist() == [2, 1, 3]
    assert suppress(boxes[:0], np.float32([]), 0.5).tolist() == []


@pytest.mark.parametrize("shape", [(1, 1), (40, 5), (32, 32), (2, 900), (33, 100)])
def test_pictures_get_black_to_the_right_and_below_up_to_whole_cells(shape):
    image = np.random.default_rng(0).integers(1, 256, (*shape, 3), np.uint8)
    given = to_input(image)
    assert (given.dtype, given.ndim) == (np.float32, 4)
    assert all(
        0 <= padded - side < 32 and padded % 32 == 0 for padded, side in zip(given.shape[2:], shape, strict=True)
    )
    assert (given[0, :, : shape[0], : shape[1]].transpose(1, 2, 0) == image).all()
    assert np.count_nonzero(given) == image.size


def test_only_who_needs_yunet_waits_for_onnxruntime():
    code = (
        "import sys, fer.faces.detectors; from fer.faces.schema import Haar\n"
        "fer.faces.detectors.make_detector(Haar(name='haar', min_size=20, width=640, every=1), print)\n"
        "assert 'onnxruntime' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.real
@needs_model
def test_real_yunet_finds_in_scenes_what_opencv_finds():
    ours, net = YuNetModel(MODEL.read_bytes(), SCORE), theirs()
    steps = [scene(step) for step in (0, 7, 30)]
    sizes = [cv2.resize(scene(), size, interpolation=cv2.INTER_AREA) for size in ((240, 160), (333, 222), (97, 65))]
    assert [assert_same(image, ours, net) for image in (*steps, *sizes)] == [2] * 6
    assert assert_same(np.full((200, 300, 3), 128, np.uint8), ours, net) == 0


@pytest.mark.real
@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is read from /proc")
@needs_model
def test_real_yunet_takes_no_more_memory_with_each_size_of_photo():
    code = (
        "import sys, numpy as np; from pathlib import Path; from fer.faces.yunet import YuNetModel\n"
        "rss = lambda: int(Path('/proc/self/statm').read_text().split()[1]) * 4096 / 1e6\n"
        "model = YuNetModel(Path(sys.argv[1]).read_bytes(), 0.6); before = rss()\n"
        "for side in (300, 500, 1500, 340, 620, 440, 1500, 180, 1500):\n"
        "    model.detect(np.zeros((side, side + side // 3, 3), np.uint8))\n"
        "assert rss() - before < 200, rss() - before"
    )
    subprocess.run([sys.executable, "-c", code, str(MODEL)], check=True)


@pytest.mark.real
@needs_model
def test_real_yunet_prints_nothing_of_its_own(capfd):
    YuNetModel(MODEL.read_bytes(), SCORE).detect(scene())
    assert capfd.readouterr() == ("", "")


@pytest.mark.real
@pytest.mark.slow
@needs_model
@needs_media
@pytest.mark.parametrize("name", ["test.mp4", "short_hamilton_clip.mp4"])
def test_real_clips_have_the_faces_that_opencv_finds(name):
    ours, net = YuNetModel(MODEL.read_bytes(), SCORE), theirs()
    assert sum(assert_same(image, ours, net) for image in read_clip(MEDIA / name).images) > 100


def photos(count):
    """Give photos: the real ones, then parts of them at many sizes, and drawn scenes between."""
    whole = [cv2.imread(str(path)) for path in sorted(MEDIA.glob("*.jpg"))]
    yield from whole
    rng = np.random.default_rng(0)
    for index in range(count - len(whole)):
        image = scene(index % 40) if index % 5 == 0 else whole[index % len(whole)]
        height, width = image.shape[:2]
        left, top = rng.uniform(0, 0.3, 2)
        part = image[int(top * height) : int(rng.uniform(0.7, 1) * height), int(left * width) :]
        share = rng.uniform(65, 900) / min(part.shape[:2])  # OpenCV makes faces up in pictures of 32 pixels or less
        yield cv2.resize(part, None, fx=min(share, 1.5), fy=min(share, 1.5), interpolation=cv2.INTER_AREA)


@pytest.mark.real
@pytest.mark.slow
@needs_model
@needs_media
def test_real_photos_of_200_sizes_have_the_faces_that_opencv_finds():
    ours, net = YuNetModel(MODEL.read_bytes(), SCORE), theirs()
    assert sum(assert_same(image, ours, net) for image in photos(200)) > 200
