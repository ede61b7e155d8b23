"""Runs keep out of each other's way: one process a folder, one GPU a process; several train one net or are refused."""

import subprocess
import sys

import pytest
from lightning.pytorch.strategies import DDPStrategy

from fer import devices
from fer.devices import choose_devices, claim
from fer.run_folder import exclusive
from fer.training.trainer import make_trainer
from tests.conftest import EASY
from tests.runs import ROOT, configure

CLAIM = """
import sys
from pathlib import Path
from fer.devices import claim
print(claim(['a', 'b'], Path(sys.argv[1])))
"""
ALONE = """
import sys
from pathlib import Path
from fer.errors import UserError
from fer.run_folder import exclusive
try:
    with exclusive(Path(sys.argv[1])):
        print('in')
except UserError as error:
    print(error)
"""


@pytest.mark.slow
def test_each_process_takes_the_gpu_that_the_fewest_have(tmp_path):
    taken = [claim(["a", "b"], tmp_path) for _ in range(5)]
    assert taken == [0, 1, 0, 1, 0]
    assert subprocess.check_output([sys.executable, "-c", CLAIM, str(tmp_path)], cwd=ROOT, text=True) == "1\n"
    devices.HELD.pop(1).release()
    assert claim(["a", "b"], tmp_path) == 1  # the one that has become free


@pytest.mark.parametrize(
    ("wanted", "accelerator", "gpus", "chosen"),
    [(1, "cuda", 2, [0]), (1, "cuda", 1, 1), (2, "cuda", 2, 2), ("auto", "cuda", 2, "auto"), (1, "cpu", 2, 1)],
)
def test_only_a_run_on_one_of_several_gpus_chooses(monkeypatch, tmp_path, wanted, accelerator, gpus, chosen):
    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(devices, "own_gpu", lambda: claim(["a", "b"], tmp_path))
    assert choose_devices(wanted, accelerator) == chosen


def test_two_processes_do_not_work_in_one_folder(tmp_path):
    words = [sys.executable, "-c", ALONE, str(tmp_path)]
    with exclusive(tmp_path):
        assert "another process works on this run" in subprocess.check_output(words, cwd=ROOT, text=True)
        with exclusive(tmp_path):  # but this one may come in again
            pass
        assert subprocess.check_output(words, cwd=ROOT, text=True) != "in\n"
    assert not list(tmp_path.iterdir())
    assert subprocess.check_output(words, cwd=ROOT, text=True) == "in\n"


# --- several processes ---


@pytest.mark.parametrize("word", ["trainer.devices=2", "trainer=ddp", "trainer.num_nodes=2"])
def test_several_devices_train_one_net_however_they_are_asked_for(tmp_path, word):
    trainer = make_trainer(
        configure("trainer=auto", "trainer.accelerator=cpu", "trainer.devices=2", word), tmp_path, []
    )
    assert isinstance(trainer.strategy, DDPStrategy)
    assert type(trainer.strategy._layer_sync).__name__ == "SharedBatchNorms"


@pytest.mark.parametrize("word", ["trainer.devices=2", "trainer.devices=auto", "trainer.num_nodes=2"])
def test_a_sweep_has_one_device_for_each_job(train, task, word):
    refused = train("-m", *EASY, "seed=1,2", word)
    assert (refused.code, task.calls) == (2, [])
    assert refused.err.startswith(f"error: {word}: expected one run, but -m makes a sweep")


SRUN = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}


@pytest.mark.parametrize("rank", ["0", "3"])
@pytest.mark.parametrize(
    ("variables", "words", "says"),
    [
        (
            SRUN,
            (),
            "4 processes have been started, by torchrun, srun or the like, and each would train a net of its own",
        ),
        ({"WORLD_SIZE": "4", "RANK": "0"}, (), "4 processes have been started, by torchrun, srun or the like"),
        (SRUN, ("trainer=ddp", "trainer.devices=2"), "srun: started 4 processes, but expected trainer.devices times"),
        (SRUN, ("-m", "seed=1,2"), "-m: expected one process, which starts the jobs of the sweep, but 4 have been"),
    ],
)
def test_processes_that_would_each_train_alone_are_refused(train, task, monkeypatch, variables, words, says, rank):
    for name, value in variables.items():
        monkeypatch.setenv(name, rank if value == "0" else value)
    refused = train(*EASY, "trainer.accelerator=cpu", *words, "hydra.run.dir=here", "hydra.sweep.dir=there")
    assert (refused.code, task.calls) == (2, [])
    assert says in refused.err


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_ID": "1"}, ()),  # a batch script, without srun
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, ("trainer.devices=2",)),
        (SRUN, ("trainer.devices=4",)),
        (SRUN, ("trainer=ddp",)),  # as many devices as there are
    ],
)
def test_processes_that_belong_together_are_not_refused(train, task, monkeypatch, variables, words):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert train(*EASY, *words).code == 0
    assert len(task.calls) == 1


def test_a_batch_script_of_one_task_starts_its_processes_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "1")
    monkeypatch.setenv("SLURM_JOB_NAME", "mine")
    trainer = make_trainer(configure("trainer.devices=2"), tmp_path, [])
    assert type(trainer.strategy.cluster_environment).__name__ == "LightningEnvironment"
