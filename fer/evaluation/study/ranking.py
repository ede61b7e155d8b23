"""A task's settings, ranked on validation and compared with a baseline: every number of a study's report."""

import math
import re
from dataclasses import dataclass, field

import numpy as np

from fer.evaluation.confusion import confusion
from fer.evaluation.statistics import LEVEL, Difference, Estimate, estimate, holm, over_images, over_seeds
from fer.evaluation.study.grouping import Setting, Task
from fer.monitor import sign

METRICS = ("accuracy", "balanced_accuracy", "f1_macro", "ece")
SPEED = ("images_per_second", "train/images_per_second")  # the second in some runs
ALPHA = 1 - LEVEL


@dataclass
class Row:
    """A setting's numbers.

    Attributes:
        setting: whose.
        figures: by key of metrics.json, over its runs.
        images: differences to the baseline over the images, by key ("test/accuracy").
        seeds: difference in accuracy over the seeds, on the split that is compared; None with too few.
        p_images, p_seeds: p of the two in accuracy, corrected for the number of comparisons.
        confusion: (C, C) mean share of each true class (rows) that is predicted to be each class; None if unknown.
    """

    setting: Setting
    figures: dict[str, Estimate]
    images: dict[str, Difference] = field(default_factory=dict)
    seeds: Difference | None = None
    p_images: float = math.nan
    p_seeds: float = math.nan
    confusion: np.ndarray | None = None

    def is_chance(self, split: str) -> bool:
        """Tell whether no run is clearly better than to predict the commonest class of the split for all faces."""
        runs = self.setting.runs
        known = [run.predictions[split].targets for run in runs if split in run.predictions]
        share = max(np.bincount(targets).max() / len(targets) for targets in known) if known else math.nan
        return all(run.figure(f"{split}/accuracy_low") <= share for run in runs)

    def mean(self, key: str) -> float:
        """Return the mean of a figure over the runs; NaN if there is none."""
        return self.figures[key].mean if key in self.figures else math.nan


@dataclass
class Ranking:
    """A task's rows, the best on validation first.

    Attributes:
        task: whose.
        rows: all settings, the baseline among them.
        baseline: what the others are compared with.
        monitor: key that ranks.
        split: on which settings are compared, "test" or, without it, "val".
    """

    task: Task
    rows: list[Row]
    baseline: Row
    monitor: str
    split: str

    def change(self, row: Row, key: str) -> float:
        """Return a setting's figure minus the baseline's: the one that its interval is around, where there is one."""
        return row.images[key].value if key in row.images else row.mean(key) - self.baseline.mean(key)

    @property
    def others(self) -> list[Row]:
        """All rows but the baseline's."""
        return [row for row in self.rows if row is not self.baseline]


def rank(task: Task, baseline: Setting | None = None) -> Ranking:
    """Rank a task's settings, and compare them with the baseline: by default the first that was typed."""
    monitors = {run.value("monitor") for run in task.runs}
    monitor = monitors.pop() if len(monitors) == 1 else "val/accuracy"
    if any(math.isnan(run.figure(monitor)) for run in task.runs):
        monitor = "val/accuracy"
    split = "test" if any("test/accuracy" in run.metrics for run in task.runs) else "val"
    rows = [
        Row(setting, _figures(setting, task, monitor), confusion=_confusion(setting, split))
        for setting in task.settings
    ]
    own = rows[task.settings.index(baseline or task.settings[0])]
    best_first = sorted(rows, key=lambda row: -sign(monitor) * row.mean(monitor))
    ranking = Ranking(task, best_first, own, monitor, split)
    for row in ranking.others:
        _compare(row, own, split)
    _correct(ranking.others, split)
    return ranking


def _figures(setting: Setting, task: Task, monitor: str) -> dict[str, Estimate]:
    wanted = re.compile(r"(val|test\w*)/(loss|" + "|".join(METRICS) + r"|recall/.+)|seconds|epochs|best_epoch")
    keys = [key for key in task.keys("") if key == monitor or wanted.fullmatch(key)]
    figures = {key: estimate([run.figure(key) for run in setting.runs]) for key in keys}
    speeds = [next((run.figure(key) for key in SPEED if key in run.metrics), math.nan) for run in setting.runs]
    return figures | {SPEED[0]: estimate(speeds)}


def _compare(row: Row, baseline: Row, split: str) -> None:
    """Compare a setting with the baseline on every split of which both have predictions."""
    classes = row.setting.runs[0].classes
    for part in ("test", "val"):
        (hits, targets), (before, _) = (_hits(own.setting, part) for own in (row, baseline))
        if hits is not None and before is not None:
            found = over_images(hits - before, targets, classes)
            row.images |= {f"{part}/{name}": difference for name, difference in found.items()}
    ours, theirs = ([run.figure(f"{split}/accuracy") for run in own.setting.runs] for own in (row, baseline))
    row.seeds = over_seeds(ours, theirs)


def _hits(setting: Setting, split: str) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return (N,) how often each image was predicted right by the setting's nets, and (N,) targets; None without."""
    known = [run.predictions[split] for run in setting.runs if split in run.predictions]
    if not known:
        return None, None
    return np.mean([predictions.hits for predictions in known], axis=0), known[0].targets


def _correct(rows: list[Row], split: str) -> None:
    key = f"{split}/accuracy"
    compared = [row for row in rows if key in row.images]
    for row, p in zip(compared, holm([row.images[key].p for row in compared]), strict=True):
        row.p_images = p
    compared = [row for row in rows if row.seeds]
    for row, p in zip(compared, holm([row.seeds.p for row in compared]), strict=True):
        row.p_seeds = p


def _confusion(setting: Setting, split: str) -> np.ndarray | None:
    known = [run.predictions[split] for run in setting.runs if split in run.predictions]
    if not known:
        return None
    matrices = np.array([confusion(own.targets, own.predicted, len(setting.runs[0].classes)) for own in known])
    return (matrices / np.maximum(matrices.sum(2, keepdims=True), 1)).mean(0)
