"""A weights file learns from validation what its probabilities mean, and which of them are too low for an answer."""

import json
from dataclasses import replace

import pytest

from fer.evaluation import calibrate
from fer.header import LARGEST, read_header
from fer.onnx_file import read_metadata
from fer.weights import read_weights, save_weights
from tests.runs import DRAWN, tensors

WORDS = (*DRAWN, "trainer.accelerator=cpu")


@pytest.fixture
def file(weights, tmp_path):
    """An older file of a tiny net, with figures of its training, and without a threshold."""
    state, header = read_weights(weights)
    facts = {"training": {"dataset": "synthetic"}, "metrics": {"test/accuracy": 0.5, "val/accuracy": 0.4}}
    save_weights(tmp_path / "net.safetensors", state, replace(header, temperature=3.0, **facts))
    return tmp_path / "net.safetensors"


def test_temperature_and_threshold_are_fitted_on_validation_and_kept_in_the_file(file, capsys):
    before = tensors(file)
    file.with_suffix(".md").write_text("# net.safetensors")
    calibrate.main([str(file), *WORDS])
    out, header = capsys.readouterr().out, read_header(file)
    assert tensors(file) == before
    assert header.temperature != 3 and header.metrics["val/coverage"] >= 0.5
    assert f"temperature: 3 -> {header.temperature:g}" in out
    assert f"not sure: below 0.0 % -> {100 * header.not_sure:.1f} %" in out
    assert "net.md is of the file as it was" in out
    assert header.training == {"dataset": "synthetic", "not_sure_accuracy": 0.9, "calibrated_on": "synthetic"}
    assert "test/accuracy" not in header.metrics  # its probabilities were others

    save_weights(file, read_weights(file)[0], replace(header, metrics={"test/accuracy": 0.5}))
    calibrate.main([str(file), *WORDS, "not_sure_accuracy=0"])
    again = read_header(file)
    assert (again.temperature, again.not_sure, again.metrics["val/coverage"]) == (header.temperature, 0, 1)
    assert again.metrics["test/accuracy"] == 0.5 and again.training["not_sure_accuracy"] == 0


def test_the_onnx_file_beside_the_weights_is_written_anew(file, capsys):
    pytest.importorskip("onnx")
    beside = file.with_suffix(".onnx")
    beside.touch()
    calibrate.main([str(file), *WORDS])
    about = read_metadata(beside, LARGEST)
    assert json.loads(about["not_sure"]) == read_header(beside).not_sure == read_header(file).not_sure
    assert f"{beside}: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["not_sure_accuracy=1"], "not_sure_accuracy: expected less than 1, but got 1"),
        (["dataset=nothing"], "dataset=nothing"),
    ],
)
def test_what_cannot_be_calibrated_is_said_and_the_file_stays(file, capsys, words, sentence):
    before = file.read_bytes()
    with pytest.raises(SystemExit, match="2"):
        calibrate.main([str(file), *WORDS, *words])
    assert sentence in capsys.readouterr().err
    assert file.read_bytes() == before
