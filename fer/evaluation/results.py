"""The figures of an evaluated split, and the files that they are kept in."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from fer.atomic import whole_file
from fer.data.table import Table
from fer.evaluation.calibration import answered
from fer.evaluation.confusion import confusion
from fer.evaluation.metrics import calibration_error, compute_metrics
from fer.evaluation.outputs import Outputs
from fer.evaluation.statistics import bootstrap

History = dict[str, list[tuple[int, float]]]  # key -> [(epoch, value), ...], epochs counted from 1


def split_results(
    raw: dict[str, Outputs], calibrated: dict[str, Outputs], classes: tuple[str, ...], not_sure: float = 0.0
) -> dict[str, float]:
    """Return flat metrics of every evaluated split: `test/accuracy`, its interval `test/accuracy_low` and `_high`, ...

    Args:
        raw: by name of the split, views of test-time augmentation in its name ("test_flip"); for the calibration error
            without a temperature, `ece_uncalibrated`.
        calibrated: the same, with logits divided by the temperature; for all else.
        classes: C names.
        not_sure: the threshold of answers, for `coverage` and, if any face has an answer, `selective_accuracy`.
    """
    results: dict[str, float] = {}
    for split, (logits, targets, _) in calibrated.items():
        metrics = compute_metrics(logits, targets, classes)
        metrics["ece_uncalibrated"] = calibration_error(raw[split].logits.double().softmax(1), targets)
        metrics["coverage"], accuracy = answered(logits, targets, not_sure)
        metrics |= {} if math.isnan(accuracy) else {"selective_accuracy": accuracy}
        matrix = confusion(targets.numpy(), logits.argmax(1).numpy(), len(classes))
        for name, (low, high) in bootstrap(matrix).items():
            metrics |= {f"{name}_low": low, f"{name}_high": high}
        results |= {f"{split}/{name}": value for name, value in metrics.items()}
        results[f"{split}/n"] = len(targets)
    return results


def write_predictions(path: Path, outputs: Outputs, table: Table) -> None:
    """Write index, target and every probability of each face, and its file where it comes from one.

    Args:
        path: of the CSV file.
        outputs: logits, targets and rows of the split.
        table: the faces of the split.
    """
    logits, targets, rows = outputs
    files = dict(zip(table.rows.tolist(), table.files, strict=True)) if table.files else None
    with whole_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["index", "target", *table.classes, *(["file"] if files else [])])
        probabilities = np.char.mod("%.6f", logits.softmax(1).double().numpy())
        for row, target, shares in zip(rows.tolist(), targets.tolist(), probabilities.tolist(), strict=True):
            writer.writerow([row, table.classes[target], *shares, *([files[row]] if files else [])])


def write_history(path: Path, history: History) -> None:
    """Write a row of figures for each epoch."""
    rows: dict[int, dict[str, float]] = {}
    for key, points in history.items():
        for epoch, value in points:
            rows.setdefault(epoch, {})[key] = value
    with whole_file(path) as file:
        writer = csv.DictWriter(file, ["epoch", *history], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"epoch": epoch, **figures} for epoch, figures in sorted(rows.items()))


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a flat mapping, one key a line."""
    with whole_file(path) as file:
        json.dump(values, file, indent=2)
        file.write("\n")
