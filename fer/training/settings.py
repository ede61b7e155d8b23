"""What a run was set to, from what was typed: for the HPARAMS table and for the weights file."""

import shlex
from pathlib import Path
from typing import Any

import yaml

from fer.config import PATHS
from fer.nested import leaves
from fer.schema import TrainConfig

GROUPS = ("dataset", "augmentation", "model", "loss", "optimizer", "scheduler")


def telling_settings(config: TrainConfig, folder: Path) -> dict[str, Any]:
    """Return what tells a run from others, for the HPARAMS table: of a sweep's job, what is swept.

    Otherwise the groups' options, the seed and the keys that were typed. All sixty would bury them: TensorBoard sorts
    by name, and shows the first few.
    """
    values = dict(leaves(config.model_dump(mode="json")))
    typed, common = read_words(folder / ".hydra")
    shown = {} if common else {group: values[f"{group}.name"] for group in GROUPS} | {"seed": config.seed}
    for word in typed:
        key, _, text = word.lstrip("+").partition("=")
        if key not in common and key not in PATHS:
            value = values.get(key, text or "left out")
            shown[key] = value if isinstance(value, int | float) else str(value)
    return shown


def read_words(folder: Path) -> tuple[list[str], list[str]]:
    """Return the words that Hydra wrote into a run's folder, and the keys that all jobs of its sweep have in common."""
    try:
        hydra = yaml.safe_load((folder / "hydra.yaml").read_text(encoding="utf-8"))["hydra"]
    except OSError:
        return [], []  # a run from Python
    return hydra["overrides"]["task"], hydra["job"]["config"]["override_dirname"]["exclude_keys"]


def as_typed(folder: Path) -> str:
    """Return the command of a run as anybody could type it: without the places of this machine."""
    words = (word for word in read_words(folder / ".hydra")[0] if not word.startswith(("hydra.", "resume=")))
    shown = ("dataset.root=DIR" if word.startswith("dataset.root=") else word for word in words)
    return shlex.join(("python", "train.py", *shown))
