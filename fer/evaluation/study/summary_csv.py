"""A study's numbers as a table for other programs: one row a setting, full precision."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer.atomic import whole_file
from fer.evaluation.study.ranking import Ranking, Row
from fer.evaluation.study.verdicts import verdict


def write_summary(path: Path, rankings: Sequence[Ranking]) -> None:
    """Write a row for each setting of each task; what a setting does not have stays empty."""
    named = list(dict.fromkeys(key for ranking in rankings for row in ranking.rows for key in row.setting.keys))
    rows = [
        {"task": ranking.task.title, "rank": place, "setting": row.setting.label}
        | {key: row.setting.runs[0].value(key) for key in named}
        | _numbers(row, ranking)
        for ranking in rankings
        for place, row in enumerate(ranking.rows, 1)
    ]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with whole_file(path) as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: value for key, value in row.items() if not _is_nan(value)} for row in rows)


def _numbers(row: Row, ranking: Ranking) -> dict[str, Any]:
    runs, is_baseline = row.setting.runs, row is ranking.baseline
    numbers: dict[str, Any] = {
        "seeds": len(runs),
        "baseline": ranking.baseline.setting.label,
        "verdict": "baseline" if is_baseline else verdict(row, ranking.split),
    }
    for key, figure in sorted(row.figures.items()):
        values = {"mean": figure.mean, "sd": figure.sd, "low": figure.low, "high": figure.high, "runs": figure.n}
        numbers |= {f"{key}_{name}": value for name, value in values.items()}
    for key, found in sorted(row.images.items()):
        values = {"": found.value, "_low": found.low, "_high": found.high, "_p": found.p}
        numbers |= {f"{key}_difference{name}": value for name, value in values.items()}
    key = f"{ranking.split}/accuracy_difference"
    if row.seeds:
        numbers |= {f"{key}_seeds_{name}": getattr(row.seeds, name) for name in ("low", "high", "p")}
    return numbers | {f"{key}_p_holm": row.p_images, f"{key}_seeds_p_holm": row.p_seeds}


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
