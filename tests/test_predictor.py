"""From a weights file to answers: the net's own, for every kind of image, and a sentence for what is none."""

import io
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import fer
from fer.data.image_files import read_image
from fer.emotions import class_names
from fer.errors import UserError
from fer.inference.engines import pytorch as module
from fer.inference.predictor import Predictor
from fer.models.cam import EXPLAINERS, heatmaps
from fer.models.se_resnet import SEResNet
from fer.weights import Header, rounded, save_weights
from tests.data import write_image
from tests.runs import ROOT

SIZE = 24
ARCHITECTURE = {"widths": (8, 16), "depths": (1, 1), "stem_stride": 2, "reduction": 4, "dropout": 0.5, "drop_path": 0.0}
HEADER = Header(("angry", "happy", "sad", "surprise"), SIZE, 0.4, 0.2, ARCHITECTURE, temperature=1.5)
FACES = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE), np.uint8)
FACES[1:, :12] //= 8
FACES[2:, :, 12:] //= 4
FACES[3:, 6:18] += 128


def inputs(faces):
    return (torch.from_numpy(faces)[:, None] / 255 - 0.4) / 0.2


def write(path, header=HEADER):
    torch.manual_seed(0)
    net = SEResNet(len(header.classes), **ARCHITECTURE)
    net(torch.randn(8, 1, SIZE, SIZE))  # batch norms away from their start
    net.eval()
    with torch.no_grad():  # answers that differ from face to face
        torch.nn.init.normal_(net.head.weight)
        net.head.bias -= net(inputs(FACES)).mean(0)
    net.load_state_dict(rounded(net.state_dict()))  # as a training ends
    save_weights(path, net.state_dict(), header)
    return net


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


@pytest.fixture
def net(path):
    return write(path)


@pytest.fixture
def predictor(net, path):
    return Predictor.load(path, "cpu")


def refusal(function, *arguments, **named):
    with pytest.raises(UserError) as caught:
        function(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_probabilities_are_those_of_the_net_run_by_hand(predictor, net):
    with torch.no_grad():
        logits = net(inputs(FACES))
    found = predictor.predict(FACES)
    assert found.shape == (5, 4)
    assert found.dtype == np.float32
    assert found == pytest.approx((logits / 1.5).softmax(1).numpy(), abs=1e-5)
    assert len(set(found.argmax(1))) > 1
    assert (predictor.classes, predictor.input_size) == (HEADER.classes, SIZE)
    assert predictor.header.temperature == 1.5
    assert predictor.device == torch.device("cpu")


def test_a_higher_temperature_answers_less_surely(predictor, path):
    write(path, replace(HEADER, temperature=4.0))
    calm, sure = Predictor.load(path, "cpu").predict(FACES), predictor.predict(FACES)
    assert np.array_equal(calm.argmax(1), sure.argmax(1))
    assert (calm.max(1) < sure.max(1)).all()
    assert np.log(calm / calm[:, :1]) * 4 == pytest.approx(np.log(sure / sure[:, :1]) * 1.5, abs=1e-3)


def test_loading_from_the_package_needs_no_more_than_a_name(net, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    assert fer.Predictor is Predictor
    assert fer.Predictor.load(path.name).predict(FACES).shape == (5, 4)
    with pytest.raises(AttributeError, match="no attribute 'Predict'"):
        fer.Predict


def test_importing_the_package_imports_nothing_heavy_and_the_predictor_nothing_of_training():
    code = (
        "import sys, fer; print('torch' in sys.modules, 'numpy' in sys.modules); from fer import Predictor; "
        "print([name for name in ('lightning', 'albumentations', 'torchvision', 'matplotlib', 'pytorch_grad_cam', "
        "'scipy', 'hydra', 'omegaconf', 'fer.training', 'PIL') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[:2] == ["False False", "[]"]


def test_images_of_all_kinds_and_sizes_give_what_the_same_face_gives(predictor, tmp_path):
    gray = cv2.resize(FACES[0], (40, 30))
    for name in ("a.png", "b.bmp"):
        write_image(tmp_path / name, gray)
    rgb = np.stack([gray] * 3, 2)
    images = [gray, rgb, gray[..., None], tmp_path / "a.png", str(tmp_path / "b.bmp"), torch.from_numpy(gray)]
    images += [Image.fromarray(gray), Image.fromarray(rgb), *(Image.fromarray(rgb).convert(mode) for mode in MODES)]
    found = predictor.predict(images)
    assert found == pytest.approx(np.tile(predictor.predict(gray), (len(images), 1)), abs=0.02)  # a level's rounding
    for image in images:
        assert predictor.predict(image) == pytest.approx(predictor.predict([image]))
        assert predictor.predict(image).shape == (1, 4)
    sizes = [FACES[0], cv2.resize(FACES[1], (70, 90)), cv2.resize(FACES[2], (9, 7)), FACES[3][:1, :1]]
    assert predictor.predict(sizes) == pytest.approx(np.vstack([predictor.predict(image) for image in sizes]), abs=1e-5)


MODES = ("RGBA", "LA", "CMYK", "P")


@pytest.mark.parametrize("shape", [(30, 41), (48, 48), (24, 24), (11, 8)])
def test_files_are_cropped_and_resized_as_in_training(predictor, tmp_path, shape):
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    write_image(tmp_path / "face.png", image)
    assert predictor.predict(tmp_path / "face.png") == pytest.approx(
        predictor.predict(read_image(tmp_path / "face.png", SIZE)), abs=0.02
    )


def test_colours_of_arrays_are_red_green_blue(predictor):
    red, green = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    red[:12, :, 0] = 255
    green[:12, :, 1] = 255
    as_gray = np.zeros((2, SIZE, SIZE), np.uint8)
    as_gray[:, :12] = [[[76]], [[150]]]
    expected = predictor.predict(as_gray)
    assert predictor.predict([red, green]) == pytest.approx(expected, abs=1e-5)
    assert predictor.predict(np.stack([red, green])) == pytest.approx(expected, abs=1e-5)
    assert predictor.predict(red[..., ::-1][..., ::-1]) == pytest.approx(expected[:1], abs=1e-5)
    assert predictor.predict(Image.fromarray(green)) == pytest.approx(expected[1:], abs=1e-5)


@pytest.mark.parametrize("shape", [(480, 640), (1200, 1200, 3), (600, 400)])
def test_a_whole_photo_is_warned_of(predictor, shape):
    height, width = shape[:2]
    words = rf"^images\[1\]: expected a face that .* but {width}x{height} .*\(2 such images\)"
    with pytest.warns(UserWarning, match=words) as told:
        predictor.predict([FACES[0], np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)])
    assert [warning.filename for warning in told] == [__file__]


@pytest.mark.parametrize("shape", [(48, 48), (60, 45), (640, 640, 3), (500, 420)])
def test_a_face_is_not_warned_of(predictor, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictor.predict(np.zeros(shape, np.uint8))


def test_notebooks_see_what_there_is(predictor):
    functions = ["evaluate", "load_dataset", "to_pandas", "train"]
    assert dir(fer) == ["Face", "Predictor", "Recognition", "Recognizer", "Run", "__version__", *functions]
    assert repr(predictor) == "<Predictor: 4 emotions (angry, happy, sad, surprise) on faces of 24 pixels, cpu>"


def test_nothing_in_gives_nothing_out(predictor):
    empty = np.empty((0, SIZE, SIZE), np.uint8)
    assert predictor.predict([]).shape == predictor.predict(empty).shape == (0, 4)
    assert predictor.explain([]).shape == (0, SIZE, SIZE)
    for explainer in EXPLAINERS:
        probabilities, heatmaps = predictor.look(empty, explainer)
        assert (probabilities.shape, heatmaps.shape) == ((0, 4), (0, SIZE, SIZE))


BAD_IMAGES = {
    "floats": (FACES[0] / 255, "expected uint8 values from 0 to 255, but got float64"),
    "nan": (np.full((SIZE, SIZE), np.nan, np.float32), "but got float32"),
    "booleans": (FACES[0] > 9, "but got bool"),
    "16 bits": (FACES[0].astype(np.uint16), "but got uint16"),
    "16-bit Pillow": (Image.fromarray(FACES[0].astype(np.uint16)), "but got uint16"),
    "alpha": (np.zeros((9, 9, 4), np.uint8), "(9, 9, 4): leave the alpha channel out"),
    "two channels": (np.zeros((9, 9, 2), np.uint8), "(H, W) or (H, W, 3), but got one of shape (9, 9, 2)"),
    "no pixels": (np.zeros((0, 9), np.uint8), "shape (0, 9)"),
    "ragged": ([[1, 2], [3]], "but got list"),
    "a file that cv2.imread cannot read": (None, "but got None (cv2.imread gives None for a file that it cannot read)"),
    "a number": (3, "but got int"),
    "bytes": (b"\x89PNG", "expected a path, a Pillow image or an array, but got bytes"),
    "an open file": (io.BytesIO(b"a\nb"), "but got BytesIO"),
}


@pytest.mark.parametrize(("image", "message"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_what_is_no_image_is_refused_by_its_number(predictor, image, message):
    said = refusal(predictor.predict, [FACES[0], image])
    assert said.startswith("images[1]: expected")
    assert message in said
    if not isinstance(image, list):
        assert refusal(predictor.explain, image) == said.replace("[1]", "[0]")


def test_a_file_that_is_no_image_is_refused_by_its_name(predictor, tmp_path):
    (tmp_path / "a.png").write_text("no image")
    for file in (tmp_path / "a.png", str(tmp_path / "none.png"), tmp_path):
        assert refusal(predictor.predict, [FACES[0], file]).startswith(f"{file}: expected an image")


def test_heatmaps_are_grad_cam_of_the_predicted_or_the_named_class(predictor, net):
    predicted = torch.from_numpy(predictor.predict(FACES).argmax(1))
    found = predictor.explain(FACES)
    assert found.shape == (5, SIZE, SIZE)
    assert found.dtype == np.float32
    assert found == pytest.approx(heatmaps(net, inputs(FACES), predicted), abs=1e-4)
    for name in ("sad", "sadness", " SAD"):
        assert predictor.explain(FACES, name) == pytest.approx(
            heatmaps(net, inputs(FACES), predicted * 0 + 2), abs=1e-4
        )


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_every_explainer_answers_alike_and_explains_in_its_own_way(predictor, explainer):
    with torch.inference_mode():
        probabilities, heatmaps = predictor.look(FACES, explainer)
    assert np.array_equal(probabilities, predictor.predict(FACES))
    assert all(weight.grad is None for weight in predictor.engine.net.parameters())
    assert heatmaps.shape == FACES.shape
    assert heatmaps.min() >= 0 and heatmaps.max() <= 1
    assert heatmaps.std((1, 2)).min() > 0.05
    assert np.array_equal(predictor.explain(FACES, explainer=explainer), heatmaps)
    others = [predictor.explain(FACES, explainer=other) for other in EXPLAINERS if other != explainer]
    assert all(np.abs(heatmaps - other).max() > 0.01 for other in others)


def test_no_explainer_makes_no_heatmaps(predictor):
    probabilities, heatmaps = predictor.look(FACES, "none")
    assert np.array_equal(probabilities, predictor.predict(FACES))
    assert heatmaps is None


def test_wrong_names_are_refused_with_the_nearest_even_without_faces(predictor):
    empty = FACES[:0]
    said = refusal(predictor.look, empty, "gradcam", "hapy")
    assert said == "target=hapy: expected one of angry, happy, sad, surprise; did you mean happy?"
    assert "target=neutral: expected one of angry, happy" in refusal(predictor.explain, FACES, "neutral")
    assert "did you mean gradcam?" in refusal(predictor.look, empty, "grad-cam")
    assert "explainer=none: expected one of gatedcam, gradcam, gradcam++" in refusal(
        predictor.explain, FACES, explainer="none"
    )


def test_many_faces_are_taken_in_batches(predictor, monkeypatch):
    expected = predictor.look(FACES, "gradcam")
    monkeypatch.setattr("fer.inference.predictor.BATCH", 2)
    sizes, features = [], predictor.engine.net.forward_features
    monkeypatch.setattr(
        predictor.engine.net, "forward_features", lambda inputs: sizes.append(len(inputs)) or features(inputs)
    )
    for found, whole in zip(predictor.look(FACES, "gradcam"), expected, strict=True):
        assert found == pytest.approx(whole, abs=1e-4)
    assert sizes == [2, 2, 1]


def test_a_predictor_loaded_where_gradients_are_off_explains(net, path):
    with torch.inference_mode():
        predictor = Predictor.load(path, "cpu")
        inside = predictor.explain(FACES, explainer="layercam")
    assert np.array_equal(predictor.explain(FACES, explainer="layercam"), inside)


def test_predictors_can_be_shared_by_threads_and_sent_to_processes(predictor):
    expected = predictor.look(FACES, "layercam")
    with ThreadPoolExecutor(3) as pool:
        for probabilities, heatmaps in pool.map(lambda _: predictor.look(FACES, "layercam"), range(12)):
            assert np.allclose(probabilities, expected[0], atol=1e-5)
            assert np.allclose(heatmaps, expected[1], atol=1e-4)
    assert np.array_equal(pickle.loads(pickle.dumps(predictor)).predict(FACES), expected[0])


def test_the_best_device_is_taken(net, path, monkeypatch):
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert Predictor.load(path).device.type == expected
    tried = []
    monkeypatch.setattr(module.torch, "zeros", lambda *size, device: tried.append(device.type))
    for cuda, mps in ((True, True), (False, True), (False, False)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=cuda: found)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda found=mps: found)
        module.torch_device("auto")
    assert tried == ["cuda", "mps", "cpu"]


@pytest.mark.parametrize("device", ["cuda", "cuda:99", "cuda:x", "mps", "gpu", "cud"])
def test_a_device_that_is_not_there_is_named(net, path, device):
    if device == str(module.torch_device("auto")):
        pytest.skip("this machine has it")
    said = refusal(Predictor.load, path, device)
    assert said.startswith(f"device={device}: expected")
    assert "auto" in said


@pytest.mark.skipif(not torch.cuda.is_available() and not torch.backends.mps.is_available(), reason="no accelerator")
@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_an_accelerator_answers_as_the_cpu(predictor, path, explainer):
    for found, expected in zip(
        Predictor.load(path).look(FACES, explainer), predictor.look(FACES, explainer), strict=True
    ):
        assert found == pytest.approx(expected, abs=0.02)


def test_shipped_nets_are_loaded_by_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    predictor = Predictor.load("ferplus", "cpu")
    assert predictor.classes == class_names(8)


def test_weights_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "empty.safetensors").touch()
    for name in ("none.safetensors", "empty.safetensors"):
        assert refusal(Predictor.load, str(tmp_path / name)).startswith(f"weights={tmp_path / name}: expected")


@pytest.mark.skipif(os.name == "nt", reason="HOME is not what Windows asks")
def test_a_tilde_is_the_home_folder(net, path, monkeypatch):
    monkeypatch.setenv("HOME", str(path.parent))
    write_image(path.parent / "face.png", FACES[0])
    assert Predictor.load(f"~/{path.name}", "cpu").predict("~/face.png").shape == (1, 4)


def test_all_vocabularies_keep_their_order(path):
    for count in (6, 7, 8):
        write(path, replace(HEADER, classes=class_names(count)))
        predictor = Predictor.load(path, "cpu")
        assert predictor.classes == class_names(count)
        assert predictor.predict(FACES).shape == (5, count)


def test_nets_whose_numbers_overflow_are_told_instead_of_answering(net, path, monkeypatch):
    state = net.state_dict()
    state["stages.1.0.norm2.bias"].fill_(3e38)
    save_weights(path, state, HEADER)
    predictor = Predictor.load(path, "cpu")
    for call in (predictor.predict, predictor.explain):
        assert "some of this one's are NaN" in refusal(call, FACES)
    assert predictor.predict([]).shape == (0, 4)


def test_heatmaps_that_are_no_numbers_are_told(predictor, monkeypatch):
    monkeypatch.setattr(module, "explain", lambda *arguments: np.full((len(FACES), 3, 3), np.nan))
    assert "some of this one's are NaN" in refusal(predictor.explain, FACES)


@pytest.mark.slow
def test_a_library_s_user_keeps_threads_and_log_level(tmp_path):
    words = (
        "import cv2, torch; before = cv2.utils.logging.getLogLevel(), cv2.getNumThreads(), torch.get_num_threads(); "
        f"import numpy; cv2.imwrite({str(tmp_path / 'a.png')!r}, numpy.zeros((60, 60), numpy.uint8)); "
        f"from fer import Predictor; Predictor.load('fer2013').predict({str(tmp_path / 'a.png')!r}); "
        "print(before == (cv2.utils.logging.getLogLevel(), cv2.getNumThreads(), torch.get_num_threads()))"
    )
    found = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, cwd=ROOT)
    assert found.stdout == "True\n", found.stderr
