"""Other nets do all that the SE-ResNet does: train, resume, start from weights, be evaluated, look and explain."""

import json

import cv2
import numpy as np
import pytest
import torch

import fer.training.run
from fer.inference.predictor import Predictor
from fer.models.cam import BEST, EXPLAINERS, heatmaps
from fer.training.console import _net_name
from fer.weights import load_net, read_weights
from tests.runs import DRAWN, configure, run, tensors, without_figures

SHORT = ("trainer=cpu", "batch_size=16", "trainer.max_epochs=2", "ema=0")
NETS = {  # to test another one: its words, and its last layer before the pooling in LAYERS
    "vgg": ("model=vgg", "model.widths=[8,16]", "model.depths=[1,1]", "model.hidden=12", "model.input_size=24"),
    "timm": ("model=timm", "model.backbone=test_resnet", "model.input_size=32"),
}
LAYERS = {"vgg": "stages", "timm": "backbone.layer4"}


@pytest.fixture(scope="module", params=NETS)
def trained(request, tmp_path_factory):
    """A net's words, and the folder of its run."""
    if request.param == "timm":
        pytest.importorskip("timm")
    words, folder = (*DRAWN, *SHORT, *NETS[request.param]), tmp_path_factory.mktemp("nets") / request.param
    with pytest.MonkeyPatch.context() as patch:
        without_figures(patch)
        run(configure(*words, only=True), folder)
    return words, folder


def results(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_it_resumes_to_the_same_end(trained, tmp_path, monkeypatch):
    words, folder = trained
    without_figures(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(fer.training.run, "evaluate", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(configure(*words, only=True), tmp_path)
    run(configure(*words, only=True), tmp_path)
    assert tensors(tmp_path / "weights.safetensors") == tensors(folder / "weights.safetensors")


def test_its_file_is_evaluated_to_the_same_figures(trained, tmp_path):
    words, folder = trained
    run(configure(*words, "fit=false", f"weights={folder / 'weights.safetensors'}", "tta=all", only=True), tmp_path)
    found, expected = results(tmp_path), results(folder)
    assert found["test/accuracy"] == expected["test/accuracy"]
    assert found["test/loss"] == pytest.approx(expected["test/loss"], abs=1e-6)
    assert "test_tencrop/accuracy" in found
    assert (tmp_path / "figures/test_gradcam.png").is_file()


def test_a_training_starts_from_it(trained, tmp_path, monkeypatch, capsys):
    words, folder = trained
    without_figures(monkeypatch)
    file = folder / "weights.safetensors"
    config = configure(*words, f"weights={file}", "trainer.max_epochs=1", only=True)
    run(config, tmp_path)
    assert _net_name(config).startswith("from ")
    assert "not taken over: nothing" in capsys.readouterr().out
    assert read_weights(tmp_path / "weights.safetensors")[1].architecture == read_weights(file)[1].architecture


def test_it_looks_and_explains_itself(trained, tmp_path):
    predictor = Predictor.load(trained[1] / "weights.safetensors")
    faces = np.random.default_rng(0).integers(0, 256, (3, 60, 60), np.uint8)
    cv2.imwrite(str(tmp_path / "face.png"), faces[0])
    assert predictor.predict(tmp_path / "face.png") == pytest.approx(predictor.predict(faces)[:1], abs=1e-5)
    for explainer in EXPLAINERS:
        heatmaps = predictor.explain(faces, explainer=explainer)
        assert heatmaps.shape == (3, predictor.input_size, predictor.input_size)
        assert np.isfinite(heatmaps).all() and heatmaps.max() <= 1


def test_its_grad_cam_equals_the_package_on_the_whole_net(trained):
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    net, _ = load_net(trained[1] / "weights.safetensors")
    predictor = Predictor.load(trained[1] / "weights.safetensors", "cpu")
    faces = np.random.default_rng(1).integers(0, 256, (2, predictor.input_size, predictor.input_size), np.uint8)
    found = predictor.explain(faces, "happy", explainer="gradcam")
    header = predictor.header
    inputs = (torch.from_numpy(faces).float() / 255 - header.mean) / header.std
    layer = net.get_submodule(LAYERS[header.architecture["name"]])
    target = ClassifierOutputTarget(header.classes.index("happy"))
    expected = GradCAM(net, [layer])(inputs[:, None], [target] * 2)
    assert np.abs(found - expected).max() < 1e-3
    best = predictor.explain(faces, "happy", explainer=BEST)
    with torch.inference_mode():  # as a validation is
        assert np.abs(heatmaps(net, inputs[:, None] * 1.0, torch.full((2,), 3)) - best).max() < 1e-3
