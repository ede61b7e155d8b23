"""Two processes train one net: one result over all faces, and an end for both when one of them fails."""

import csv
import json

import pytest

from tests.runs import command, configure, run, start, wait_until_gone, without_figures

pytestmark = pytest.mark.slow
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "batch_size=8")


def scores(folder):
    found = json.loads((folder / "metrics.json").read_text())
    return {key: value for key, value in found.items() if key.startswith(("val", "test"))}


def test_two_processes_end_with_one_result_over_all_faces(tmp_path, monkeypatch):
    words = ("dataset.val=25", "dataset.test=31", "ema=0.9", "tta=flip")  # neither divides by two nor by the batch
    code, out, err = command(*TWO, *words, "workers=1", f"hydra.run.dir={tmp_path / 'two'}")
    assert (code, err) == (0, "")
    assert out.count("epoch   2/2") == out.count("done in") == 1
    with (tmp_path / "two" / "predictions.csv").open() as file:
        indices = [row["index"] for row in csv.DictReader(file)]
    assert len(indices) == len(set(indices)) == 31
    without_figures(monkeypatch)
    weights = f"weights={tmp_path / 'two' / 'weights.safetensors'}"
    run(configure("fit=false", weights, *words[:2], "tta=flip"), tmp_path / "one")
    assert scores(tmp_path / "two")["test/n"] == 31
    assert scores(tmp_path / "two") == pytest.approx(scores(tmp_path / "one"), abs=1e-6)


def test_a_failure_ends_all_processes(tmp_path):
    process = start(*TWO, "optimizer.lr=1e30", "gradient_clip=0", f"hydra.run.dir={tmp_path}")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "no longer finite" in err
    wait_until_gone(process.pid)
    assert not (tmp_path / "metrics.json").exists()
