"""One file, one engine: .onnx runs without torch, from command to result, and answers as .safetensors does in torch."""

import json
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import onnx
import pytest

from fer import extras
from fer.config.jobs import Command, check_jobs
from fer.data.synthetic import draw_faces
from fer.emotions import class_names
from fer.errors import UserError
from fer.export.onnx import export
from fer.faces.detectors import make_detector
from fer.inference.engines import onnx as engine
from fer.inference.io.video_reader import VideoReader
from fer.inference.pipeline import Pipeline
from fer.inference.predictor import Predictor
from fer.inference.schema import InferConfig
from fer.paths import CONF, WEIGHTS
from tests.clips import write_clip
from tests.runs import ROOT
from tests.scenes import records, scene
from tests.test_export import VGG, write_weights

HEAVY = (
    *("torch", "torchvision", "lightning", "albumentations", "torchmetrics"),
    *("grad_cam", "pytorch_grad_cam", "pandas", "scipy"),
)
TOLD = f"""
import atexit, runpy, sys
def tell():
    loaded = {{name.partition(".")[0] for name in sys.modules}}
    print("loaded:", *sorted({{*{HEAVY}, "matplotlib"}} & loaded))
atexit.register(tell)
sys.argv[0] = {str(ROOT / "infer.py")!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
LACKING = """
import runpy, sys
sys.modules.update(dict.fromkeys({names}))
sys.argv = {words}
runpy.{how}({name!r}, run_name="__main__"{more})
"""
SIDE = 24


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """The paths of a tiny net's two files."""
    weights = write_weights(tmp_path_factory.mktemp("net") / "net.safetensors")
    return weights, export(weights, weights.with_suffix(".onnx")).path


@pytest.fixture(scope="module")
def mapless(tmp_path_factory):
    """The path of the ONNX file of a net that has no maps."""
    weights = write_weights(tmp_path_factory.mktemp("vgg") / "net.safetensors", VGG)
    return export(weights, weights.with_suffix(".onnx")).path


def refusal(function, *arguments, **named):
    with pytest.raises(UserError) as caught:
        function(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def loaded(folder, *words):
    """Return what of torch and the like `infer.py` imports."""
    command = [sys.executable, "-c", TOLD, *words, "detector=haar"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()[-1].split()[1:]


# --- without torch ---


def test_a_photo_with_its_heatmap_needs_no_torch(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), scene())
    assert loaded(tmp_path, "input=a.png", "output=b.png", "draw.heatmap=true") == []
    assert len(records(tmp_path / "b.jsonl")[0]["faces"]) == 2
    assert (cv2.imread(str(tmp_path / "b.png")) != scene()).any(2).mean() > 0.05


@pytest.mark.slow
def test_a_clip_needs_no_torch_and_matplotlib_for_its_timeline_alone(tmp_path):
    write_clip(tmp_path / "a.mp4", frames=4, picture=scene)
    assert loaded(tmp_path, "input=a.mp4", "output=b.mp4") == ["matplotlib"]
    assert len(records(tmp_path / "b.jsonl")) == 4


@pytest.mark.slow
def test_a_stream_needs_no_torch(tmp_path, server):
    server.file = write_clip(tmp_path / "a.mp4", frames=4, picture=scene).read_bytes()
    words = ("mode=webcam", "show=false", f"input=http://{server.place}/a.mp4", "output=b.mp4")
    assert loaded(tmp_path, *words) == ["matplotlib"]
    assert records(tmp_path / "b.jsonl")


def test_the_predictor_and_a_shipped_net_need_no_torch():
    code = (
        "import sys, numpy; from fer import Predictor; net = Predictor.load('fer2013'); "
        "net.explain(numpy.zeros((48, 48), numpy.uint8)); "
        f"print({{*sys.modules}} & {{*{HEAVY}}}, net.classes[0])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (found.stdout, found.stderr) == ("set() angry\n", "")


# --- the same answers ---


@pytest.mark.parametrize("count", [0, 1, 5, 20])
def test_both_engines_answer_and_explain_alike(nets, monkeypatch, count):
    monkeypatch.setattr("fer.inference.predictor.BATCH", 8)
    faces = draw_faces(max(count, 1), SIDE, seed=3)[0][:count]
    by_torch, by_onnx = (Predictor.load(path, "cpu") for path in nets)
    assert (by_onnx.classes, by_onnx.input_size, by_onnx.device) == (class_names(6), SIDE, "cpu")
    for target in (None, "happy"):
        for ours, theirs in zip(
            by_onnx.look(faces, "gradcam", target), by_torch.look(faces, "gradcam", target), strict=True
        ):
            assert ours.shape == theirs.shape and ours.dtype == theirs.dtype == np.float32
            assert ours == pytest.approx(theirs, abs=1e-3)
    assert np.array_equal(by_onnx.predict(faces), by_onnx.look(faces, "gradcam")[0])


def test_both_engines_leave_the_same_records_of_a_clip(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", frames=6, picture=scene)
    seen = []
    for suffix in ("onnx", "safetensors"):
        words = [f"input={clip}", "detector=haar", f"weights={WEIGHTS / 'ferplus'}.{suffix}"]
        config = check_jobs(Command(CONF, "infer", words), InferConfig)[0].config
        net = Predictor.load(config.weights, config.device)
        pipeline = Pipeline(config, net, make_detector(config.detector, print))
        with VideoReader(clip) as frames:
            seen.append([one for frame in frames for one in pipeline.look(frame, pipeline.find(frame))])
    assert len(seen[0]) == len(seen[1]) >= 6
    for ours, theirs in zip(*seen, strict=True):
        assert (ours.track, ours.face.box, ours.emotion) == (theirs.track, theirs.face.box, theirs.emotion)
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-3)
        assert ours.heatmap == pytest.approx(theirs.heatmap, abs=1e-3)


def test_names_of_shipped_nets_mean_their_onnx_files_to_run():
    assert type(Predictor.load("ferplus").engine).__name__ == "OnnxEngine"
    assert type(Predictor.load("weights/ferplus.safetensors").engine).__name__ == "TorchEngine"


def test_threads_share_one_and_processes_get_their_own(nets):
    net, faces = Predictor.load(nets[1]), draw_faces(4, SIDE)[0]
    expected = net.look(faces, "gradcam")
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(lambda _: net.look(faces, "gradcam"), range(12)):
            assert all(np.allclose(*pair, atol=1e-5) for pair in zip(found, expected, strict=True))
    assert np.array_equal(pickle.loads(pickle.dumps(net)).predict(faces), expected[0])


def test_threads_are_as_many_as_asked_for(nets):
    threads = [Predictor.load(nets[1], threads=n).engine.session.get_session_options().intra_op_num_threads
               for n in (None, 1)]  # fmt: skip
    assert threads == [0, 1]


# --- what a file cannot do ---


def test_other_explainers_are_told_to_need_the_weights_file(nets, mapless):
    faces = draw_faces(1, SIDE)[0]
    said = refusal(Predictor.load(nets[1]).explain, faces, explainer="layercam")
    assert said.startswith(
        "explainer=layercam: expected one of gatedcam, gradcam, none, as net.onnx holds no others: take "
    )
    assert f"take weights={nets[0]}, for which PyTorch is needed" in said and said.endswith('".[train]")')
    assert "did you mean gradcam?" in refusal(Predictor.load(nets[1]).explain, faces, explainer="grad-cam")
    net = Predictor.load(mapless)
    assert net.predict(faces).shape == (1, 6)
    assert refusal(net.explain, faces).startswith("explainer=auto: expected none, as net.onnx holds no others")


def test_a_layer_is_chosen_of_the_weights_file_alone(nets):
    faces = draw_faces(2, SIDE)[0]
    said = refusal(Predictor.load(nets[1]).explain, faces, layer=1)
    assert said.startswith("explainer.layer=1: expected null, as net.onnx holds the maps of one layer: take weights=")
    net = Predictor.load(nets[0], "cpu")
    assert refusal(net.explain, faces, layer=3) == (
        "explainer.layer=3: expected one of the net's layers, from 1 to 2, or null for the last"
    )
    fine, coarse = (net.explain(faces, explainer="layercam", layer=layer) for layer in (1, 2))
    assert not np.allclose(fine, coarse) and np.array_equal(coarse, net.explain(faces, explainer="layercam"))


def test_a_file_of_an_older_version_shows_grad_cam(nets, tmp_path):
    model = onnx.load(nets[1])
    kept = [output for output in model.graph.output if output.name != "maps"]
    for node in model.graph.node:  # as it was: Grad-CAM's maps under the name of today's
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = {"maps": "gated", "gradcam": "maps"}.get(name, name)
    kept[1].name = "maps"
    del model.graph.output[:]
    model.graph.output.extend(kept)
    onnx.save(model, tmp_path / "old.onnx")
    old, faces = Predictor.load(tmp_path / "old.onnx"), draw_faces(3, SIDE)[0]
    assert old.engine.explainers == ("gradcam",)
    expected = Predictor.load(nets[1]).explain(faces, explainer="gradcam")
    assert np.array_equal(old.explain(faces), expected) and np.array_equal(
        old.explain(faces, None, "gradcam"), expected
    )
    assert refusal(old.explain, faces, None, "gatedcam").startswith("explainer=gatedcam: expected one of gradcam, none")


def test_the_command_says_so_before_any_work(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), scene())
    words = ["input=a.png", "output=b.png", "detector=haar", "explainer=eigencam"]
    found = subprocess.run([sys.executable, ROOT / "infer.py", *words], capture_output=True, text=True, cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr.startswith(
        "error: explainer=eigencam: expected one of gatedcam, gradcam, none, as ferplus.onnx"
    )
    assert found.stderr.count("\n") == 1 and [path.name for path in tmp_path.iterdir()] == ["a.png"]


def changed(path, place, change):
    """Write a net with a change to its model."""
    model = onnx.load(path)
    change(model)
    onnx.save(model, place)
    return place


def says(model, **texts):
    for entry in model.metadata_props:
        entry.value = texts.get(entry.key, entry.value)


def damaged(model):
    model.graph.node[-1].op_type = "Nope"


CHANGES = {
    "other classes": (lambda model: says(model, classes=json.dumps(class_names(7))), "says, but it has others"),
    "another size": (lambda model: says(model, input_size="32"), "expected a net of faces of 32 pixels"),
    "no probabilities": (lambda model: model.graph.output.pop(0), "says, but it has others"),
    "an operation of no kind": (damaged, "expected a net that ONNX Runtime can run, but it cannot"),
    "no net": (lambda model: model.graph.Clear(), "expected a net"),
}


@pytest.mark.parametrize(("change", "sentence"), CHANGES.values(), ids=CHANGES)
def test_a_damaged_net_is_refused_in_a_sentence(nets, tmp_path, change, sentence):
    said = refusal(Predictor.load, changed(nets[1], tmp_path / "net.onnx", change))
    assert said.startswith(f"weights={tmp_path / 'net.onnx'}: ") and sentence in said


def test_a_net_that_fails_at_work_is_told(nets, tmp_path):
    def narrow(model):  # the mean over what is not there
        [softmax] = [node for node in model.graph.node if node.op_type == "Softmax"]
        shape = onnx.helper.make_tensor("wrong", onnx.TensorProto.INT64, [2], [7, 6])
        model.graph.initializer.append(shape)
        model.graph.node.insert(
            len(model.graph.node) - 1, onnx.helper.make_node("Reshape", [softmax.input[0], "wrong"], ["reshaped"])
        )
        softmax.input[0] = "reshaped"

    net = Predictor.load(changed(nets[1], tmp_path / "net.onnx", narrow))
    assert "expected a net that ONNX Runtime can run, but it cannot" in refusal(net.predict, draw_faces(1, SIDE)[0])


# --- devices ---


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        ("cuda", "expected an ONNX Runtime with CUDAExecutionProvider, but this one has CPUExecutionProvider: install "
                 "onnxruntime-gpu in the place of onnxruntime, or use device=auto"),
        ("openvino", "install onnxruntime-openvino in the place of onnxruntime"),
        ("coreml", "install onnxruntime on a Mac, or use device=auto"),
        ("mps", "expected one of auto, cpu, cuda, coreml, openvino for an .onnx file, but mps is PyTorch's: take the "
                ".safetensors file"),
        ("opnvino", "expected one of auto, cpu, cuda, coreml, openvino; did you mean openvino?"),
        ("cpu:1", "expected cpu"),
    ],
)  # fmt: skip
def test_a_device_that_is_not_there_is_named(nets, monkeypatch, device, sentence):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    said = refusal(Predictor.load, nets[1], device)
    assert said.startswith(f"device={device}: ") and sentence in said


def test_a_device_of_onnx_runtime_is_none_of_torch(nets):
    assert "but coreml is ONNX Runtime's: take the .onnx file" in refusal(Predictor.load, nets[0], "coreml")


def test_the_best_device_is_taken(monkeypatch):
    for there, expected in (
        (["CUDAExecutionProvider", "CPUExecutionProvider"], "CUDAExecutionProvider"),
        (["CoreMLExecutionProvider", "CPUExecutionProvider"], "CPUExecutionProvider"),
    ):
        monkeypatch.setattr("onnxruntime.get_available_providers", lambda there=there: there)
        assert engine._provider("auto") == (expected, {})
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    assert engine._provider("cuda:1") == ("CUDAExecutionProvider", {"device_id": "1"})


def test_a_device_that_does_not_start_is_told_and_auto_takes_the_cpu(nets, monkeypatch):
    monkeypatch.setattr(
        "onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    assert Predictor.load(nets[1], "auto").device == "cpu"
    assert "its CUDAExecutionProvider does not start" in refusal(Predictor.load, nets[1], "cuda")


# --- what is not installed ---

COMMANDS = {
    "train.py dataset=synthetic": extras.EXTRAS["train"][0],
    "python -m fer.evaluation.report runs": "torch",
    "python -m fer.evaluation.card runs --output a.md": "torch",
    "python -m fer.evaluation.detector_cost fer2013 data": "torch",
    "python -m fer.evaluation.crop_margins data": "torch",
    "python -m fer.inference.benchmark a.mp4": "torch",
    "python -m fer.evaluation.suspects sweeps": "torch",
    "python -m fer.training.benchmark": "torch",
    "python -m fer.data.benchmark": "torch",
    "python -m fer.data.inspect dataset=synthetic": "torch",
    "python -m fer.export fer2013 --output a.onnx": "torch",
    "infer.py input=a.png output=b.png weights=fer2013.safetensors": "weights=fer2013.safetensors: expected torch",
}


def without(names, line, folder):
    """Run a command where these libraries are missing."""
    words = line.split()
    is_module = words[0] == "python"
    name = words[2] if is_module else str(ROOT / words[0])
    words = [name, *words[3 if is_module else 1 :]]
    how, more = ("run_module", ", alter_sys=True") if is_module else ("run_path", "")
    code = LACKING.format(names=list(names), words=words, how=how, name=name, more=more)
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize(("line", "says"), COMMANDS.items())
def test_a_command_whose_extra_is_missing_says_so(tmp_path, line, says):
    cv2.imwrite(str(tmp_path / "a.png"), scene())
    (tmp_path / "fer2013.safetensors").write_bytes((WEIGHTS / "fer2013.safetensors").read_bytes())
    found = without((*HEAVY, "optuna", "tensorboard"), line, tmp_path)
    assert found.returncode == 2, found.stderr
    last = found.stderr.splitlines()[-1]
    assert says in last and 'but found nothing: pip install -e ".[train]"' in last
    assert "Traceback" not in found.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "fer2013.safetensors"}


@pytest.mark.parametrize("line", ["train.py --help", "infer.py --help"])
def test_help_pages_need_no_extra(tmp_path, line):
    names = (
        *HEAVY,
        "optuna",
        "tensorboard",
        "hydra_plugins.hydra_joblib_launcher",
        "hydra_plugins.hydra_submitit_launcher",
    )
    found = without(names, line, tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert len(found.stdout.splitlines()) > 30


def test_a_missing_library_is_named_with_the_command():
    assert refusal(extras.require, "train", "torch", "no_such", of="a=b").startswith("a=b: expected no_such, but found")
