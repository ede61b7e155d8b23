"""Sweeps: folders named by what is swept, failures that stay by themselves, resuming, several jobs at once."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fer.command import main
from fer.errors import RunError
from fer.provenance import telling_settings
from fer.schema import TrainConfig
from fer.training.checks import check_training
from tests.conftest import EASY
from tests.runs import ROOT, command, configure, run, start, wait_until_gone, without_figures


def folders(sweep: Path) -> list[str]:
    return sorted(path.name for path in sweep.iterdir() if path.is_dir())


# --- names ---


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("seed=1,2", "batch_size=8"), ["seed=1", "seed=2"]),
        (("augmentation=mid,none", "seed=1,2"),
         [f"augmentation={name},seed={seed}" for name in ("mid", "none") for seed in (1, 2)]),
        (("seed=1,2", "seed=range(3,5)"), ["seed=3", "seed=4"]),
        (("augmentation=mid", "augmentation.transforms.affine.rotate=[-5,5],[-9,9]"),
         ["augmentation.transforms.affine.rotate=[-5,5]", "augmentation.transforms.affine.rotate=[-9,9]"]),
        (("batch_size=8", "weights=a b"), ["batch_size=8,dataset=synthetic"]),
        (("tta='flip',none",), ["tta=flip", "tta=none"]),
        (("weights=runs/a/x.safetensors,runs/b/x.safetensors",),
         ["weights=runs-a-x.safetensors_a8e6061e", "weights=runs-b-x.safetensors_715ae93f"]),
        (('weights="runs/a/x.safetensors","runs/b/x.safetensors"',),
         ["weights=runs-a-x.safetensors_a8e6061e", "weights=runs-b-x.safetensors_715ae93f"]),
        (("weights=runs/a,b",), ["dataset=synthetic"]),  # a file's name
    ],
)  # fmt: skip
def test_jobs_are_named_by_what_is_swept(train, task, tmp_path, weights, words, names):
    for place in ("runs/a/x.safetensors", "runs/b/x.safetensors", "runs/a,b", "a b"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(weights, tmp_path / place)
    assert train("-m", "dataset=synthetic", *words, "hydra.sweep.dir=s p", check=lambda *_: None).code == 0
    assert folders(tmp_path / "s p") == names


def test_swept_files_make_a_job_each_below_the_sweep_s_folder(train, task, tmp_path, weights):
    for name in ("a", "b c"):
        shutil.copy(weights, tmp_path / name)
    assert train("-m", "fit=false", "weights=a,b c", "hydra.sweep.dir=here", check=lambda *_: None).code == 0
    assert [config.weights for config, _ in task.calls] == [Path("a"), Path("b c")]
    assert (tmp_path / "here/multirun.yaml").is_file()
    assert folders(tmp_path / "here") == ["weights=a", "weights=b c"]
    assert telling_settings(*task.calls[-1])["weights"] == "b c"


@pytest.mark.slow
def test_long_names_are_shortened_and_stay_distinct(train, task, tmp_path):
    keys = ("contrast_limit", "brightness_limit")
    words = [f"augmentation.transforms.light.{key}=0.1{'0' * 90}1,0.2{'0' * 90}1" for key in keys]
    assert train("-m", "dataset=synthetic", *words, "hydra.sweep.dir=here", check=lambda *_: None).code == 0
    names = folders(tmp_path / "here")
    assert len(names) == len(set(names)) == 4
    assert max(len(name.encode()) for name in names) <= 255
    task.calls.clear()
    assert train("-m", "dataset=synthetic", *words, "resume=here", check=lambda *_: None).code == 0
    assert folders(tmp_path / "here") == names


@pytest.mark.parametrize("name", ["a/b", "..", "/a"])
def test_a_job_s_folder_lies_in_that_of_the_sweep(train, task, tmp_path, name):
    refused = train("-m", *EASY, "seed=1,2", f"hydra.sweep.subdir='{name}'")
    assert (refused.code, task.calls) == (2, [])
    assert refused.err == f"error: hydra.sweep.subdir: expected a name for each job's folder, but got '{name}'\n"


def test_a_sweep_of_nothing_has_a_name_too(train, task, tmp_path):
    assert train("-m", "hydra.sweep.dir=here", check=lambda *_: None).code == 0
    assert folders(tmp_path / "here") == ["defaults"]


def test_the_same_job_twice_is_a_mistake(train, task):
    result = train("-m", *EASY, "seed=1,2,1")
    assert (result.code, len(task.calls)) == (2, 0)
    assert (
        result.err == "error: seed=1: expected different settings for each job of a sweep, but this one comes 2 times\n"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-m", "augmentation=none,mid", "optimizer.lr=0.1,0.2"), {"augmentation": "mid", "optimizer.lr": 0.2}),
        (("seed=3", "trainer.max_epochs=5", "~augmentation.transforms.light", "augmentation=mid"),
         {"dataset": "synthetic", "augmentation": "mid", "model": "tiny", "loss": "cross_entropy", "optimizer": "sgd",
          "scheduler": "cosine", "seed": 3, "trainer.max_epochs": 5, "~augmentation.transforms.light": "left out"}),
    ],
    ids=["a job of a sweep", "a run"],
)  # fmt: skip
def test_the_table_of_runs_has_what_tells_them_apart(train, task, words, told):
    assert train("dataset=synthetic", *words).code == 0
    assert telling_settings(*task.calls[-1]) == told


# --- failures and reports ---


@pytest.fixture
def sweep(task, tmp_path, monkeypatch, train):
    """Yield a function that runs a sweep of seeds in `here`, with a report that notes what it finds."""
    monkeypatch.chdir(tmp_path)
    seen = []

    def report(folder: Path) -> None:
        seen.append([path.parent.name for path in folder.glob("*/error.txt")])

    def go(*words: str, report=report) -> list[list[str]]:
        seen.clear()
        monkeypatch.setattr(sys, "argv", ["train.py", "-m", *EASY, "seed=1,2,3", *words])
        with pytest.raises(SystemExit) as end:
            main(str(ROOT / "train.py"), lambda: TrainConfig, check_training, task, report)
        return [end.value.code, *seen]

    return go


def test_a_failed_job_leaves_its_error_and_the_report_is_made_after_each_job(sweep, task, tmp_path, capsys):
    task.raises = {2: RunError("the disk is full")}
    assert sweep("hydra.sweep.dir=here") == [1, [], ["seed=2"], ["seed=2"], ["seed=2"]]
    assert (tmp_path / "here/seed=2/error.txt").read_text() == "the disk is full\n"
    task.raises = {}
    assert sweep("resume=here") == [0, ["seed=2"], [], [], []]
    assert not list(tmp_path.glob("here/*/error.txt"))


def test_a_report_that_cannot_be_made_spoils_nothing(sweep, task, capsys):
    assert sweep("hydra.sweep.dir=here", report=lambda folder: 1 / 0) == [0]
    assert len(task.calls) == 3
    assert capsys.readouterr().err.count("could not be made: ZeroDivisionError") == 4


# --- resuming ---


def test_a_finished_run_is_not_run_again(tmp_path, monkeypatch):
    without_figures(monkeypatch)
    first = run(configure("trainer.max_epochs=1"), tmp_path)
    before = (tmp_path / "metrics.json").read_bytes()
    assert run(configure("trainer.max_epochs=1"), tmp_path) == first
    assert (tmp_path / "metrics.json").read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("left", [".hydra/config.yaml", "metrics.json", "checkpoints/last.ckpt"])
def test_a_sweep_is_resumed_by_its_own_settings_only(sweep, task, tmp_path, left, capsys):
    sweep("seed=1,2", "hydra.sweep.dir=here")
    shutil.rmtree(tmp_path / "here/seed=1")
    if left != ".hydra/config.yaml":
        (tmp_path / "here/seed=2" / left).parent.mkdir(exist_ok=True)
        (tmp_path / "here/seed=2" / left).write_text("{}")
    task.calls.clear()
    assert sweep("seed=1,2", "resume=here", "batch_size=8") == [2]
    assert capsys.readouterr().err == (
        "error: resume: expected the settings of the interrupted run seed=2, but batch_size: 64 -> 8\n"
    )
    assert not task.calls
    assert sweep("resume=here", "seed=0,1,2", "workers=1")[0] == 0  # a value more, and what changes nothing
    assert sorted(folder.name for _, folder in task.calls) == ["seed=0", "seed=1", "seed=2"]


def outcomes(sweep: Path) -> dict[str, dict]:
    found = {path.parent.name: json.loads(path.read_text()) for path in sweep.glob("*/metrics.json")}
    return {
        name: {key: value for key, value in metrics.items() if "second" not in key} for name, metrics in found.items()
    }


LONG = ("-m", "trainer.max_epochs=4", "dataset.train=240", "seed=1,2,3")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [(), ("hydra/launcher=parallel",)], ids=["one by one", "parallel"])
def test_a_killed_sweep_is_resumed_and_ends_like_an_uninterrupted_one(launcher, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert command(*LONG, f"hydra.sweep.dir={whole}")[0] == 0
    process = start(*LONG, *launcher, f"hydra.sweep.dir={killed}")
    while not (killed / "seed=1/metrics.json").exists() or not (killed / "seed=2/checkpoints/last.ckpt").exists():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until_gone(process.pid)
    finished = {path: path.stat().st_mtime_ns for path in killed.glob("*/metrics.json")}
    assert 1 <= len(finished) < 3
    code, _, err = command(*LONG, *launcher, f"resume={killed}")
    assert (code, err) == (0, "")
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert outcomes(killed) == outcomes(whole)
    assert folders(killed) == ["figures", "seed=1", "seed=2", "seed=3"]  # the report's, and no other


# --- several at once ---


def test_a_wrong_launcher_is_told_with_the_right_ones(train):
    refused = train("-m", *EASY, "seed=1,2", "hydra/launcher=paralel")
    assert refused.code == 2
    assert "hydra/launcher=paralel: expected one of basic, " in refused.err
    assert refused.err.endswith("did you mean parallel?\n")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_parallel_sweep_leaves_no_process(tmp_path, number, code):
    process = start(*LONG, "hydra/launcher=parallel", f"hydra.sweep.dir={tmp_path}")
    while not list(tmp_path.glob("*/checkpoints/last.ckpt")):
        assert process.poll() is None
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, {130: "interrupted\n", 143: "terminated\n"}[code])
    wait_until_gone(process.pid)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups, and orphans hear of nothing")
def test_a_killed_parallel_sweep_leaves_no_process(tmp_path):
    stub = tmp_path / "stub.py"
    stub.write_text(f"""
import multiprocessing, time
from fer.command import main
from fer.schema import TrainConfig

def task(config, folder):
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,)).start()
    (folder / "at work").touch()
    time.sleep(600)

main({str(ROOT / "train.py")!r}, lambda: TrainConfig, lambda *_: None, task)
""")
    words = [sys.executable, str(stub), "-m", "hydra/launcher=parallel", "seed=1,2", "hydra.sweep.dir=here"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    while len(list(tmp_path.glob("here/*/at work"))) < 2:
        assert process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.wait()
    wait_until_gone(process.pid)
    process.communicate()


@pytest.mark.slow
def test_parallel_jobs_keep_their_output_and_their_failures_to_themselves(tmp_path):
    words = (
        "-m",
        "hydra/launcher=parallel",
        "augmentation=full",
        "workers=2",
        "optimizer.lr=0.1,1e30",
        "gradient_clip=0",
    )
    code, out, err = command(*words, f"hydra.sweep.dir={tmp_path}")
    assert code == 1
    assert re.findall(r"^(job \d.*|failed: job \d)", err + out, re.M)
    assert "epoch" not in out
    good, bad = tmp_path / "optimizer.lr=0.1", tmp_path / "optimizer.lr=1e+30"
    assert "epoch   2/2" in (good / "output.txt").read_text()
    assert (good / "metrics.json").exists()
    assert "no longer finite" in (bad / "error.txt").read_text()


@pytest.mark.slow
def test_parallel_jobs_divide_the_cores(tmp_path):
    stub = tmp_path / "stub.py"
    stub.write_text(f"""
from fer.command import main
from fer.schema import TrainConfig

def task(config, folder):
    import torch
    (folder / "threads").write_text(str(torch.get_num_threads()))

main({str(ROOT / "train.py")!r}, lambda: TrainConfig, lambda *_: None, task)
""")
    words = ("-m", "hydra/launcher=parallel", "seed=1,2,3", "hydra.sweep.dir=here")
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    environment["PYTHONPATH"] = str(ROOT)
    subprocess.run([sys.executable, str(stub), *words], cwd=tmp_path, env=environment, check=True)
    fair = (
        max(len(os.sched_getaffinity(0)) // 2, 1) if hasattr(os, "sched_getaffinity") else max(os.cpu_count() // 2, 1)
    )
    assert [path.read_text() for path in tmp_path.glob("here/*/threads")] == [str(fair)] * 3


# --- a full disk ---


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid(), reason="needs root to mount a small disk on Linux")
def test_a_sweep_on_a_full_disk_tries_all_jobs_and_fails_in_order(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a small disk here")
    try:
        code, _, err = command("-m", "augmentation=none,hflip", f"hydra.sweep.dir={tmp_path / 's'}")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert code == 1
    assert [f"failed: job {number}: " in err for number in (0, 1)] == [True, True]
    assert "No space left on device" in err
    assert "Traceback" not in err


# --- memory ---


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_from_job_to_job(tmp_path):
    sizes = []
    for seed in range(12):
        run(configure(f"seed={seed}", "dataset.train=480", "workers=1"), tmp_path / str(seed))
        sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20)
    assert max(sizes[8:]) - max(sizes[2:6]) < 15, sizes  # MiB
