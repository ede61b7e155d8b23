"""What a run was: its settings as they were typed, for HPARAMS, metrics.json and the weights file, and its versions."""

import platform
import shlex
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

import fer
from fer.config.dotted import leaves
from fer.config.words import PATHS
from fer.header import Header, read_header
from fer.paths import resolve_weights
from fer.run_folder import HYDRA, STUDY
from fer.schema import TrainConfig
from fer.training.teachers import teachers_of
from fer.weights import digest

PLACES = {
    "dataset.root": "dataset.root=DIR",
    "weights": "weights=FILE",
    "teacher": "teacher=FILE",
    "groups": "groups=FILE",
}
LIBRARIES = ("torch", "torchvision", "lightning", "albumentations", "torchmetrics", "opencv-python", "numpy")
LEFT_OUT = ("resume", "logger")  # of a command: nothing that the net owes them
STARTS = 20  # trainings that a weights file names as those it started from
GROUPS = ("dataset", "augmentation", "model", "loss", "optimizer", "scheduler")


def telling_settings(config: TrainConfig, folder: Path) -> dict[str, Any]:
    """Return what tells a run from others, for the HPARAMS table: of a sweep's job, what is swept.

    Otherwise the groups' options, the seed and the keys that were typed. All sixty would bury them: TensorBoard sorts
    by name, and shows the first few.
    """
    values = dict(leaves(config.model_dump(mode="json")))
    typed, common = read_words(folder)
    shown = {} if common else {group: values[f"{group}.name"] for group in GROUPS} | {"seed": config.seed}
    for word in typed:
        key, _, text = word.lstrip("+").partition("=")
        if key.partition(".")[0] in LEFT_OUT:
            continue
        if key not in common and (common or key not in PATHS):  # a path that is swept tells
            value = values.get(key, text or "left out")
            shown[key] = value if isinstance(value, int | float) else str(value)
    return shown


def read_words(folder: Path) -> tuple[list[str], list[str]]:
    """Return the words that Hydra wrote into a run's folder, and the keys that all jobs of its sweep have in common."""
    try:
        hydra = yaml.safe_load((folder / HYDRA).read_text(encoding="utf-8"))["hydra"]
    except OSError:
        return [], []  # a run without settings
    return hydra["overrides"]["task"], hydra["job"]["config"]["override_dirname"]["exclude_keys"]


def without_places(words: Iterable[str]) -> list[str]:
    """Return a command's words without this machine's places."""
    return [PLACES.get(word.partition("=")[0], word) for word in words]


def as_typed(folder: Path | None) -> str:
    """Return a run's command as anybody could type it, without this machine's places; "" of one without a folder."""
    if folder is None or not (folder / HYDRA).is_file():
        return ""
    words = read_words(folder)[0]
    if (folder.parent / STUDY).is_file():  # a search's trial
        words = [word for word in read_words(folder.parent)[0] if not word.startswith("sweep")] + words
    told = [word for word in words if word.partition("=")[0].partition(".")[0] not in LEFT_OUT]
    return shlex.join(("python", "train.py", *without_places(told)))


def describe(config: TrainConfig, header: Header, folder: Path | None, device: str, precision: str) -> dict[str, Any]:
    """Return what a run was, for metrics.json and the weights file; of an evaluation, how its weights were trained.

    Args:
        config: of the run.
        header: of its net.
        folder: of the run, if it has one.
        device: "cpu", "cuda" or "mps".
        precision: of the training, in Lightning's words.
    """
    trained = header.training or {
        "dataset": config.dataset.name,
        "labels": config.dataset.labels,
        **({"others": "uniform"} if config.trains_others else {}),
        "augmentation": config.augmentation.name,
        "model": config.model.name,
        **({"pretrained": config.model.backbone} if getattr(config.model, "pretrained", False) else {}),
        "loss": f"{config.loss.name}, class weights: {config.loss.weighting}",
        "optimizer": config.optimizer.name,
        "scheduler": config.scheduler.name,
        "max_epochs": config.trainer.max_epochs,
        "seed": config.seed,
        **({"fold": f"{config.fold} of {config.folds}"} if config.fold else {}),
        "not_sure_accuracy": config.not_sure_accuracy,
        "precision": precision,
        **({"started_from": _origin(config.weights)} if config.weights else {}),
        **(_teachers(config) if config.teacher else {}),
        **({"start_share": config.start_share} if config.start_share else {}),
        **({"command": command} if (command := as_typed(folder)) else {}),
    }
    now = {
        "dataset": config.dataset.name,
        "classes": list(header.classes),
        "input_size": header.input_size,
        "device": device,
        **({"threads": torch.get_num_threads()} if device == "cpu" else {}),  # sums in another order, other figures
        "versions": {"fer": fer.__version__, "python": platform.python_version()}
        | {name: version(name) for name in LIBRARIES},
    }
    if config.fit:
        return trained | now
    evaluated = {"weights": str(config.weights), "weights_sha256": digest(config.weights)}
    trained = {key: fact for key, fact in trained.items() if not key.startswith("dataset_")}  # of other faces
    return trained | now | evaluated | ({"evaluation_command": typed} if (typed := as_typed(folder)) else {})


def _teachers(config: TrainConfig) -> dict[str, Any]:
    """Return which nets taught a net, and how much."""
    return {"teachers": [_origin(file) for file in teachers_of(config.teacher)], "teacher_share": config.teacher_share}


def _origin(weights: Path) -> dict[str, Any]:
    """Return what a weights file says of itself, for the training that starts from it: its own start included.

    Of a long row of fine-tunings, only the last are kept, since no file may say more than can be read.
    """
    training = read_header(weights).training
    kept = ("dataset", "command", "seed", "epochs", "pretrained", "started_from")
    file = resolve_weights(weights)
    origin = {"name": file.name, "sha256": digest(file)} | {key: training[key] for key in kept if key in training}
    earliest: Any = origin
    for _ in range(STARTS - 1):
        earliest = earliest.get("started_from") if isinstance(earliest, dict) else None
    if isinstance(earliest, dict):
        earliest.pop("started_from", None)
    return origin
