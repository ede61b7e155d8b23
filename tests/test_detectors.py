"""Finding faces: boxes in pixels of the picture, where YuNet's model comes from, and how boxes lie in training images.

The faces are drawn ones, which both detectors take for faces. A stand-in for the net does without YuNet's file.
"""

import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from fer.data.synthetic import draw_faces
from fer.emotions import EMOTIONS
from fer.errors import UserError
from fer.evaluation import crop_margins as margins
from fer.evaluation import detector_cost as recrop
from fer.faces import detectors
from fer.faces.detection import Detection
from fer.faces.detectors import MODEL, YuNetDetector, make_detector
from fer.faces.schema import Haar, NoDetector, YuNet
from fer.models.se_resnet import SEResNet
from fer.weights import Header, digest, save_weights
from tests.data import pixels

REAL_MODEL = Path(os.environ.get("FER_YUNET", "nowhere"))
REAL_MEDIA = Path(os.environ.get("FER_MEDIA", "nowhere"))
REAL_DATA = Path(os.environ.get("FER_DATA", "nowhere"))
GIVEN = b"stands for the model"
PLACES = ((40, 30, 160), (300, 110, 120))  # left, top and side of the drawn faces in `scene`
RELU = bytes.fromhex(  # a small ONNX file: y = Relu(x), of shape (1, 3, 64, 64)
    "08083a4b0a0c0a0178120179220452656c751201675a1b0a017812160a14080112100a0208010a0208030a0208400a020840"
    "621b0a017912160a14080112100a0208010a0208030a0208400a0208404202100d"
)


def yunet(name="yunet", **changes):
    return YuNet(**({"name": name, "model": None, "score": 0.7, "min_size": 20, "width": 640, "every": 1} | changes))


def haar(**changes):
    return Haar(**({"name": "haar", "min_size": 20, "width": 640, "every": 1} | changes))


def silent(sentence):
    raise AssertionError(f"nothing should be said, but: {sentence}")


@pytest.fixture(scope="module")
def scene():
    """A picture of 480x320 with two drawn faces."""
    picture = np.full((320, 480), 128, np.uint8)
    for left, top, side in PLACES:
        picture[top : top + side, left : left + side] = draw_faces(1, side, seed=3)[0][0]
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)


def assert_found(faces, factor=1.0):
    """Check that each drawn face has one box, as YuNet draws them: a little smaller than the image of the face."""
    assert len(faces) == len(PLACES)
    for face, (left, top, side) in zip(sorted(faces), PLACES, strict=True):
        x, y, width, height = np.array(face.box) / factor
        assert abs(x + width / 2 - left - side / 2) < 0.1 * side
        assert abs(y + height / 2 - top - side / 2) < 0.15 * side
        assert 0.75 * side < height < 1.05 * side
        assert 0.65 * height < width < 0.9 * height
        assert 0.5 < face.score <= 1


class Net:
    """Stands for YuNet's net: finds what it is told to."""

    rows = np.empty((0, 15), np.float32)

    def __init__(self, model, score):
        Net.made, Net.seen = (model, score), None

    def detect(self, image):
        Net.seen = image
        return self.rows


@pytest.fixture
def net(monkeypatch):
    monkeypatch.setattr(detectors, "YuNetModel", Net)
    monkeypatch.setattr(Net, "rows", Net.rows)
    return Net


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Empty places for the model: the weights folder and the cache."""
    monkeypatch.setattr(detectors, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(detectors, "SHA256", hashlib.sha256(GIVEN).hexdigest())
    monkeypatch.setattr(detectors, "URL", "http://127.0.0.1:9/model")  # nobody is there
    (tmp_path / "weights").mkdir()
    return tmp_path


@pytest.fixture
def server(places, monkeypatch):
    """A server on this machine that answers with `body`, after `pause` has been set, and counts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked += 1
            server.pause.wait(10)
            self.send_response(server.code)
            self.send_header("Content-Length", str(len(server.body)))
            self.end_headers()
            self.wfile.write(server.body[: server.sent])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.body, server.sent, server.code, server.pause = 0, GIVEN, None, 200, threading.Event()
    server.pause.set()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(detectors, "URL", f"http://127.0.0.1:{server.server_address[1]}/model")
    yield server
    server.pause.set()
    server.shutdown()
    server.server_close()


def test_none_takes_the_picture_for_a_face():
    found = make_detector(NoDetector(name="none"), silent).find(np.zeros((30, 40, 3), np.uint8))
    assert found == [Detection((0, 0, 40, 30), 1.0, None)]


def test_haar_finds_drawn_faces_as_yunet_would(scene):
    faces = make_detector(haar(), silent).find(scene)
    assert_found(faces)
    assert all(face.landmarks is None for face in faces)


def test_haar_s_faces_come_in_one_order_in_whichever_opencv_s_threads_find_them():
    detector, squares = (
        make_detector(haar(), silent),
        [(9, 5, 50, 50), (80, 5, 50, 50), (9, 80, 50, 50), (200, 5, 50, 50)],
    )
    found = []
    for order in ([0, 1, 2, 3], [3, 1, 2, 0]):
        answer = np.array(squares)[order], np.array([5, 5, 5, 9])[order]
        detector.cascade = SimpleNamespace(detectMultiScale2=lambda *_, answer=answer, **__: answer)
        found.append(detector.find(np.zeros((200, 300, 3), np.uint8)))
    assert found[0] == found[1] and [face.score for face in found[0]] == [0.9] + 3 * [5 / 6]
    assert found[0][1].box < found[0][2].box < found[0][3].box


def test_haar_s_square_becomes_the_box_that_yunet_would_give():
    """The face lies a little lower than the square, and is narrower; as the measures beside the constants say."""
    face = detectors._from_haar(np.array([100, 200, 92, 92]), 4, np.array([2.0, 3.0]))
    assert face.box == pytest.approx((2 * (146 - 38), 3 * (246 - 50 + 2), 2 * 76, 3 * 100))
    assert face.score == 0.8


def test_haar_searches_wide_pictures_at_the_width(scene):
    large = cv2.resize(scene, None, fx=3, fy=3)
    assert_found(make_detector(haar(width=480), silent).find(large), factor=3)
    assert make_detector(haar(width=32), silent).find(large) == []


@pytest.mark.parametrize("factor", [1, 3])
def test_haar_leaves_small_faces_out(scene, factor):
    picture = cv2.resize(scene, None, fx=factor, fy=factor)
    faces = make_detector(haar(width=480, min_size=factor * 125), silent).find(picture)
    assert [round(face.box[0] / factor) < 200 for face in faces] == [True]


@pytest.mark.parametrize("shape", [(1, 1), (40, 5), (19, 19), (1, 900), (900, 1)])
def test_haar_takes_every_size(shape):
    assert make_detector(haar(), silent).find(np.zeros((*shape, 3), np.uint8)) == []


def row(x, y, width, height, score=0.9):
    points = [[x + width * share, y + height * share] for share in (0.1, 0.2, 0.3, 0.4, 0.5)]
    return [x, y, width, height, *np.ravel(points), score]


def test_yunet_boxes_and_landmarks_are_in_pixels_of_the_picture(net):
    detector = YuNetDetector(b"", "", score=0.35, min_size=20, width=300)
    assert net.made[1] == 0.35
    net.rows = np.float32([row(30, 15, 60, 80, 0.8), row(-3, 100, 12, 9)])
    first, second = detector.find(np.zeros((601, 900, 3), np.uint8))
    assert net.seen.shape == (200, 300, 3)
    assert first.box == pytest.approx((90, 15 * 3.005, 180, 80 * 3.005))
    assert first.score == pytest.approx(0.8)
    assert first.landmarks.dtype == np.float32
    assert first.landmarks[4] == pytest.approx([180, 55 * 3.005])
    assert second.box[:1] == (-9,)
    net.rows = net.rows[:0]
    assert detector.find(np.zeros((601, 900, 3), np.uint8)) == []


def test_yunet_minimum_size_is_in_pixels_of_the_picture(net):
    net.rows = np.float32([row(0, 0, 5, 9), row(0, 0, 5, 11), row(0, 0, 21, 5)])
    detector = YuNetDetector(b"", "", score=0.5, min_size=20, width=200)
    assert [round(face.box[3]) for face in detector.find(np.zeros((200, 400, 3), np.uint8))] == [22, 10]
    assert [round(face.box[3]) for face in detector.find(np.zeros((100, 200, 3), np.uint8))] == [5]


def test_a_long_strip_does_not_grow_without_bounds(net):
    YuNetDetector(b"", "", score=0.5, min_size=20, width=64).find(np.zeros((20_000, 64, 3), np.uint8))
    assert net.seen.shape[0] == 4 * 64


def test_model_comes_from_the_weights_folder_first(places, net):
    (places / "cache").mkdir()
    (places / "cache" / MODEL).write_bytes(GIVEN)
    make_detector(yunet(), silent)
    assert net.made[0] == GIVEN
    (places / "weights" / MODEL).write_bytes(b"own")
    make_detector(yunet("auto"), silent)
    assert net.made[0] == b"own"
    (places / "my model.onnx").write_bytes(b"mine")
    make_detector(yunet(model=places / "my model.onnx"), silent)
    assert net.made[0] == b"mine"


@pytest.mark.parametrize("name", ["auto", "yunet"])
def test_model_is_fetched_once_and_said(server, places, net, name):
    said = []
    assert isinstance(make_detector(yunet(name), said.append), YuNetDetector)
    assert net.made[0] == GIVEN
    assert len(said) == 1
    assert all(word in said[0] for word in (detectors.URL, "230 kB", "MIT", str(places / "cache" / MODEL)))
    make_detector(yunet(name), silent)
    assert server.asked == 1
    assert [path.name for path in (places / "cache").iterdir()] == [MODEL]


def test_a_damaged_cache_is_fetched_again(server, places, net):
    (places / "cache").mkdir()
    (places / "cache" / MODEL).write_bytes(GIVEN[:5])
    make_detector(yunet(), [].append)
    assert (net.made[0], (places / "cache" / MODEL).read_bytes()) == (GIVEN, GIVEN)


def test_a_cache_that_cannot_be_written_does_not_matter(server, places, net):
    (places / "cache").touch()
    make_detector(yunet(), [].append)
    assert net.made[0] == GIVEN


@pytest.mark.parametrize("trouble", ["nobody", "missing", "other", "half", "stalled"])
def test_without_the_model_auto_takes_haar_and_yunet_says_the_cure(server, places, scene, monkeypatch, trouble):
    if trouble == "nobody":
        monkeypatch.setattr(detectors, "URL", "http://127.0.0.1:9/model")
    elif trouble == "missing":
        server.code = 404
    elif trouble == "other":
        server.body = b"<html>Welcome to our hotel</html>"
    elif trouble == "half":
        server.sent = 7
    else:
        server.pause.clear()
        monkeypatch.setattr(detectors, "TIMEOUT", 0.1)
    with pytest.raises(UserError, match=r"^detector=yunet: .*detector\.model=FILE.*detector=haar") as caught:
        make_detector(yunet(), [].append)
    assert detectors.URL in str(caught.value)
    assert "\n" not in str(caught.value)
    said = []
    assert_found(make_detector(yunet("auto"), said.append).find(scene))
    assert len(said) == 2
    assert "Haar" in said[1]
    assert list((places / "cache").glob("*")) == []


@pytest.mark.parametrize("name", ["auto", "yunet"])
@pytest.mark.parametrize("content", [None, b"", b"no model" * 99, RELU])
def test_a_given_file_that_is_not_yunet_is_refused(tmp_path, name, content):
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"^detector\.model=.*x\.onnx: expected the face detector YuNet.*https://") as e:
        make_detector(yunet(name, model=path), silent)
    assert "\n" not in str(e.value)


def test_a_command_of_options_names_its_own_where_yunet_is_nowhere(places, capsys):
    write_drawn(places, 12)
    with pytest.raises(SystemExit) as end:
        margins.main([str(places)])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert "--detector=yunet: expected" in error and "add --model=FILE, or use --detector=haar" in error
    with pytest.raises(SystemExit):
        margins.main([str(places), "--model", "none.onnx"])
    assert "--model=none.onnx: expected the face detector YuNet" in capsys.readouterr().err


def test_the_other_net_of_these_tests_runs():
    net = cv2.dnn.readNetFromONNX(np.frombuffer(RELU, np.uint8))
    net.setInput(np.full((1, 3, 64, 64), -1, np.float32))
    assert np.ptp(net.forward()) == 0


def write_drawn(folder, count):
    """Write drawn faces as a fer2013.csv, `count` in each split."""
    lines = ["emotion,pixels,Usage"]
    for seed, usage in enumerate(("Training", "PublicTest", "PrivateTest")):
        for image, label in zip(*draw_faces(count, 48, seed=seed), strict=True):
            lines.append(f"{label},{pixels(image)},{usage}")
    (folder / "fer2013.csv").write_text("\n".join(lines))


def test_margin_and_shift_of_a_box():
    middle, side = recrop.FRAME + recrop.ENLARGED / 2, recrop.ENLARGED
    centred = Detection((middle - side / 4, middle - side / 2, side / 2, side), 1.0)
    off = Detection((middle - 20 - 0.1 * 80, middle - 40 - 0.25 * 80, 40, 80), 1.0)
    assert margins.measure([centred, off]) == pytest.approx(np.array([[1, 0, 0], [side / 80, 0.25, 0.1]]))


def test_margins_of_drawn_faces(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FER_CACHE", str(tmp_path))
    write_drawn(tmp_path, 12)
    shape = {"widths": (8, 16), "depths": (1, 1), "stem_stride": 2, "reduction": 16, "dropout": 0.0, "drop_path": 0.0}
    header = Header(EMOTIONS[:6], 24, 0.5, 0.25, shape, training={"dataset": "fer2013"})
    save_weights(tmp_path / "net.safetensors", SEResNet(6, **shape).state_dict(), header)
    margins.main([str(tmp_path), "--detector", "haar", "--n", "10", "--weights", str(tmp_path / "net.safetensors")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("haar: a face in ")
    assert 0.9 < float(lines[1].split()[1]) < 1.2
    assert abs(float(lines[2].split()[1])) < 0.15
    assert sum(line.endswith(" %") for line in lines) == 7


def test_what_the_crop_costs_on_drawn_faces(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FER_CACHE", str(tmp_path))
    write_drawn(tmp_path, 12)
    shape = {"widths": (8, 16), "depths": (1, 1), "stem_stride": 2, "reduction": 16, "dropout": 0.0, "drop_path": 0.0}
    header = Header(EMOTIONS[:6], 24, 0.5, 0.25, shape, training={"dataset": "fer2013"})
    save_weights(tmp_path / "net.safetensors", SEResNet(6, **shape).state_dict(), header)
    words = [str(tmp_path / "net.safetensors"), str(tmp_path), "--detector", "haar"]
    recrop.main([*words, "--output", str(tmp_path / "crops.json")])
    found = json.loads((tmp_path / "crops.json").read_text())
    assert (found["detector"], found["split"], found["n"]) == ("haar", "test", 12)
    assert 6 <= found["found"] <= 12
    assert found["weights_sha256"] == digest(tmp_path / "net.safetensors")
    assert {round(found[name] * found["found"], 6) % 1 for name in found if name.startswith("accuracy")} == {0}
    for more in (["--output", str(tmp_path / "none" / "crops.json")], ["--model", str(tmp_path / "net.onnx")]):
        with pytest.raises(SystemExit, match="2"):
            recrop.main([*words, *more])


def test_weights_of_other_pictures_have_no_such_check(tmp_path, capsys):
    shape = {"widths": (8, 16), "depths": (1, 1), "stem_stride": 2, "reduction": 16, "dropout": 0.0, "drop_path": 0.0}
    header = Header(EMOTIONS[:6], 24, 0.5, 0.25, shape, training={"dataset": "folder"})
    save_weights(tmp_path / "net.safetensors", SEResNet(6, **shape).state_dict(), header)
    with pytest.raises(SystemExit, match="2"):
        recrop.main([str(tmp_path / "net.safetensors"), str(tmp_path)])
    assert "expected weights of fer2013 or ferplus, but these were trained on folder" in capsys.readouterr().err


def test_margins_refuse_a_folder_without_data(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        margins.main([str(tmp_path), "--detector", "haar"])
    assert "fer2013.csv" in capsys.readouterr().err


needs_model = pytest.mark.skipif(not REAL_MODEL.is_file(), reason="FER_YUNET names no file")
needs_media = pytest.mark.skipif(not REAL_MEDIA.is_dir(), reason="FER_MEDIA names no folder")


@pytest.mark.real
@needs_model
def test_real_yunet_finds_drawn_faces_at_every_scale(scene):
    detector = make_detector(yunet(model=REAL_MODEL), silent)
    for factor in (0.5, 1, 3):
        faces = detector.find(cv2.resize(scene, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
        assert_found(faces, factor)
        for face in faces:
            points = (face.landmarks - face.box[:2]) / face.box[2:]
            assert points[0, 0] < points[2, 0] < points[1, 0]  # right eye, nose, left eye
            assert points[:2, 1].max() < points[2, 1] < points[3:, 1].min()


@pytest.mark.real
@needs_model
def test_real_yunet_makes_no_faces_up_in_small_pictures():
    detector = make_detector(yunet(model=REAL_MODEL, score=0.5), silent)
    rng = np.random.default_rng(0)
    for width, height in (*rng.integers(1, 40, (40, 2)), *((640, side) for side in range(1, 33))):
        assert detector.find(rng.integers(0, 256, (height, width, 3), np.uint8)) == []


@pytest.mark.real
@needs_model
@needs_media
@pytest.mark.parametrize(
    ("name", "count"), [("no-faces.jpg", 0), ("justin.jpg", 1), ("two_people.jpg", 2), ("obama_and_biden.jpg", 3)]
)
def test_real_photos_have_so_many_faces(name, count):
    image = cv2.imread(str(REAL_MEDIA / name))
    assert len(make_detector(yunet("auto", model=REAL_MODEL), silent).find(image)) == count
    found = make_detector(haar(), silent).find(image)
    assert len(found) == min(count, 2)  # Haar misses the girl who looks down


@pytest.mark.real
@needs_model
@needs_media
def test_real_boxes_of_both_detectors_mean_the_same():
    image = cv2.imread(str(REAL_MEDIA / "two_people.jpg"))
    ours, theirs = (sorted(make_detector(c, silent).find(image)) for c in (haar(), yunet(model=REAL_MODEL)))
    for one, other in zip(ours, theirs, strict=True):
        assert one.box == pytest.approx(other.box, abs=0.1 * other.box[3])


@pytest.mark.real
@needs_model
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="FER_DATA names no folder")
@pytest.mark.parametrize(("words", "found"), [(["--model", str(REAL_MODEL)], 0.9), (["--detector", "haar"], 0.65)])
def test_real_margin_and_shift_are_the_defaults(words, found, capsys):
    margins.main([str(REAL_DATA), "--n", "150", *words])
    first, margin, shift, right = capsys.readouterr().out.splitlines()
    assert float(first.split()[-1].rstrip("%")) > 100 * found
    assert float(margin.split()[1]) == pytest.approx(0.97, abs=0.07)
    assert float(shift.split()[1]) == pytest.approx(-0.01, abs=0.03)
    assert float(right.split()[2]) == pytest.approx(0, abs=0.03)
