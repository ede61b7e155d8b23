"""Runs, read from their folders.

Nothing that lies in such a folder raises: a study goes on without what is damaged, and says so.
"""

import csv
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fer.config.dotted import leaves
from fer.config.settings_file import completed, read_settings
from fer.errors import UserError
from fer.evaluation.study.runs import Predictions, Run
from fer.run_folder import ERROR, HYDRA, PREDICTIONS, RESULTS, SETTINGS, WORDS

UNREADABLE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError),
    *(csv.Error, yaml.YAMLError),
)


class Damaged(Exception):
    """A file of a run cannot be used, and why."""


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
    for read in (_read_settings, _read_metrics):
        try:
            read(run)
        except Damaged as error:
            run.problem = run.problem or f"damaged: {error}"
    for read in (_read_words, _read_choices, _read_curve, *(partial(_read_split, split) for split in PREDICTIONS)):
        try:
            read(run)
        except Damaged as error:
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
        run.config = completed(dict(leaves(read_settings(path))))
    if not isinstance(run.seed, int):
        raise Damaged(f"{path.name} has no seed")


def _read_words(run: Run) -> None:
    for word in _load(run.folder / WORDS, list):
        key, _, value = word.lstrip("+~").partition("=")
        run.typed[key] = value


def _read_choices(run: Run) -> None:
    path = run.folder / HYDRA
    hydra = _load(path, dict).get("hydra", {})
    with _reading(path):
        number, choices = hydra.get("job", {}).get("num"), hydra.get("runtime", {}).get("choices", {})
        run.number = number if isinstance(number, int) else None
        run.choices = {key: value for key, value in choices.items() if "hydra" not in key}


def _load(path: Path, kind: type) -> Any:
    """Return what a YAML file without interpolations holds; empty if there is none."""
    if not path.exists():
        return kind()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # many times as fast as OmegaConf's
    with _reading(path):
        found = yaml.load(path.read_text(encoding="utf-8"), loader) or kind()
        if not isinstance(found, kind):
            raise ValueError(f"expected a {kind.__name__}")
        return found


def _read_metrics(run: Run) -> None:
    path = run.folder / RESULTS
    if not path.exists():
        return
    with _reading(path):
        metrics = dict(json.loads(path.read_text(encoding="utf-8")))
        recalls = [key.removeprefix("val/recall/") for key in metrics if key.startswith("val/recall/")]
        metrics["classes"] = [str(name) for name in metrics.get("classes", recalls)]
    if math.isnan(Run(run.folder, metrics=metrics).figure("val/accuracy")):
        alone = ": it is of an evaluation of test alone" if "test/accuracy" in metrics else ""
        raise Damaged(f"{path.name} has no val/accuracy{alone}")
    run.metrics = metrics


def _read_curve(run: Run) -> None:
    path = run.folder / "history.csv"
    if not path.exists():
        return
    with _reading(path), path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row.get("val/accuracy"):
                run.curve.append((int(float(row["epoch"])), float(row["val/accuracy"])))


def _read_split(split: str, run: Run) -> None:
    path = run.folder / PREDICTIONS[split]
    if run.metrics and path.exists():
        with _reading(path):
            run.predictions[split] = _read_predictions(run, split, path)


def _read_predictions(run: Run, split: str, path: Path) -> Predictions:
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
    shares = (list(map(float, line[2:end])) for line in lines)  # several times as fast as by NumPy, from text
    predicted = np.array([row.index(max(row)) for row in shares])
    found = Predictions(*(array[rows.argsort(kind="stable")] for array in (rows, targets, predicted)))
    wrong = abs(found.hits.mean() - run.figure(f"{split}/accuracy")) * len(rows)
    # Six decimals can make a tie, so that a face or two may be predicted otherwise.
    if run.metrics.get(f"{split}/n", len(rows)) != len(rows) or wrong > 2.5:
        raise ValueError(f"it does not agree with {RESULTS}")
    return found
