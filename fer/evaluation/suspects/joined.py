"""The predictions of all folds of one training, joined: of each training face, by the net that did not train on it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fer.errors import UserError
from fer.evaluation.study.grouping import NOT_SETTINGS
from fer.evaluation.study.run_reader import UNREADABLE, find_runs, read_run
from fer.evaluation.study.runs import WITHOUT, Run
from fer.run_folder import PREDICTIONS

MAY_DIFFER = {*NOT_SETTINGS, "fold"} - {"seed"}  # the folds are dealt by the seed
COMMAND = "python train.py -m fold=1,2,3,4,5 test=false"


@dataclass(frozen=True)
class Joined:
    """What the nets say of N training faces, each by the one that did not train on it, in the order of rows.

    Attributes:
        runs: one of each fold, in their order.
        rows: (N,) int64, as in predictions.csv.
        labels: (N,) int64.
        probabilities: (N, C) float64.
    """

    runs: tuple[Run, ...]
    rows: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray

    @property
    def classes(self) -> tuple[str, ...]:
        """C names."""
        return self.runs[0].classes


def join(places: Sequence[Path]) -> Joined:
    """Read the folds that lie at or below some folders.

    Args:
        places: folders of runs or of a sweep, or files predictions_fold.csv in them.

    Raises:
        UserError: if they are not all folds of one training, each once and whole.
    """
    folders = [place.parent if place.name == PREDICTIONS["fold"] else place for place in places]
    runs = [run for run in map(read_run, find_runs(folders)) if run.config.get("fold")]
    if not runs:
        raise UserError(f"{', '.join(map(str, places))}: expected runs of {COMMAND}, but none of them left out a fold")
    runs.sort(key=lambda run: run.config["fold"])
    _require_one_training(runs)
    _require_all(runs)
    parts = [_read(run) for run in runs]
    rows, labels, probabilities = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.argsort(rows, kind="stable")
    return Joined(tuple(runs), rows[order], labels[order], probabilities[order])


def _require_one_training(runs: list[Run]) -> None:
    """Check that the runs differ in the fold alone, and that there is one of each.

    Raises:
        UserError: if not.
    """
    first = runs[0]
    for before, run in pairwise(runs):
        for key in sorted({*first.config, *run.config}):
            ours, other = (str(one.config.get(key, WITHOUT)) for one in (run, first))
            if key.partition(".")[0] not in MAY_DIFFER and key != "dataset.root" and ours != other:
                raise UserError(
                    f"{run.folder}: expected another fold of {first.folder}, but got {key}={ours} instead of {other}: "
                    "name the folds of one training"
                )
        if run.config["fold"] == before.config["fold"]:
            raise UserError(
                f"{run.folder}: expected each fold once, but {before.folder} is fold {run.config['fold']}, too: name "
                "one of them"
            )


def _require_all(runs: list[Run]) -> None:
    """Check that each fold is there, and finished.

    Raises:
        UserError: if not.
    """
    folds = runs[0].config.get("folds", len(runs))
    good = [run.config["fold"] for run in runs if "fold" in run.predictions]
    if missing := [str(fold) for fold in range(1, folds + 1) if fold not in good]:
        bad = [f"{run.folder}: {_problem(run)}" for run in runs if "fold" not in run.predictions]
        why = f" ({'; '.join(bad)})" if bad else ""
        raise UserError(
            f"{runs[0].folder}: expected {PREDICTIONS['fold']} of {folds} folds, but got {len(good)}{why}: train the "
            f"others by the same command with fold={','.join(missing)}"
        )


def _problem(run: Run) -> str:
    notes = (note for note in run.notes if PREDICTIONS["fold"] in note)
    return run.problem or next(notes, f"without {PREDICTIONS['fold']}")


def _read(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows (K,), labels (K,) and probabilities (K, C) of a fold, which `read_run` has found to be whole."""
    path, end = run.folder / PREDICTIONS["fold"], 2 + len(run.classes)
    places: dict[str, int] = {name: place for place, name in enumerate(run.classes)}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            _, *lines = csv.reader(file)
        shares: Any = [list(map(float, line[2:end])) for line in lines]
        return (
            np.array([int(line[0]) for line in lines]),
            np.array([places[line[1]] for line in lines]),
            np.array(shares),
        )
    except UNREADABLE as error:
        raise UserError(f"{path}: expected the predictions of a fold, but they cannot be read ({error})") from error
