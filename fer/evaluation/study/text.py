"""The sections of a study's report, as lines of Markdown."""

import math
from collections.abc import Sequence

import numpy as np

from fer.counting import counted
from fer.evaluation.markdown import code, listed, p_value, per_cent, plain, points, span, spread, table
from fer.evaluation.statistics import FEWEST, LEVEL, RESAMPLES
from fer.evaluation.study.grouping import Study
from fer.evaluation.study.plots import accuracy_interval, recall_change
from fer.evaluation.study.ranking import ALPHA, Ranking, Row
from fer.evaluation.study.runs import Run
from fer.evaluation.study.verdicts import PLACES, conclude
from fer.monitor import is_share

HEADINGS = {"accuracy": "accuracy", "balanced_accuracy": "balanced", "f1_macro": "macro F1", "ece": "ECE"}
METHOD = f"""\
- Ranked on validation alone; the test split is scored once, after training, and chooses nothing. Over seeds: mean,
  standard deviation and {100 * LEVEL:.0f} % t-interval of three or more runs; differences by Welch's test (Welch 1947).
- Over images: paired percentile bootstrap, {RESAMPLES:,} resamples of the images, the nets as they are; of each image,
  how often the setting's nets were right minus how often the baseline's were (Efron & Tibshirani 1993, ch. 13, 16).
- p is two-sided and corrected by Holm's method (Holm 1979) for all comparisons of a section, the tests over images and
  those over seeds each. "Better" and "worse" need every test that there is below {ALPHA:.2f} after that.
- A setting is all runs whose configurations agree but for seed, resume, workers, test, tta and groups. Settings are
  compared only where rows and targets of the images are the same. Points are percentage points. ECE: less is better."""


def conclusions(study: Study, rankings: Sequence[Ranking]) -> list[str]:
    """Return what comes first: a paragraph for each task, and what is missing."""
    lines = []
    for ranking in rankings:
        lines += [f"**{plain(ranking.task.title)}**", ""] if len(rankings) > 1 else []
        lines += conclude(ranking)
    if not rankings:
        lines += ["No run is finished: nothing can be concluded.", ""]
    if improving := _still_improving(study):
        lines += [improving, ""]
    if missing := _missing(study):
        lines += [f"**Missing: {missing}**; see [all runs](#all-runs).", ""]
    return lines


def _still_improving(study: Study) -> str:
    """Say so if most of the trainings ended before their nets were at their best."""
    known = [run.metrics for run in study.runs if {"epochs", "best_epoch"} <= run.metrics.keys()]
    last = sum(metrics["best_epoch"] == metrics["epochs"] for metrics in known)
    if 2 * last <= len(known):
        return ""
    return (
        f"**In {last} of {counted(len(known), 'run')} the last epoch was the best**: these nets were still improving, "
        "and longer trainings may rank otherwise."
    )


def _missing(study: Study) -> str:
    problems = [run.problem for run in study.runs if run.problem]
    counts = {
        kind: sum(problem.startswith(kind) for problem in problems) for kind in ("failed", "not finished", "damaged")
    }
    return listed([f"{count} {'run' if count == 1 else 'runs'} {kind}" for kind, count in counts.items() if count])


def ranked(ranking: Ranking) -> list[str]:
    """Return the table of all settings, the best on validation first, and what to know about it."""
    keys = [f"test/{name}" for name in HEADINGS if ranking.split == "test"]
    keys += [key for key in ranking.task.keys("test_") if key.endswith("/accuracy")]
    keys = [*dict.fromkeys(("val/accuracy", ranking.monitor)), *keys]
    header = [code(ranking.task.heading) if ranking.task.heading != "setting" else "setting", "seeds"]
    header += [_heading(key) for key in keys] + ["minutes", "images/s"]
    rows = [
        [_name(row, ranking), str(len(row.setting.runs)), *(_cell(row, key) for key in keys)] for row in ranking.rows
    ]
    for cells, row in zip(rows, ranking.rows, strict=True):
        cells += [_number(row.mean("seconds") / 60, 1), _number(row.mean("images_per_second"), 0)]
    return [*table(header, rows), *_notes(ranking), ""]


def _heading(key: str) -> str:
    split, _, name = key.partition("/")
    return f"{split.replace('_', ', ', 1)} {HEADINGS.get(name, name)}"


def _name(row: Row, ranking: Ranking) -> str:
    return code(row.setting.name) + (" (baseline)" if row is ranking.baseline and ranking.others else "")


def _cell(row: Row, key: str) -> str:
    if not is_share(key):
        return spread(row.figures.get(key), 1, 3)
    low, high, over = accuracy_interval(row, key)
    text = spread(row.figures.get(key))
    return f"{text}<br>({per_cent(low)} to {per_cent(high)})" if over == "images" and not math.isnan(low) else text


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"


def _notes(ranking: Ranking) -> list[str]:
    task, rows = ranking.task, ranking.rows
    numbers = [
        f"{run.figure(f'{split}/n'):,.0f} {split}" for split in ("val", "test") for run in _with(task.runs, split)
    ]
    notes = [
        f"Per cent, of {listed(numbers)} faces; mean ± standard deviation over seeds and the 95 % interval of the mean."
    ]
    if any(len(row.setting.runs) == 1 for row in rows):
        notes.append("Of a single run, in brackets: the 95 % bootstrap interval over the images.")
    if any(len(row.setting.runs) < FEWEST for row in rows):
        notes.append("With one or two seeds there is no interval over seeds.")
    if ranking.monitor != "val/accuracy":
        notes.append(f"Ranked by {code(ranking.monitor)}, which chose the epochs too.")
    for key in ("device", "threads", "precision", "versions"):
        found = list(dict.fromkeys(_describe(run.metrics[key]) for run in task.runs if key in run.metrics))
        if len(found) > 1:
            notes.append(f"The runs differ in {key} ({'; '.join(map(plain, found))}).")
    for part, counts in task.uneven.items():
        notes.append(f"No figures of {code(part)}: the runs have {listed([f'{n:,.0f}' for n in counts])} faces of it.")
    for row in rows:
        tested = row.figures["test/accuracy"].n if "test/accuracy" in row.figures else 0
        if ranking.split == "test" and tested < len(row.setting.runs):
            notes.append(f"Of {code(row.setting.name)}, {tested} of {len(row.setting.runs)} runs have test figures.")
    return notes


def _with(runs: Sequence[Run], split: str) -> list[Run]:
    return [run for run in runs if not math.isnan(run.figure(f"{split}/n"))][:1]


def _describe(value: object) -> str:
    return ", ".join(f"{name} {own}" for name, own in value.items()) if isinstance(value, dict) else str(value)


def compared(ranking: Ranking) -> list[str]:
    """Return the table of differences to the baseline."""
    split = ranking.split
    header = [
        "setting",
        "accuracy, points",
        "over images",
        "p, Holm",
        "over seeds",
        "p, Holm",
        "balanced accuracy",
        "over images",
    ]
    keys = [f"{split}/accuracy", f"{split}/balanced_accuracy"] + (["val/accuracy"] if split == "test" else [])
    header += ["val accuracy", "over images"] if split == "test" else []
    rows = []
    for row in ranking.others:
        first, *more = ([points(ranking.change(row, key)), span(row.images.get(key))] for key in keys)
        tests = [p_value(row.p_images), span(row.seeds), p_value(row.p_seeds)]
        rows.append([code(row.setting.name), *first, *tests, *(cell for pair in more for cell in pair)])
    baseline, count = code(ranking.baseline.setting.name), len(ranking.others)
    return [
        f"On {PLACES[split]}, minus {baseline}; 95 % intervals, as computed one by one; p corrected by Holm for "
        f"{counted(count, 'comparison')}. For another baseline: `--baseline LABEL`.",
        "",
        *table(header, rows),
    ]


def by_class(ranking: Ranking) -> list[str]:
    """Return the table of recalls: the baseline's, and the changes of the others."""
    classes, split = ranking.task.classes, ranking.split
    own = [per_cent(ranking.baseline.mean(f"{split}/recall/{name}")) for name in classes]
    rows = [[_name(ranking.baseline, ranking), *own]]
    rows += [[_name(row, ranking), *(_recall(row, ranking, name) for name in classes)] for row in ranking.others]
    note = (
        f"Recall on {PLACES[split]} in per cent; of the other settings, the change in points, bold where its 95 % "
        "bootstrap interval over images excludes zero (not corrected: about one in twenty would be bold by chance)."
    )
    return [note, "", *table(["setting", *(plain(name) for name in classes)], rows)]


def _recall(row: Row, ranking: Ranking, name: str) -> str:
    text, found = points(recall_change(row, ranking, name)), row.images.get(f"{ranking.split}/recall/{name}")
    return f"**{text}**" if found and (found.low > 0 or found.high < 0) else text


def confusions(ranking: Ranking, most: int = 3) -> list[str]:
    """Return the largest changes of each setting's confusions, in words."""
    lines, classes = [], ranking.task.classes
    for row in ranking.others[:10]:
        if row.confusion is None or ranking.baseline.confusion is None:
            continue
        changes = row.confusion - ranking.baseline.confusion
        np.fill_diagonal(changes, 0)
        order = np.argsort(-np.abs(changes), axis=None, kind="stable")[:most]
        largest = [
            f"{plain(classes[true])} as {plain(classes[predicted])} {points(changes[true, predicted])}"
            for true, predicted in zip(*np.unravel_index(order, changes.shape), strict=True)
            if changes[true, predicted]
        ]
        lines.append(f"- {code(row.setting.name)}: {', '.join(largest) or 'no change'}")
    return ["Largest changes of confusions, in points of the true class:", "", *lines, ""] if lines else []


def training(ranking: Ranking) -> list[str]:
    """Return how long and how fast each setting was trained."""
    rows = []
    for row in ranking.rows:
        minutes, speed = row.mean("seconds") / 60, row.mean("images_per_second")
        ratio = speed / ranking.baseline.mean("images_per_second")
        epochs = [_number(row.mean(key), 0 if key == "epochs" else 1) for key in ("best_epoch", "epochs")]
        rows.append([_name(row, ranking), *epochs, _number(minutes, 1), _number(speed, 0), _number(ratio, 2)])
    header = ["setting", "best epoch", "epochs", "minutes", "images/s", "times the baseline's"]
    return [*table(header, rows), "Means over runs. Speeds are those of the machine as busy as it was.", ""]


def all_runs(study: Study, rankings: Sequence[Ranking], names: dict[int, str]) -> list[str]:
    """Return the table of all runs, those included that do not count, and why.

    Args:
        study: the runs.
        rankings: of its tasks.
        names: by id of a run, its folder as one would type it from the report.
    """
    label = {id(run): s.name for ranking in rankings for s in ranking.task.settings for run in s.runs}
    rows = []
    for run in study.runs:
        setting = label.get(id(run)) or ", ".join(f"{key}={value}" for key, value in _own_words(run, study))
        figures = [per_cent(run.figure(f"{split}/accuracy")) for split in ("val", "test")]
        told = plain("; ".join(filter(None, (run.problem or "counts", *run.notes))))
        seed, epoch = ("–" if run.seed is None else str(run.seed)), _number(run.figure("best_epoch"), 0)
        rows.append([code(names[id(run)]), code(setting) if setting else "–", told, seed, epoch, *figures])
    return table(["folder", "setting", "", "seed", "best epoch", "val accuracy", "test accuracy"], rows, left=3)


def _own_words(run: Run, study: Study) -> list[tuple[str, str]]:
    """Return what was typed for a run and not for all of them alike."""
    return [word for word in run.typed.items() if any(word not in other.typed.items() for other in study.runs)]
