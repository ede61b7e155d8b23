"""Starts tiny trainings: in this process, or as a user would."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from safetensors import safe_open

import fer.config.resolvers  # noqa: F401 (for OmegaConf)
from fer.commands.train import task as run  # noqa: F401 (trains or evaluates, as the command does)
from fer.schema import TrainConfig

ROOT = Path(__file__).parents[1]
DRAWN = ("dataset=synthetic", "dataset.train=48", "dataset.val=24", "dataset.test=24")
TINY = (
    "trainer=cpu",
    "model=tiny",
    "batch_size=16",
    "trainer.max_epochs=2",
    "ema=0",
    "model.widths=[8,16]",
    "model.depths=[1,1]",
    "model.input_size=24",
)


def tiny(*words: str) -> list[str]:
    """Return the words of a tiny run, on a few drawn faces unless the words name another dataset; later words win."""
    dataset = () if any(word.startswith("dataset=") for word in words) else DRAWN
    return [*dataset, *TINY, *words]


def configure(*words: str, only: bool = False) -> TrainConfig:
    """Return the configuration of a tiny run, or of one by these words only."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose("train", list(words) if only else tiny(*words))
    return TrainConfig.model_validate(OmegaConf.to_container(composed, resolve=True))


def without_figures(patch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, which are most of a tiny run's work."""
    for place, names in (
        ("fer.training.dashboard", ("draw_split", "draw_augmented")),
        ("fer.training.run", ("draw_evaluation", "draw_augmented", "draw_history")),
        ("fer.evaluation.run", ("draw_evaluation",)),
    ):
        for name in names:
            patch.setattr(f"{place}.{name}", lambda *_: {})


def start(*words: str, **options) -> subprocess.Popen:
    """Start train.py with a tiny run in a process group of its own, one thread to a process."""
    environment = options.pop("env", os.environ) | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *tiny(*words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        **options,
    )


def command(*words: str, **options) -> tuple[int, str, str]:
    """Run train.py to its end; return its exit code and what it said on stdout and stderr."""
    process = start(*words, **options)
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def wait_until_gone(group: int) -> None:
    """Wait until no process of a group is left."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("processes were left over")


def tensors(path: Path) -> dict[str, bytes]:
    """Return the bytes of every tensor of a weights file."""
    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118 (no mapping)
