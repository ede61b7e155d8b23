"""No command touches the results of an earlier run, and only its own settings continue an interrupted one."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from fer.config.jobs import Command, check_jobs
from fer.errors import UserError
from fer.schema import TrainConfig
from tests.conftest import EASY

ROOT = Path(__file__).parents[1]
AT_WORK = f"""
import time
from fer.command import main
from fer.schema import TrainConfig

def task(config, folder):
    print("at work", flush=True)
    time.sleep(600)

main({str(ROOT / "train.py")!r}, lambda: TrainConfig, lambda *_: None, task)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def earlier(tmp_path) -> Path:
    """Return the folder of an interrupted run with EASY settings."""
    folder = tmp_path / "it's (1)"
    for name in (".hydra", "checkpoints"):
        (folder / name).mkdir(parents=True)
    [job] = check_jobs(Command(ROOT / "conf", "train", list(EASY)), TrainConfig)
    (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(job.plain))
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"weights")
    return folder


@pytest.mark.parametrize("key", ["hydra.run.dir", "resume"])
def test_a_finished_run_is_never_touched(train, task, earlier, key):
    (earlier / "metrics.json").write_text("{}")
    before = contents(earlier)
    result = train(*EASY, "seed=1", f"{key}={earlier}")
    assert result.code == 2
    assert "this is a finished one: choose another folder" in result.err
    assert "to train its net on, start from weights=" in result.err
    assert contents(earlier) == before
    assert not task.calls


def test_an_interrupted_run_is_not_overwritten(train, earlier):
    before = contents(earlier)
    result = train(*EASY, f"hydra.run.dir={earlier}")
    assert result.err == (
        f"error: {earlier}: holds an interrupted run: continue with resume={earlier}, or choose another folder\n"
    )
    assert contents(earlier) == before


def test_an_interrupted_run_is_resumed_in_its_folder(train, task, earlier):
    assert train(*EASY, f"resume={earlier.name}/", "workers=1") == (0, "", "")
    [(config, folder)] = task.calls
    assert folder == earlier
    assert config.resume == Path(earlier.name)


def test_a_resume_by_other_settings_lists_the_differences(train, earlier):
    before = contents(earlier)
    result = train(*EASY, "seed=2", "optimizer=adamw", "tta=flip", f"resume={earlier}")
    assert result.code == 2
    told = ("seed: 1 -> 2", "optimizer.name: sgd -> adamw", "optimizer.momentum: 0.9 -> None", "optimizer.lr: ")
    assert [change for change in told if change not in result.err] == []
    assert "tta" not in result.err
    assert contents(earlier) == before


def test_only_a_run_can_be_resumed(train, tmp_path):
    (tmp_path / "photos").mkdir()
    for place in ("photos", "nowhere"):
        result = train(*EASY, f"resume={place}")
        assert result.code == 2
        assert result.err.startswith(
            f"error: resume={place}: expected the folder of an interrupted run, but there is no"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    assert train("-m", *EASY, "resume=photos").err == (
        "error: resume=photos: expected the folder of a sweep, but there is no photos/multirun.yaml\n"
    )


@pytest.mark.parametrize("left", ["multirun.yaml", "metrics.json", "seed=1/metrics.json"])
def test_earlier_results_are_not_overwritten_by_a_sweep(train, task, tmp_path, left):
    sweep = tmp_path / "sweep"
    (sweep / left).parent.mkdir(parents=True)
    (sweep / left).write_text("{}")
    result = train("-m", *EASY, "seed=1,2", "hydra.sweep.dir=sweep")
    assert (result.code, result.err) == (
        2,
        "error: hydra.sweep.dir=sweep: holds a sweep already: continue with resume=sweep, or choose another folder\n",
    )
    assert contents(sweep) == {left: b"{}"}
    assert not task.calls


# --- two at once ---


@pytest.fixture
def at_work(tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Yield a function that starts `python train.py ...` with a task that goes on and on."""
    started = []

    def go(*words: str) -> subprocess.Popen:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", AT_WORK, *words]
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True))
        while started[-1].stdout.readline() != "at work\n":
            assert started[-1].poll() is None
        return started[-1]

    yield go
    for process in started:
        process.kill()
        process.communicate()


def test_a_start_that_is_refused_leaves_a_run_at_work_as_it_was(train, task, at_work, tmp_path):
    process = at_work(*EASY, "seed=1", "hydra.run.dir=a run")
    before = contents(tmp_path / "a run")
    assert set(before) == {".lock", *(f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides"))}
    for words in ((*EASY, "seed=2", "hydra.run.dir=a run"), (*EASY, "seed=1", "resume=a run")):
        refused = train(*words)
        assert (refused.code, refused.out) == (2, "")
        assert refused.err.endswith("a run: another process works on this run: wait for its end, or stop it\n")
        assert contents(tmp_path / "a run") == before
    process.kill()
    process.wait()
    for words, says in (
        (("seed=2", "hydra.run.dir=a run"), "holds an interrupted run: continue with resume="),
        (("seed=2", "resume=a run"), "seed: 1 -> 2"),
    ):
        refused = train(*EASY, *words)
        assert refused.code == 2
        assert says in refused.err
    assert not task.calls
    assert train(*EASY, "seed=1", "resume=a run").code == 0


@pytest.mark.slow
def test_a_start_that_is_refused_leaves_a_sweep_at_work_as_it_was(train, task, at_work, tmp_path):
    process = at_work("-m", *EASY, "seed=1,2", "hydra.sweep.dir=s")
    before = contents(tmp_path / "s")
    assert {"multirun.yaml", "seed=1/.hydra/config.yaml"} < set(before)
    for words in (
        ("-m", "seed=1,2", "hydra.sweep.dir=s"),
        ("-m", "seed=1,2", "resume=s"),
        ("-m", "seed=5", "hydra.sweep.dir=s"),
        ("hydra.run.dir=s/seed=1",),
    ):
        refused = train(*EASY, *words)
        assert (refused.code, refused.out) == (2, "")
        assert "another process works on this run" in refused.err
        assert contents(tmp_path / "s") == before
    process.kill()
    process.wait()
    assert train("-m", *EASY, "seed=1,2", "batch_size=8", "resume=s").code == 2
    assert not task.calls
    assert train("-m", *EASY, "seed=1,2", "resume=s").code == 0


@pytest.mark.slow
def test_a_job_that_another_process_works_on_is_left_to_it(train, task, at_work, tmp_path):
    assert train("-m", *EASY, "seed=1,2", "hydra.sweep.dir=s").code == 0
    at_work(*EASY, "seed=1", "resume=s/seed=1")  # as a job that stayed in a cluster's queue
    before = contents(tmp_path / "s/seed=1")
    task.calls.clear()
    result = train("-m", *EASY, "seed=1,2", "resume=s")
    assert result.code == 1
    assert "failed: job 0: " in result.err
    assert "another process works on this run" in result.err
    assert contents(tmp_path / "s/seed=1") == before
    assert [config.seed for config, _ in task.calls] == [2]


def test_a_search_is_joined_without_a_trace(train, task, at_work, tmp_path):
    words = ("dataset=synthetic", "sweep=optuna")
    at_work(*words, "hydra.run.dir=s")
    before = contents(tmp_path / "s")
    assert "another process works on this run" in train(*words, "seed=2", "hydra.run.dir=s").err
    assert "seed: 1 -> 2" in train(*words, "seed=2", "resume=s").err
    assert not task.calls
    assert train(*words, "sweep.trials=99", "resume=s").code == 0
    assert len(task.calls) == 1
    assert contents(tmp_path / "s") == before


def test_a_net_goes_on_by_the_settings_that_it_was_trained_by(train, task, earlier):
    import torch

    [job] = check_jobs(Command(ROOT / "conf", "train", [*EASY, "seed=3"]), TrainConfig)
    torch.save({"settings": job.config.model_dump(mode="json")}, earlier / "checkpoints" / "last.ckpt")
    assert train(*EASY, f"resume={earlier}").err.endswith("but seed: 3 -> 1\n")  # as config.yaml has it
    (earlier / ".hydra" / "config.yaml").write_text("")  # as a power cut may leave it
    assert train(*EASY, "seed=3", f"resume={earlier}").code == 0
    assert yaml.safe_load((earlier / ".hydra" / "config.yaml").read_text())["seed"] == 3


# --- names ---


@pytest.mark.slow
def test_commands_of_one_second_take_folders_of_their_own(train, task, tmp_path, monkeypatch):
    class Standing:
        @staticmethod
        def now() -> datetime:
            return datetime(2026, 1, 2, 3, 4, 5)

    monkeypatch.setattr("hydra.core.utils.datetime", Standing)
    for words in ((), ("-m", "seed=1,2")):
        assert [train(*EASY, *words).code for _ in range(2)] == [0, 0]
    assert [train("sweep=optuna", *EASY, check=lambda *_: None).code for _ in range(2)] == [0, 0]
    time = "2026-01-02_03-04-05"
    assert [folder.relative_to(tmp_path).as_posix() for _, folder in task.calls] == [
        *(f"runs/{time}_synthetic_none_tiny_seed1{end}" for end in ("", "_2")),
        *(f"sweeps/{time}{end}/seed={seed}" for end in ("", "_2") for seed in (1, 2)),
        *(f"sweeps/{time}_optuna_synthetic_none_tiny{end}" for end in ("", "_2")),
    ]


def test_a_mistake_that_reading_finds_leaves_nothing(train, task, tmp_path):
    task.raises[1] = UserError("expected a cat")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for words in ((), ("hydra.run.dir=a/b",), ("hydra.run.dir=mine",)):
        assert train(*EASY, *words) == (2, "", "error: expected a cat\n")
        assert contents(tmp_path) == {"mine/notes.txt": b"mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
