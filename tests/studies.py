"""Writes the folders that runs leave, without training."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

SIX = ("angry", "disgust", "fear", "happy", "sad", "surprise")
BASE = {
    "seed": 1,
    "workers": "auto",
    "monitor": "val/accuracy",
    "resume": None,
    "test": True,
    "tta": "none",
    "trainer": {"name": "auto", "max_epochs": 4},
    "model": {"name": "small", "widths": [8, 16]},
    "augmentation": {"name": "mid", "transforms": {"flip": {"transform": "HorizontalFlip", "p": 0.5}}},
    "loss": {"name": "cross_entropy", "weighting": "none"},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "dataset": {"name": "fer2013", "root": "${oc.env:HOME}"},
}
GROUPS = ("model", "augmentation", "loss", "optimizer", "dataset", "experiment")


def write_run(
    sweep: Path,
    *words: str,
    accuracy: float = 0.7,
    number: int | None = None,
    classes: tuple[str, ...] = SIX,
    images: int = 300,
    draw: int = 0,
    **more: Any,
) -> Path:
    """Write a finished run's folder.

    Args:
        sweep: the folder above.
        words: as typed.
        accuracy: share of the images that are predicted right; the same images at the same draw.
        number: of the job.
        classes: names.
        images: number in validation and in test.
        draw: changes which images are right.
        more: what metrics.json holds beside or in the place of the usual.
    """
    folder = write_settings(sweep, *words, number=number)
    config = OmegaConf.load(folder / ".hydra/config.yaml")
    metrics: dict[str, Any] = {"classes": list(classes), "dataset": config.dataset.name, "seed": config.seed}
    for split, name in (("val", "predictions_val.csv"), ("test", "predictions.csv")):
        if split == "val" or config.test:
            metrics |= _write_predictions(folder / name, split, accuracy, classes, images, draw)
    metrics |= {"seconds": 60.0, "best_epoch": 3, "epochs": 4, "images_per_second": 1000.0, "device": "cpu"}
    with (folder / "history.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "train/loss", "val/accuracy"])
        writer.writerows((epoch, "", accuracy * epoch / 4) for epoch in range(1, 5))
    (folder / "metrics.json").write_text(json.dumps(metrics | more))
    return folder


def write_settings(sweep: Path, *words: str, number: int | None = None) -> Path:
    """Write the folder of a run that has only begun."""
    folder = sweep / ",".join(word.replace("/", "_") for word in words)
    (folder / ".hydra").mkdir(parents=True)
    config, choices = OmegaConf.create(BASE), {}
    for word in words:
        key, _, value = word.lstrip("+~").partition("=")
        if word.startswith("~"):
            section, _, leaf = key.rpartition(".")
            del OmegaConf.select(config, section)[leaf]
        elif key in GROUPS:
            choices[key] = value
            if key != "experiment":
                config[key]["name"] = value
        else:
            OmegaConf.update(config, key, OmegaConf.create(f"x: {value}").x, force_add=True)
    OmegaConf.save(config, folder / ".hydra/config.yaml")
    OmegaConf.save(OmegaConf.create(list(words)), folder / ".hydra/overrides.yaml")
    hydra = {"job": {"num": number}, "runtime": {"choices": {"hydra/launcher": "basic"} | choices}}
    OmegaConf.save(OmegaConf.create({"hydra": hydra}), folder / ".hydra/hydra.yaml")
    return folder


def _write_predictions(
    path: Path, split: str, accuracy: float, classes: tuple[str, ...], images: int, draw: int
) -> dict[str, Any]:
    targets = np.arange(images) % len(classes)
    right = np.random.default_rng(draw).permutation(images) < round(accuracy * images)
    predicted = np.where(right, targets, (targets + 1) % len(classes))
    shares = np.full((images, len(classes)), 0.5 / (len(classes) - 1))
    shares[np.arange(images), predicted] = 0.5
    order = np.random.default_rng(1).permutation(images)  # files need not be sorted
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "target", *classes, "file"])
        writer.writerows([1000 + i, classes[targets[i]], *shares[i], f"a,{i}.png"] for i in order)
    recall = {f"{split}/recall/{name}": float(right[targets == i].mean()) for i, name in enumerate(classes)}
    names = ("accuracy", "balanced_accuracy", "f1_macro")
    spread = {f"{split}/accuracy_low": right.mean() - 0.05, f"{split}/accuracy_high": right.mean() + 0.05}
    return (
        {f"{split}/n": images, f"{split}/ece": 0.05, f"{split}/loss": 1 - accuracy}
        | {f"{split}/{name}": float(right.mean()) for name in names}
        | spread
        | recall
    )


def touch(folder: Path, seconds: float) -> None:
    """Make a run look as if it had finished so much later."""
    path = folder / "metrics.json"
    now = path.stat().st_mtime + seconds
    os.utime(path, (now, now))
