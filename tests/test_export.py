"""The ONNX file of a net answers as the net does, says all that an answer needs, and is not written otherwise."""

import json
import re
import tomllib
from dataclasses import replace
from importlib.util import find_spec

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from fer import extras
from fer.data.synthetic import draw_faces
from fer.emotions import class_names
from fer.export import graph, proof
from fer.export.__main__ import main
from fer.export.onnx import export
from fer.header import LARGEST, ONNX_FORMAT, Header
from fer.inference.predictor import Predictor
from fer.models.factory import build_net
from fer.models.maps import finish
from fer.onnx_file import read_metadata
from fer.paths import WEIGHTS, exported, shipped
from fer.terms import NOT_FOR
from fer.weights import digest, read_weights, rounded, save_weights
from tests.conftest import ARCHITECTURE
from tests.runs import ROOT, configure, run, without_figures

VGG = {"name": "vgg", "widths": (8, 16), "depths": (1, 1), "hidden": 8, "dropout": 0.1}
SIDE = 24


def write_weights(path, architecture=ARCHITECTURE, side=SIDE):
    """Write a net whose batch norms and answers are away from their start."""
    torch.manual_seed(0)
    net = build_net(6, architecture)
    for _ in range(8):
        net(torch.randn(16, 1, side, side))
    with torch.no_grad():
        net.head.weight *= 50  # answers that differ
    header = Header(class_names(6), side, 0.4, 0.3, architecture, 1.5, {"dataset": "fer2013", "seed": 1})
    save_weights(path, rounded(net.state_dict()), header)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("export") / "net.safetensors")


@pytest.fixture(scope="module")
def net(weights):
    """The path of its ONNX file."""
    return export(weights, exported(weights)).path


def answers(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"faces": images[:, None].astype(np.float32)}), strict=True))


@pytest.mark.parametrize("count", [1, 2, 16])
def test_it_answers_and_explains_as_the_predictor_does_any_number_of_faces(weights, net, count):
    images = draw_faces(count, SIDE, seed=3)[0]
    found, predictor = answers(net, images), Predictor.load(weights, "cpu")
    probabilities, coarse = predictor.look(images, "gradcam")
    assert found["probabilities"] == pytest.approx(probabilities, abs=1e-5)
    assert probabilities.std(1).min() > 0.05  # no answer that any net would give
    for output, heatmaps in {"maps": predictor.look(images, "gatedcam")[1], "gradcam": coarse}.items():
        chosen = found[output][np.arange(count), probabilities.argmax(1)]
        assert finish(chosen, SIDE) == pytest.approx(heatmaps, abs=1e-3)
        assert found[output].min() < 0 < found[output].max()
    assert found["maps"].shape[3] == 2 * found["gradcam"].shape[3]


def test_the_means_of_grad_cams_maps_the_bias_and_the_temperature_make_the_probabilities(weights, net):
    state, header = read_weights(weights)
    found = answers(net, draw_faces(5, SIDE)[0])
    logits = (found["gradcam"].mean((2, 3)) + state["head.bias"].numpy()) / header.temperature
    assert found["probabilities"] == pytest.approx(torch.from_numpy(logits).softmax(1).numpy(), abs=1e-6)


def test_it_says_all_that_the_weights_file_says_and_what_other_programs_need_beside(weights, net):
    texts, header = read_metadata(net, LARGEST), read_weights(weights)[1]
    assert texts == onnxruntime.InferenceSession(net).get_modelmeta().custom_metadata_map
    assert {name: texts[name] for name in header.texts()} == header.texts()
    assert texts.pop("format") == ONNX_FORMAT
    others = {name: json.loads(text) for name, text in texts.items() if name not in header.texts()}
    conf = re.findall(r"^  (margin|shift): (\S+)", (ROOT / "conf/infer.yaml").read_text(), re.M)
    assert others == {
        "crop": {name: float(value) for name, value in conf},
        "weights_sha256": digest(weights),
        "licence": others["licence"],
        "not_for": NOT_FOR,
    }
    card = exported(WEIGHTS / "fer2013").with_suffix(".md").read_text(encoding="utf-8")
    assert all(f"\n{others[name]}\n" in card for name in ("licence", "not_for"))


def test_it_is_one_file_in_half_precision_and_the_same_bytes_again(weights, net, tmp_path):
    again = export(weights, tmp_path / "net.onnx").path
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    assert again.read_bytes() == net.read_bytes()
    tensors = onnx.load(net).graph.initializer
    assert {tensor.data_type for tensor in tensors if len(tensor.dims) > 1} == {onnx.TensorProto.FLOAT16}
    assert str(ROOT).encode() not in net.read_bytes()  # nothing of this machine


def test_weights_that_half_precision_would_round_are_kept_whole(tmp_path):
    torch.manual_seed(0)
    net = build_net(6, ARCHITECTURE)
    model = graph.make_model(graph.Answer(net, Header(class_names(6), SIDE, 0.4, 0.3, ARCHITECTURE)))
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kinds["net.stem.0.weight"] == onnx.TensorProto.FLOAT


def test_opencv_answers_the_same(net):
    images = draw_faces(1, SIDE)[0]
    model = cv2.dnn.readNetFromONNX(str(net))
    model.setInput(images[:, None].astype(np.float32))
    found = answers(net, images)
    for name, values in zip(found, model.forward(list(found)), strict=True):
        assert values == pytest.approx(found[name], abs=1e-4)


def test_a_net_without_the_closed_form_gives_probabilities_alone_and_says_so(tmp_path):
    weights = write_weights(tmp_path / "vgg.safetensors", VGG)
    told = export(weights, tmp_path / "vgg.onnx")
    images = draw_faces(3, SIDE)[0]
    found = answers(told.path, images)
    assert list(found) == ["probabilities"]
    assert found["probabilities"] == pytest.approx(Predictor.load(weights, "cpu").predict(images), abs=1e-5)
    assert "probabilities alone, since the net does not end in a mean and one linear layer;" in str(told)


def test_a_net_of_timm_keeps_its_maps(tmp_path):
    pytest.importorskip("timm")  # an extra
    architecture = {"name": "timm", "backbone": "test_resnet", "dropout": 0.1}
    weights = write_weights(tmp_path / "timm.safetensors", architecture, side=32)
    told = export(weights, tmp_path / "timm.onnx")
    images = draw_faces(3, 32)[0]
    found = answers(told.path, images)
    assert found["probabilities"] == pytest.approx(Predictor.load(weights, "cpu").predict(images), abs=1e-5)
    assert told.has_maps and found["maps"].shape[:2] == (3, 6)


def test_the_command_says_how_large_how_near_and_how_fast(weights, tmp_path, capsys):
    main([str(weights), "--output", str(tmp_path / "net.onnx")])
    found = re.fullmatch(
        r"(.+): \d+\.\d MB, probabilities and maps; \d+\.\d ms a face on one thread; differs from PyTorch by (\S+) at "
        r"most \(limit 0\.0001\)\n",
        capsys.readouterr().out,
    )
    assert found[1] == str(tmp_path / "net.onnx")
    assert 0 < float(found[2]) < 1e-5


def warmer(answer):
    return graph.make_model(graph.Answer(answer.net, replace(answer.header, temperature=1.6)))


def other_maps(answer):
    model = graph.make_model(answer)
    [node] = [node for node in model.graph.node if "maps" in node.output]
    node.output[0] = "kept"
    for other in model.graph.node:
        other.input[:] = ["kept" if name == "maps" else name for name in other.input]
    model.graph.node.append(onnx.helper.make_node("Add", ["kept", "kept"], ["maps"]))
    return model


def not_a_model(answer):
    model = graph.make_model(answer)
    model.graph.node[-1].op_type = "NoSuchThing"
    return model


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (warmer, r"but its probabilities of faces \(n = 1\) differ by 0\.0\d+: the ONNX file was not written"),
        (other_maps, r"but its maps of faces \(n = 1\) differ by"),
        (not_a_model, r"expected a net that ONNX Runtime can run, but it cannot \(.+NoSuchThing.+\)$"),
    ],
)
def test_a_file_that_answers_otherwise_is_not_written(weights, tmp_path, monkeypatch, capsys, make, sentence):
    monkeypatch.setattr("fer.export.onnx.make_model", make)
    (tmp_path / "net.onnx").write_text("what was there")
    with pytest.raises(SystemExit, match="1"):
        main([str(weights), "--output", str(tmp_path / "net.onnx")])
    assert re.search(sentence, capsys.readouterr().err.strip())
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("net.onnx", "what was there")]


def test_answers_that_are_no_numbers_are_not_near(weights, monkeypatch):
    monkeypatch.setattr(proof, "_differences", lambda *_: {"probabilities": float("nan")})
    with pytest.raises(proof.RunError, match="differ by nan"):
        export(weights, weights.with_name("nan.onnx"))


def test_mistakes_are_told_before_any_work(weights, tmp_path, monkeypatch, capsys):
    net = str(tmp_path / "net.onnx")
    for words, sentence in (
        ([str(tmp_path / "no.safetensors"), net], "there is no such file"),
        ([str(weights), str(tmp_path / "net.pt")], "net.pt: expected a .onnx file in a folder that is there"),
        ([str(weights), str(tmp_path / "no/net.onnx")], "expected a .onnx file in a folder that is there"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main([words[0], "--output", words[1]])
        assert sentence in capsys.readouterr().err
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "onnx" else find_spec(name))
    with pytest.raises(SystemExit, match="2"):
        main([str(weights), "--output", net])
    assert 'expected onnx, but found nothing: pip install -e ".[export]"' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_net_that_the_exporter_does_not_know_is_named_in_one_line(weights, tmp_path, monkeypatch, capsys):
    def refuse(*_, **__):
        print("the whole graph")
        raise torch.onnx.errors.UnsupportedOperatorError("aten::strange", 17, None)

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(SystemExit, match="2"):
        main([str(weights), "--output", str(tmp_path / "net.onnx")])
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"net\.safetensors: expected a net that ONNX knows, but .*aten::strange.*\n$", err)


NAMES = {"pytorch_grad_cam": "grad-cam", "mlflow": "mlflow-skinny"}  # of packages, by what is imported


def test_the_extras_are_those_of_the_project():
    optional = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = {name: optional["dependencies"] + optional["optional-dependencies"][name] for name in extras.EXTRAS}
    for name, libraries in extras.EXTRAS.items():
        packages = {NAMES.get(library, library) for library in libraries}
        assert packages <= {re.match(r"[\w-]+", line)[0] for line in listed[name]}


def test_a_training_and_an_evaluation_leave_one_if_asked(tmp_path, monkeypatch):
    without_figures(monkeypatch)
    run(configure("export=true", "trainer.max_epochs=1"), tmp_path / "trained")
    weights = tmp_path / "trained/weights.safetensors"
    run(configure("fit=false", f"weights={weights}", "export=true"), tmp_path / "evaluated")
    first, second = ((tmp_path / name / "net.onnx").read_bytes() for name in ("trained", "evaluated"))
    assert first == second
    assert read_metadata(tmp_path / "trained/net.onnx", LARGEST)["weights_sha256"] == json.dumps(digest(weights))


def test_a_training_without_the_library_is_refused_before_any_work(train, task, monkeypatch):
    assert train("dataset=synthetic", "augmentation=none", "export=true").code == 0
    monkeypatch.setattr(extras, "find_spec", lambda name: None if "onnx" in name else find_spec(name))
    found = train("dataset=synthetic", "augmentation=none", "export=true")
    assert (found.code, len(task.calls)) == (2, 1)
    assert 'export=true: expected onnx and onnxruntime, but found nothing: pip install -e ".[export]"' in found.err
    assert train("dataset=synthetic", "augmentation=none").code == 0


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_file_is_what_the_command_makes_of_its_weights(name, tmp_path):
    file, again = exported(WEIGHTS / f"{name}.safetensors"), tmp_path / "net.onnx"
    export(WEIGHTS / f"{name}.safetensors", again)
    if onnx.load(file).producer_version == torch.__version__.partition("+")[0]:
        assert again.read_bytes() == file.read_bytes()
    assert read_metadata(again, LARGEST) == read_metadata(file, LARGEST)
    images = draw_faces(2, 48, seed=5)[0]
    before, now = answers(file, images), answers(again, images)
    assert all(now[key] == pytest.approx(before[key], abs=1e-4) for key in before)


def test_the_lines_of_the_readme_read_a_face_without_us(tmp_path, monkeypatch, capsys):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.search(r"^    import onnxruntime\b.*?(?=^\S)", readme, re.M | re.S)[0]
    assert not re.search(r"\b(import|from) (fer|torch)\b", lines)
    assert len(lines.split("\n    ")) <= 12
    image = draw_faces(1, 96, seed=2)[0][0]
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("face.jpg", image)
    code = re.sub(r"(?m)^    ", "", lines).replace("weights/", f"{WEIGHTS.as_posix()}/")
    names = {}
    exec(code, names)
    predictor = Predictor.load("ferplus", "cpu")
    expected = predictor.predict(["face.jpg"])[0]
    assert names["probabilities"][0] == pytest.approx(expected, abs=1e-3)
    assert capsys.readouterr().out.startswith(predictor.classes[expected.argmax()])
