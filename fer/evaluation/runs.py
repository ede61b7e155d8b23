"""A run's folder, read: what was set, what came out, or why it does not count.

Nothing that lies in such a folder raises: a study goes on without what is damaged, and says so.
"""

import csv
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fer.errors import UserError
from fer.nested import leaves

SETTINGS, RESULTS, ERROR = Path(".hydra/config.yaml"), "metrics.json", "error.txt"
PREDICTIONS = {"val": "predictions_val.csv", "test": "predictions.csv"}
UNREADABLE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError),
    *(csv.Error, yaml.YAMLError, OmegaConfBaseException),
)
WITHOUT = "without"  # the value of a key that a run does not have


class Damaged(Exception):
    """A file of a run cannot be used, and why."""


@dataclass(frozen=True)
class Predictions:
    """The called classes of a split, in the order of its rows: each array (N,) int64."""

    rows: np.ndarray
    targets: np.ndarray
    called: np.ndarray

    @cached_property
    def images(self) -> str:
        """Tell the split's images and targets from any others."""
        return hashlib.sha256(np.stack((self.rows, self.targets)).tobytes()).hexdigest()

    @property
    def hits(self) -> np.ndarray:
        """(N,) bool: which faces were called right."""
        return self.called == self.targets


@dataclass
class Run:
    """One training, finished or not.

    Attributes:
        folder: where it lies.
        config: every leaf of its configuration, under its dotted key.
        typed: the settings as typed on the command line, key -> value.
        choices: chosen option of each group.
        number: its place in its sweep.
        metrics: metrics.json; empty if the run does not count.
        predictions: by split.
        curve: (epoch, accuracy on validation).
        problem: why it does not count; None if it does.
        notes: what could not be read of a run that counts.
    """

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    typed: dict[str, str] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    number: int | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    predictions: dict[str, Predictions] = field(default_factory=dict)
    curve: list[tuple[int, float]] = field(default_factory=list)
    problem: str | None = None
    notes: list[str] = field(default_factory=list)

    def figure(self, key: str) -> float:
        """Return a figure of metrics.json; NaN if there is none."""
        value = self.metrics.get(key)
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if good else math.nan

    def value(self, key: str) -> str:
        """Return what a key, group or section of the configuration was set to, in short."""
        if key in self.choices:
            return _shown(self.choices[key])
        if key in self.config:
            return _shown(self.config[key], null="null")
        if f"{key}.name" in self.config:
            return _shown(self.config[f"{key}.name"])
        if any(leaf.startswith(f"{key}.") for leaf in self.config):
            return "with"
        return self.typed.get(key) or WITHOUT

    @property
    def seed(self) -> int | None:
        """The training's seed; None if the configuration is lost."""
        return self.config.get("seed")

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the emotions."""
        return tuple(self.metrics["classes"])

    @property
    def dataset(self) -> str:
        """What it was judged on."""
        return str(self.metrics.get("dataset", self.config.get("dataset.name", "unknown dataset")))


def _shown(value: Any, null: str = WITHOUT) -> str:
    if value is None:
        return null
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def find_runs(folders: list[Path]) -> list[Path]:
    """Return the run folders at or below some folders, in natural order, each once.

    Raises:
        UserError: if one of them is no folder, or there are no runs.
    """
    if strangers := [folder for folder in folders if not folder.is_dir()]:
        raise UserError(f"{strangers[0]}: expected a folder of runs, but there is no such folder")
    found = {}
    for top in folders:
        for place, names, files in os.walk(top):
            if ".hydra" in names or RESULTS in files or ERROR in files:
                found[Path(place).resolve()] = Path(place)
                names.clear()
            names[:] = sorted((name for name in names if not name.startswith(".")), key=natural)
    if not found:
        raise UserError(f"{', '.join(map(str, folders))}: expected runs of train.py, but there are none")
    return list(found.values())


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts 10_b behind 9_a."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def read_run(folder: Path) -> Run:
    """Read a run's folder."""
    run = Run(folder, problem=_why_not(folder))
    for read in (_read_settings, _read_metrics, _read_curve, _read_predictions):
        try:
            read(run)
        except Damaged as error:
            if read in (_read_settings, _read_metrics):
                run.problem, run.metrics = run.problem or f"damaged: {error}", {}
            else:
                run.notes.append(str(error))
    if run.problem == "not finished" and run.curve:
        run.problem += f", {run.curve[-1][0]} of {run.value('trainer.max_epochs')} epochs so far"
    return run


def _why_not(folder: Path) -> str | None:
    if (folder / RESULTS).exists():
        return None
    try:
        told = (folder / ERROR).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "not finished"
    return f"failed: {told or 'error.txt is empty'}"


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise Damaged(f"there is no {path.name}") from error
    except UNREADABLE as error:
        raise Damaged(f"{path.name} cannot be read ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _read_settings(run: Run) -> None:
    path = run.folder / SETTINGS
    with _reading(path):
        run.config = dict(leaves(OmegaConf.to_container(OmegaConf.load(path), resolve=True)))
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # OmegaConf takes a tenth of a second for Hydra's own file
    for name, take in (("overrides.yaml", _take_words), ("hydra.yaml", _take_choices)):
        path = path.with_name(name)
        if path.exists():
            with _reading(path):
                take(run, yaml.load(path.read_text(encoding="utf-8"), loader))


def _take_words(run: Run, words: list[str]) -> None:
    for word in words or []:
        key, _, value = word.lstrip("+~").partition("=")
        run.typed[key] = value


def _take_choices(run: Run, hydra: dict[str, Any]) -> None:
    run.choices = {key: value for key, value in hydra["hydra"]["runtime"]["choices"].items() if "hydra" not in key}
    number = hydra["hydra"]["job"].get("num")
    run.number = number if isinstance(number, int) else None


def _read_metrics(run: Run) -> None:
    path = run.folder / RESULTS
    if not path.exists():
        return
    with _reading(path):
        run.metrics = dict(json.loads(path.read_text(encoding="utf-8")))
        recalls = [key.removeprefix("val/recall/") for key in run.metrics if key.startswith("val/recall/")]
        run.metrics["classes"] = [str(name) for name in run.metrics.get("classes", recalls)]
    if math.isnan(run.figure("val/accuracy")):
        raise Damaged(f"{path.name} has no val/accuracy")


def _read_curve(run: Run) -> None:
    path = run.folder / "history.csv"
    if not path.exists():
        return
    with _reading(path), path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row.get("val/accuracy"):
                run.curve.append((int(float(row["epoch"])), float(row["val/accuracy"])))


def _read_predictions(run: Run) -> None:
    for split, name in PREDICTIONS.items():
        path = run.folder / name
        if run.metrics and path.exists():
            with _reading(path):
                run.predictions[split] = _read_split(run, split, path)


def _read_split(run: Run, split: str, path: Path) -> Predictions:
    """Read a CSV file of predictions, sorted by row.

    Raises:
        ValueError: if it is not whole, or of another run.
    """
    end = 2 + len(run.classes)
    with path.open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    if tuple(header[2:end]) != run.classes:
        raise ValueError(f"expected a column for each of {', '.join(run.classes)}")
    places = {name: index for index, name in enumerate(run.classes)}
    rows = np.array([int(line[0]) for line in lines])
    targets = np.array([places[line[1]] for line in lines])
    called = np.array([line[2:end] for line in lines], float).argmax(1)
    found = Predictions(*(array[rows.argsort(kind="stable")] for array in (rows, targets, called)))
    wrong = abs(found.hits.mean() - run.figure(f"{split}/accuracy")) * len(rows)
    # Six decimals can make a tie, so that a face or two may be called otherwise.
    if run.metrics.get(f"{split}/n", len(rows)) != len(rows) or wrong > 2.5:
        raise ValueError(f"it does not agree with {RESULTS}")
    return found
