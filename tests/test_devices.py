"""Runs keep out of each other's way: one process a folder, one GPU a process."""

import subprocess
import sys

import pytest

from fer.run_folder import alone
from fer.training import devices
from fer.training.devices import choose_devices, claim
from tests.runs import ROOT

CLAIM = """
import sys
from pathlib import Path
from fer.training.devices import claim
print(claim(['a', 'b'], Path(sys.argv[1])))
"""
ALONE = """
import sys
from pathlib import Path
from fer.errors import UserError
from fer.run_folder import alone
try:
    with alone(Path(sys.argv[1])):
        print('in')
except UserError as error:
    print(error)
"""


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
    with alone(tmp_path):
        assert "another process works on this run" in subprocess.check_output(words, cwd=ROOT, text=True)
        with alone(tmp_path):  # but this one may come in again
            pass
        assert subprocess.check_output(words, cwd=ROOT, text=True) != "in\n"
    assert not list(tmp_path.iterdir())
    assert subprocess.check_output(words, cwd=ROOT, text=True) == "in\n"
