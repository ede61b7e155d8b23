"""A sweep on a real Slurm cluster of this one machine: failures, preemption, lost jobs, and the same results."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import EASY
from tests.runs import DRAWN, ROOT, TINY, command, start, tensors
from tests.slurm import Cluster, install, wait_for

WANTED = os.environ.get("FER_SLURM") == "1" and os.name == "posix" and os.geteuid() == 0
SKIP = pytest.mark.skipif(not WANTED, reason="needs FER_SLURM=1 and root")


def on_a_cluster(test: Callable) -> Callable:
    return pytest.mark.slow(pytest.mark.slurm(SKIP(test)))


SMALL = ("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1")
LONG = ("trainer.max_epochs=30", "dataset.train=480", "ema=0.9", "augmentation=full", "workers=1", "seed=1,2")


def test_a_sweep_is_refused_where_there_is_no_slurm(train, task, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = train("-m", *EASY, "hydra/launcher=slurm", "seed=1,2")
    assert (result.code, task.calls) == (2, [])
    assert result.err.startswith("error: hydra/launcher=slurm: expected a machine of a Slurm cluster, but there is no")


def test_a_launcher_is_refused_without_a_sweep(train, task):
    result = train(*EASY, "hydra/launcher=slurm")
    assert (result.code, task.calls) == (2, [])
    assert result.err == "error: hydra/launcher=slurm: launches the jobs of a sweep: add -m\n"


def test_a_gpu_may_be_wanted_where_the_waiting_machine_has_none(train, monkeypatch, login_node):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    words = ("-m", *EASY, "seed=1,2", "trainer=gpu", "trainer.accelerator=cuda")
    assert "but PyTorch finds none" in train(*words).err
    assert "PyTorch" not in train(*words, "hydra/launcher=slurm", "seed=x").err  # refused before anything starts


@pytest.mark.slow
def test_a_job_that_fails_in_validation_does_not_wait_for_its_workers(tmp_path):
    script = f"""
from pathlib import Path
from fer.training.dashboard import Dashboard
from fer.training.run import run
from tests.runs import configure

Dashboard.on_validation_epoch_end = lambda *_: 1 / 0
run(configure("workers=2", "augmentation=full"), Path({str(tmp_path)!r}))
"""
    environment = os.environ | {"SUBMITIT_EXECUTOR": "slurm", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=ROOT, timeout=200, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


# --- what a job leaves ---


def results(sweep: Path) -> dict[str, tuple[dict, dict]]:
    """Return each finished job's figures, but for the time they took, and its weights."""
    found = {}
    for path in sweep.glob("*/metrics.json"):
        figures = {key: value for key, value in json.loads(path.read_text()).items() if "second" not in key}
        found[path.parent.name] = figures, tensors(path.parent / "weights.safetensors")
    return found


def epochs(job: Path) -> list[int]:
    """Return the epochs that a job said to have ended, over all its starts."""
    said = (job / "output.txt").read_text()
    return [int(number) for number in re.findall(r"^epoch +(\d+)/", said, re.MULTILINE)]


def slurm_log(sweep: Path, number: str) -> str:
    return "\n".join(path.read_text() for path in sorted(sweep.glob(f".slurm/{number}/*_log.*")))


# --- a cluster ---


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    install()
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict:
    """The results of the long jobs, without a cluster and without an interruption."""
    sweep = tmp_path_factory.mktemp("whole")
    assert command("-m", *LONG, f"hydra.sweep.dir={sweep}")[0] == 0
    return results(sweep)


@pytest.fixture
def launch(cluster, tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Yield a function that starts the command of a sweep on the cluster."""
    started = []

    def go(*words: str) -> subprocess.Popen:
        environment = {**cluster.environment, "PYTHONPATH": str(ROOT)}
        started.append(start("-m", *SMALL, *words, env=environment, cwd=tmp_path))
        return started[-1]

    yield go
    cluster.run("scancel", "--user=root")
    for process in started:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen) -> tuple[int, str]:
    """Wait for a command; return its exit code and what it said on stderr."""
    err = process.communicate(timeout=900)[1]
    return process.returncode, err


def wait_for_both(cluster: Cluster, sweep: Path) -> list[str]:
    """Wait until both long jobs have a checkpoint; return Slurm's numbers of them."""
    for seed in (1, 2):
        wait_for("a checkpoint", (sweep / f"seed={seed}/checkpoints/last.ckpt").exists)
    jobs = cluster.running()
    assert len(jobs) == 2
    return jobs


@on_a_cluster
def test_a_failed_job_stays_by_itself(cluster, launch, tmp_path):
    sweep = tmp_path / "it's a sweep"
    words = ("optimizer.lr=0.1,1e30", "gradient_clip=0", "augmentation=full", "workers=2")
    code, err = end(launch(*words, f"hydra.sweep.dir={sweep}"))
    assert code == 1
    assert err.startswith("failed: job 1: the loss is no longer finite")
    assert err.endswith("\nfailed: not every job of the sweep went well; see their errors above\n")
    assert "no longer finite" in (sweep / "optimizer.lr=1e+30/error.txt").read_text()
    assert list(results(sweep)) == ["optimizer.lr=0.1"]
    assert epochs(sweep / "optimizer.lr=0.1") == [1, 2]
    wait_for("the end of the jobs, which have said all", lambda: not cluster.running())


@on_a_cluster
def test_jobs_that_are_put_back_end_like_uninterrupted_ones(cluster, launch, tmp_path, whole):
    process = launch(*LONG, f"hydra.sweep.dir={tmp_path / 'sweep'}")
    warned, lost = wait_for_both(cluster, tmp_path / "sweep")
    cluster.run("scancel", "--signal=USR2", warned)  # as before the end of its time
    cluster.run("scontrol", "requeue", lost)  # as when its machine is gone
    code, err = end(process)
    assert (code, err) == (0, "")
    assert f"Requeued job {warned}" in slurm_log(tmp_path / "sweep", warned)
    assert "DUE TO JOB REQUEUE" in slurm_log(tmp_path / "sweep", lost)
    for seed in (1, 2):
        assert epochs(tmp_path / f"sweep/seed={seed}") == list(range(1, 31))  # each once
        assert "Traceback" not in (tmp_path / f"sweep/seed={seed}/output.txt").read_text()
    assert results(tmp_path / "sweep") == whole


@on_a_cluster
def test_jobs_that_make_room_for_an_urgent_one_end_like_uninterrupted_ones(cluster, launch, tmp_path, whole):
    process = launch(*LONG, f"hydra.sweep.dir={tmp_path / 'sweep'}")
    wait_for_both(cluster, tmp_path / "sweep")
    done = tmp_path / "done"
    words = ("--partition=urgent", "--cpus-per-task=3", "--output=/dev/null", f"--wrap=touch {done}")
    cluster.run("sbatch", *words)  # Slurm sends SIGTERM to the others, and SIGKILL to what outlives its grace time
    wait_for("the urgent job", done.exists)
    code, err = end(process)
    assert (code, err) == (0, "")
    assert results(tmp_path / "sweep") == whole


@on_a_cluster
def test_a_cancelled_job_does_not_end_the_others_and_is_resumed(cluster, launch, tmp_path, whole):
    process = launch(*LONG, f"hydra.sweep.dir={tmp_path / 'sweep'}")
    first, _ = wait_for_both(cluster, tmp_path / "sweep")
    cluster.run("scancel", first)
    code, err = end(process)
    assert code == 1
    assert err.startswith(f"failed: job 0: Slurm's job {first} ended without a result (CANCELLED); its log: {tmp_path}")
    assert "1 run not finished" in (tmp_path / "sweep/report.md").read_text()
    assert list(results(tmp_path / "sweep")) == ["seed=2"]
    assert end(launch(*LONG, f"resume={tmp_path / 'sweep'}")) == (0, "")
    assert results(tmp_path / "sweep") == whole


@on_a_cluster
def test_ctrl_c_leaves_the_jobs_to_the_queue(cluster, launch, tmp_path):
    process = launch(*LONG, f"hydra.sweep.dir={tmp_path / 'sweep'}")
    jobs = wait_for_both(cluster, tmp_path / "sweep")
    os.killpg(process.pid, signal.SIGINT)
    code, err = end(process)
    assert code == 130
    assert err == (
        f"\nthe jobs stay in the queue; to end them: scancel {jobs[0].partition('_')[0]}; "
        f"to go on afterwards: resume={tmp_path / 'sweep'}\ninterrupted\n"
    )
    assert cluster.running() == jobs


@on_a_cluster
def test_what_slurm_refuses_is_a_mistake(launch, tmp_path):
    code, err = end(launch("seed=1,2", "hydra.launcher.partition=nowhere", f"hydra.sweep.dir={tmp_path / 'sweep'}"))
    assert code == 2
    assert "error: Slurm refused the sweep: sbatch: error: Batch job submission failed: Invalid partition" in err
    assert "Traceback" not in err


@on_a_cluster
def test_processes_of_srun_train_one_net(cluster, tmp_path):
    launch = ["srun", "--ntasks=2", "--ntasks-per-node=2", sys.executable, str(ROOT / "train.py")]
    shared = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "batch_size=8")
    environment = cluster.environment | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, *DRAWN, *TINY, *shared], env=environment, cwd=tmp_path, check=True, timeout=600)
    [run] = (tmp_path / "runs").iterdir()
    assert json.loads((run / "metrics.json").read_text())["test/n"] == 24
