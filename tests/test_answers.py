"""A weights file learns from validation what its probabilities mean, and which of them are too low for an answer."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from fer import load_dataset
from fer.config.settings_file import completed
from fer.emotions import class_names
from fer.errors import UserError
from fer.evaluation import calibrate
from fer.header import LARGEST, read_header
from fer.onnx_file import read_metadata
from fer.training.run import prepare
from fer.weights import digest, read_weights, save_weights
from tests.data import write_class_folders, write_fer2013_csv, write_ferplus_csv
from tests.runs import DRAWN, configure, run, tensors, without_figures

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
    file.with_suffix(".md").write_text(f"| `net.safetensors` | `{digest(file)}` |")
    calibrate.main([str(file), *WORDS, "not_sure_accuracy=0"])
    again = read_header(file)
    assert (again.temperature, again.not_sure, again.metrics["val/coverage"]) == (header.temperature, 0, 1)
    assert digest(file) in file.with_suffix(".md").read_text()
    assert again.metrics["test/accuracy"] == 0.5 and again.training["not_sure_accuracy"] == 0


def test_an_accuracy_that_no_threshold_reaches_is_said_and_another_file_can_be_written(file, capsys):
    before, other = file.read_bytes(), file.with_name("other.safetensors")
    calibrate.main([str(file), *WORDS, "not_sure_accuracy=0.999", "--output", str(other)])
    header = read_header(other)
    assert header.metrics["val/coverage"] >= 0.5 and header.metrics["val/selective_accuracy"] < 0.999
    assert "99.9 % right answers were asked for, which" in capsys.readouterr().out
    assert file.read_bytes() == before


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
        (["--output", "net.bin"], "--output net.bin: expected the name of a .safetensors file"),
        (["--output", "none/net.safetensors"], "in a folder that is there"),
    ],
)
def test_what_cannot_be_calibrated_is_said_and_the_file_stays(file, capsys, words, sentence):
    before = file.read_bytes()
    with pytest.raises(SystemExit, match="2"):
        calibrate.main([str(file), *WORDS, *words])
    assert sentence in capsys.readouterr().err
    assert file.read_bytes() == before


# Faces of none of the classes


def test_settings_that_came_later_are_those_that_older_runs_had():
    assert completed({"dataset.name": "fer2013", "seed": 1})["dataset.others"] == "drop"
    assert "dataset.others" not in completed({"dataset.name": "synthetic"})
    assert completed({"dataset.name": "folder", "dataset.others": "uniform"})["dataset.others"] == "uniform"


def test_training_faces_of_other_classes_teach_that_none_is_sure(tmp_path, monkeypatch, capsys):
    without_figures(monkeypatch)
    write_class_folders(tmp_path / "data", class_names(7), per_class=4)
    words = ("dataset=folder", f"dataset.root={tmp_path / 'data'}", "dataset.classes=6", "trainer.max_epochs=1")
    run(configure(*words, "dataset.others=uniform"), tmp_path / "run")
    assert "none of these: training faces 4 of neutral, with equal shares as targets" in capsys.readouterr().out
    found = json.loads((tmp_path / "run/metrics.json").read_text())
    assert (found["others"], found["test_others/n"], found["val_others/n"]) == ("uniform", 4, 4)
    assert all(0 <= found[f"test_others/{name}"] <= 1 for name in ("confidence", "answered", "auroc"))
    assert read_header(tmp_path / "run/weights.safetensors").training["others"] == "uniform"


def test_where_there_are_no_others_none_can_be_trained(tmp_path):
    write_class_folders(tmp_path / "data", class_names(6))
    words = ("dataset=folder", f"dataset.root={tmp_path / 'data'}", "dataset.others=uniform")
    with pytest.raises(UserError, match=r"dataset.others=uniform: expected training faces of other classes than angry"):
        prepare(configure(*words))
    with pytest.raises(ValidationError, match="expected labels other than multi"):
        configure("dataset=ferplus", "dataset.labels=multi", "dataset.others=uniform")


@pytest.mark.parametrize(("write", "others"), [(write_fer2013_csv, 6), (write_ferplus_csv, 12)])
def test_faces_of_other_classes_are_read_apart(tmp_path, write, others):
    write(tmp_path)
    table = load_dataset("ferplus" if others == 12 else "fer2013", tmp_path, size=32, classes=6)
    assert len(table.other_faces) == table.others.total() == others
    assert not set(table.other_faces.rows) & set(table.rows)
    assert table.other_faces.images.shape[1:] == (32, 32)
