"""What a weights file decides of a run: its net, its folder's name, and what is told of both."""

import json
from pathlib import Path

import pytest
import yaml

from tests.conftest import ARCHITECTURE
from tests.runs import DRAWN, configure, run, without_figures

TINY = ARCHITECTURE | {"widths": [8, 16], "depths": [1, 1], "architecture": "se_resnet"}
TINY |= {"name": "tiny", "input_size": 24}  # of tiny.safetensors
MINE = """\
# @package _global_
# chooses no net
defaults:
  - override /dataset: synthetic
  - override /augmentation: none
"""


def settings(folder: Path) -> dict:
    return yaml.safe_load((folder / ".hydra/config.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ((), {}),
        (("model.dropout=0.3", "model.input_size=32"), {"dropout": 0.3, "input_size": 32}),
        (("experiment=debug", "model=weights"), {}),
    ],
)
def test_a_training_that_starts_from_weights_takes_their_net(words, changed, weights, train, task):
    assert train("dataset=synthetic", f"weights={weights}", *words).code == 0
    [(config, folder)] = task.calls
    assert settings(folder)["model"] == TINY | changed
    assert config.model.model_dump(mode="json") == TINY | changed
    assert folder.name.endswith("synthetic_mid_tiny_seed1")
    assert "model=weights" in yaml.safe_load((folder / ".hydra/overrides.yaml").read_text(encoding="utf-8"))
    assert train("dataset=synthetic", f"weights={weights}", *words, f"resume={folder}").code == 0
    assert task.calls[1] == (config.model_copy(update={"resume": folder}), folder)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("model=laptop",), "laptop"),
        (("experiment=fer2013_none", "dataset=synthetic"), "small"),
        (("weights=null",), "tiny"),
    ],
)
def test_a_net_that_is_chosen_stays(words, name, weights, train, task):
    start = () if "weights=null" in words else (f"weights={weights}",)
    assert train("dataset=synthetic", *start, *words).code == 0
    assert task.calls[0][0].model.name == name
    assert task.calls[0][0].model.depths != (1, 1)


def test_an_own_experiment_counts_if_it_chooses_a_net(weights, train, task, tmp_path):
    (tmp_path / "own/experiment").mkdir(parents=True)
    for name, more in {"mine": "", "yours": "  - override /model: laptop\n"}.items():
        (tmp_path / f"own/experiment/{name}.yaml").write_text(MINE + more)
        assert train("--config-dir", "own", f"experiment={name}", f"weights={weights}").code == 0
    assert [config.model.name for config, _ in task.calls] == ["tiny", "laptop"]


def test_each_job_of_a_sweep_takes_the_net_of_its_own_weights(weights, train, task, tmp_path):
    (tmp_path / "other.safetensors").write_bytes(weights.read_bytes())
    assert train("-m", "dataset=synthetic", f"weights={weights},other.safetensors", "hydra.sweep.dir=s").code == 0
    assert [config.model.name for config, _ in task.calls] == ["tiny", "other"]
    assert {config.model.widths for config, _ in task.calls} == {(8, 16)}
    assert all("model" not in folder.name for _, folder in task.calls)


def test_files_that_hold_no_net_are_one_sentence_beside_the_other_mistakes(weights, train, tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(weights.read_bytes()[:50])
    for words in (("fit=false",), ()):
        result = train("dataset=synthetic", "weights=bad.safetensors", "seed=-1", *words)
        assert result.code == 2
        assert "weights=bad.safetensors: expected a safetensors file" in result.err
        assert "seed: expected at least 0" in result.err
        assert "model" not in result.err
    assert "weights is null: add weights=FILE" in train("dataset=synthetic", "model=weights").err


def test_an_evaluation_is_named_by_what_is_evaluated(weights, train, task):
    assert train("dataset=synthetic", "fit=false", f"weights={weights}", "experiment=laptop").code == 0
    [(_, folder)] = task.calls
    assert folder.name.endswith("_eval_tiny_on_synthetic")
    found = settings(folder)
    assert found["model"] == TINY
    assert found["augmentation"] == {"name": "none", "transforms": {}}


def test_an_evaluation_s_figures_tell_its_own_command_beside_the_training_s(weights, train, task, monkeypatch):
    from fer.weights import Header, load_net, save_weights

    net, header = load_net(weights)
    learned = {"dataset": "folder", "augmentation": "mid", "model": "../x", "command": "python train.py dataset=folder"}
    save_weights(Path("mine.safetensors"), net.state_dict(), Header(**vars(header) | {"training": learned}))
    assert train(*DRAWN, "fit=false", "weights=mine.safetensors", "tta=flip").code == 0
    config, folder = task.calls[0]
    assert config.model.name == "mine"  # not what would name a folder elsewhere
    without_figures(monkeypatch)
    run(config, folder)
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert (found["command"], found["model"]) == (learned["command"], "../x")
    assert found["evaluation_command"] == f"python train.py {' '.join(DRAWN)} fit=false weights=FILE tta=flip"


def test_the_last_of_a_long_row_of_fine_tunings_are_told(weights, tmp_path, monkeypatch, capsys):
    from fer.weights import Header, load_net, read_weights, save_weights

    net, header = load_net(weights)
    started = None
    for number in range(180):
        started = {"name": f"{number}.safetensors"} | ({"started_from": started} if started else {})
    header = Header(**vars(header) | {"training": {"dataset": "folder", "started_from": started}})
    save_weights(tmp_path / "old.safetensors", net.state_dict(), header)
    without_figures(monkeypatch)
    run(configure("trainer.max_epochs=1", f"weights={tmp_path / 'old.safetensors'}", "test=false"), tmp_path / "run")
    training, names = read_weights(tmp_path / "run/weights.safetensors")[1].training, []
    while training := training.get("started_from"):
        names.append(training["name"])
    assert names == ["old.safetensors", *(f"{number}.safetensors" for number in range(179, 160, -1))]
    assert f"net       from {tmp_path / 'old.safetensors'}: tiny, " in capsys.readouterr().out
