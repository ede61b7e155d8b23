"""What tests share: a cache of their own, one thread each when several run at once, `train.py` with a stub, a tiny net,
a camera and a display."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from io import TextIOBase
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from omegaconf import DictConfig, OmegaConf

from fer.command import main
from fer.commands import train as train_command
from fer.emotions import class_names
from fer.schema import TrainConfig
from fer.training.checks import check_training
from tests.camera import Server
from tests.display import Display

ARCHITECTURE = {
    "widths": (8, 16),
    "depths": (1, 1),
    "stem_stride": 2,
    "reduction": 16,
    "dropout": 0.0,
    "drop_path": 0.0,
}
MOST = 4  # processes; each takes more than a gigabyte
EASY = ("dataset=synthetic", "augmentation=none")  # passes all checks, and quickly

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torch reads it when it is first imported


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Let the fast tests take a process for each core, where they are run as a whole; -n tells another number.

    One file is done sooner in this process than others have started, and the slow tests start processes themselves.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    is_whole = not any(".py" in word for word in config.args) and config.option.markexpr == "not slow"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST) if is_whole and cores > 1 else 0


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests, and the processes that they start, out of the user's cache."""
    os.environ["FER_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def parsed_once() -> Iterator[None]:
    """Parse each text of conf/ once: parsing is a quarter of composing, and a thousand configurations are composed."""
    known: dict[str, DictConfig] = {}
    load = OmegaConf.load

    def load_known(file: Any) -> Any:
        if not isinstance(file, TextIOBase):
            return load(file)
        text = file.read()
        if text not in known:
            file.seek(0)
            known[text] = load(file)
        return deepcopy(known[text])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OmegaConf, "load", staticmethod(load_known))
        yield


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the weights file of a tiny net that has learned nothing."""
    import torch

    from fer.models.se_resnet import SEResNet
    from fer.weights import Header, save_weights

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    header = Header(class_names(6), 24, 0.5, 0.25, ARCHITECTURE)
    save_weights(path, SEResNet(6, **ARCHITECTURE).state_dict(), header)
    return path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Yield a camera on loopback."""
    monkeypatch.setenv("no_proxy", "*")
    server = Server()
    yield server
    server.close()


@pytest.fixture
def login_node(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine look like one on which jobs are put into Slurm's queue."""
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("sbatch", "sbatch.exe"):  # the second for Windows
        (folder / name).touch(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.fixture(scope="module")
def display() -> Iterator[Display]:
    """Yield a virtual display."""
    with Display() as display:
        yield display


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Recorder:
    """A task that trains nothing and notes what it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[TrainConfig, Path]] = []
        self.raises: dict[int, BaseException] = {}  # by seed

    def __call__(self, config: TrainConfig, folder: Path) -> float:
        self.calls.append((config, folder))
        if error := self.raises.get(config.seed):
            raise error
        return 0.5


@pytest.fixture
def task() -> Recorder:
    return Recorder()


@pytest.fixture
def train(task, tmp_path, monkeypatch, capsys) -> Iterator[Callable[..., Result]]:
    """Yield a function that runs `python train.py ...` within this process, in an empty folder, up to its task."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    handler, root = signal.getsignal(signal.SIGTERM), logging.getLogger()
    level, logged_by = root.level, root.handlers[:]

    def run(*words: str, check: Callable[..., None] = check_training) -> Result:
        monkeypatch.setattr(sys, "argv", ["train.py", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(train_command.__file__, lambda: TrainConfig, check, task)
        return Result(end.value.code, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGTERM, handler)
    root.setLevel(level)
    root.handlers[:] = logged_by
