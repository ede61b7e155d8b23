"""A run of a study: what was set, what came out, or why it does not count."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

WITHOUT = "without"  # the value of a key that a run does not have


@dataclass(frozen=True)
class Predictions:
    """The predicted classes of a split, in the order of its rows: each array (N,) int64."""

    rows: np.ndarray
    targets: np.ndarray
    predicted: np.ndarray

    @cached_property
    def images(self) -> str:
        """Tell the split's images and targets from any others."""
        return hashlib.sha256(np.stack((self.rows, self.targets)).tobytes()).hexdigest()

    @property
    def hits(self) -> np.ndarray:
        """(N,) bool: which faces were predicted right."""
        return self.predicted == self.targets


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
            return _format_value(self.choices[key])
        if key in self.config:
            return _format_value(self.config[key], null="null")
        if f"{key}.name" in self.config:
            return _format_value(self.config[f"{key}.name"])
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
        """What it was evaluated on."""
        return str(self.metrics.get("dataset", self.config.get("dataset.name", "unknown dataset")))


def uneven(runs: Sequence[Run]) -> dict[str, list[float]]:
    """Return the parts of test ("test_unseen") of which runs have different faces, and how many: nothing to compare.

    What a part leaves out may be decided otherwise by another version of this package.
    """
    keys = {key for run in runs for key in run.metrics if key.startswith("test_") and key.endswith("/n")}
    counts = {key.removesuffix("/n"): {run.figure(key) for run in runs if key in run.metrics} for key in keys}
    return {part: sorted(found) for part, found in sorted(counts.items()) if len(found) > 1}


def _format_value(value: Any, null: str = WITHOUT) -> str:
    if value is None:
        return null
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
