"""The header of an ONNX file is that of the weights file it was made from, and what is no such file is refused."""

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from fer.errors import UserError
from fer.header import LARGEST, ONNX_FORMAT, read_header, readable_weights
from fer.onnx_file import FIELDS, read_metadata
from fer.paths import WEIGHTS, exported, shipped
from fer.weights import load_net
from tests.runs import ROOT

FERPLUS = WEIGHTS / "ferplus.onnx"


def write_model(path, texts):
    """Write a model of no use, with entries."""
    graph = onnx.helper.make_graph([], "empty", [], [])
    model = onnx.helper.make_model(graph)
    onnx.helper.set_model_props(model, texts)
    path.write_bytes(model.SerializeToString())
    return path


def texts(**changes):
    return read_metadata(FERPLUS, LARGEST) | changes


def refusal(path, function=read_header):
    with pytest.raises(UserError) as caught:
        function(path)
    assert str(caught.value).startswith(f"weights={path}: ") and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", shipped())
def test_the_header_is_that_of_the_weights_file(name):
    file = WEIGHTS / f"{name}.safetensors"
    assert read_header(exported(file)) == read_header(file)


def test_it_is_read_without_any_library_of_nets():
    code = (
        f"import sys; from pathlib import Path; from fer.header import read_header\nread_header(Path({str(FERPLUS)!r}))"
    )
    heavy = "{'torch', 'onnx', 'onnxruntime', 'numpy.linalg', 'cv2', 'hydra'} & set(sys.modules)"
    found = subprocess.run([sys.executable, "-c", f"{code}\nprint({heavy})"], capture_output=True, text=True, cwd=ROOT)
    assert (found.stdout, found.stderr) == ("set()\n", "")


def test_entries_are_read_as_the_library_writes_them(tmp_path):
    written = {"": "no key", "empty": "", "long": "x" * 300, "other letters": "é 漢 \n"}
    assert read_metadata(write_model(tmp_path / "a.onnx", written), LARGEST) == written
    assert read_metadata(write_model(tmp_path / "b.onnx", {}), LARGEST) == {}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": "fer-weights-1"}, "of this project, but it was not written by python -m fer.export"),
        ({"input_size": "7"}, "the file's header is wrong: input_size"),
        ({"classes": "[" * 1000}, "expected at most 200 levels of classes in the file's header"),
        ({"architecture": json.dumps({"name": "strange"})}, "the file's header is wrong: architecture"),
    ],
)
def test_a_wrong_header_is_refused_as_in_a_weights_file(tmp_path, changes, sentence):
    assert sentence in refusal(write_model(tmp_path / "net.onnx", texts(**changes)))


def test_the_net_of_others_is_refused(tmp_path):
    assert "but it was not written by python -m fer.export" in refusal(write_model(tmp_path / "net.onnx", {}))


@pytest.mark.parametrize(
    "content", [b"", b"no net", b"\x80\x04pickle", b"{}", bytes(100), b"\xff" * 100, b"\x72\xff\x01"]
)
def test_a_file_of_another_type_is_refused(tmp_path, content):
    (tmp_path / "net.onnx").write_bytes(content)
    assert "ONNX file" in refusal(tmp_path / "net.onnx")


def test_a_file_that_is_cut_short_is_refused_wherever_it_ends(tmp_path):
    whole, entries = write_model(tmp_path / "net.onnx", texts()).read_bytes(), list(texts().items())
    fewer = {len(write_model(tmp_path / "net.onnx", dict(entries[:n])).read_bytes()) for n in range(len(entries))}
    for end in {*range(1, 60), *range(60, len(whole), len(whole) // 150)} - fewer:  # between entries it is a whole file
        (tmp_path / "net.onnx").write_bytes(whole[:end])
        refusal(tmp_path / "net.onnx")


def test_too_much_is_refused_before_it_is_read(tmp_path):
    path = write_model(tmp_path / "net.onnx", {"a": "x" * 2000})
    with pytest.raises(ValueError, match="metadata that fits in memory"):
        read_metadata(path, 1000)
    (tmp_path / "net.onnx").write_bytes(b"\x08\x00" * (FIELDS + 1))
    assert "ONNX file" in refusal(path)
    (tmp_path / "net.onnx").write_bytes(b"\x72\xff\xff\xff\xff\xff\xff\xff\x7f")  # an entry of 2**56 bytes
    assert "cut short" in refusal(path)


def test_what_is_trained_on_or_evaluated_has_to_be_a_weights_file(train):
    sentence = "but an ONNX file can only be run: take the weights file that it was made from"
    assert sentence in refusal(FERPLUS, load_net)
    assert sentence in refusal(FERPLUS, readable_weights)
    assert readable_weights(FERPLUS, onnx=True) == FERPLUS
    found = train("dataset=synthetic", f"weights={FERPLUS}", "fit=false")
    assert found.code == 2 and found.err.count(sentence) == found.err.count("\n") == 1


def test_a_file_that_is_not_there_is_told_with_both_kinds(tmp_path):
    assert "expected a .safetensors or .onnx file or one of fer2013, fer2013-7, ferplus, but there" in refusal(
        tmp_path / "no.onnx"
    )
    assert "it is a folder" in refusal(Path(tmp_path))


def test_the_format_is_its_own():
    assert texts()["format"] == ONNX_FORMAT
