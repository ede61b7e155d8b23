"""What a run was set to, from what was typed: for the HPARAMS table and for the weights file."""

import shlex
from pathlib import Path
from typing import Any

import yaml

from fer.config import PATHS
from fer.nested import leaves
from fer.schema import TrainConfig

PLACES = {"dataset.root": "dataset.root=DIR", "weights": "weights=FILE"}
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
        if key not in common and (common or key not in PATHS):  # a path that is swept tells
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
    """Return a run's command as anybody could type it, without the places of this machine; "" of a run from Python."""
    if not (folder / ".hydra/hydra.yaml").is_file():
        return ""
    words = read_words(folder / ".hydra")[0]
    if (folder.parent / "study.journal").is_file():  # a search's trial
        words = [word for word in read_words(folder.parent / ".hydra")[0] if not word.startswith("sweep")] + words
    keys = [word.partition("=")[0] for word in words]
    shown = [PLACES.get(key, word) for key, word in zip(keys, words, strict=True) if key != "resume"]
    return shlex.join(("python", "train.py", *shown))
