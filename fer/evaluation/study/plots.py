"""The figures of a study, in the style of all others: accuracies, differences, classes, confusions, learning curves."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fer.evaluation.markdown import points
from fer.evaluation.plot_style import AMBER, BLUE, INK, MUTED, TEAL, new_figure, style_axes
from fer.evaluation.study.ranking import Ranking, Row
from fer.evaluation.study.verdicts import PLACES

CHANGES = LinearSegmentedColormap.from_list("changes", ["#8C4A00", AMBER, "#FFFFFF", "#7FA3CC", BLUE])
CURVES = (BLUE, AMBER, TEAL, "#B5367A", "#6BAED6", "#7A5C3A", "#8BC34A", "#7B61C4", "#D9480F")
MAX_ROWS = 20  # settings in a figure with a line for each
PALE = "#A9C1DD"
PER_CENT = FuncFormatter(lambda value, _: f"{100 * value:.4g}%")
POINTS = FuncFormatter(lambda value, _: f"{100 * value:+.3g}".replace("-", "−") if value else "0")


def rows_to_plot(ranking: Ranking, most: int = MAX_ROWS) -> list[Row]:
    """Return the rows that a figure has room for: the best on validation, and the baseline."""
    best = ranking.rows[:most]
    return best if ranking.baseline in best else [*best[:-1], ranking.baseline]


def accuracies(ranking: Ranking) -> Figure:
    """Draw each setting's accuracy as a bar, and beside it, enlarged, with its runs, interval, and validation."""
    rows, key = rows_to_plot(ranking), f"{ranking.split}/accuracy"
    figure, (bars, axes) = _by_setting(f"Accuracy on {PLACES[ranking.split]}", ranking, rows, columns=(1, 2))
    means = [row.mean(key) for row in rows]
    colours = [BLUE if row is ranking.rows[0] else MUTED if row is ranking.baseline else PALE for row in rows]
    drawn = bars.barh(range(len(rows)), np.nan_to_num(means), 0.7, color=colours)
    texts = ["–" if math.isnan(mean) else f"{100 * mean:.1f}" for mean in means]
    bars.bar_label(drawn, texts, padding=3, fontsize=10.5, color=INK)
    bars.set_xlim(0, 1.25 * max(np.nan_to_num(means)) or 1)
    _enlarge(axes, rows, key)
    for part in (bars, axes):
        part.xaxis.set_major_locator(MaxNLocator(4 if part is bars else 6, steps=[1, 2, 5, 10]))
        part.xaxis.set_major_formatter(PER_CENT)
    bars.set_xlabel("in the order of validation")
    axes.set_xlabel("enlarged")
    return figure


def _enlarge(axes: Axes, rows: Sequence[Row], key: str) -> None:
    drawn: dict[str, object] = {}
    for place, row in enumerate(rows):
        runs = [run.figure(key) for run in row.setting.runs]
        if not key.startswith("val"):
            style = {"color": AMBER, "markersize": 6.5, "linestyle": "", "zorder": 2}
            drawn["validation"] = axes.plot(row.mean("val/accuracy"), place + 0.24, "D", **style)[0]
        low, high, over = accuracy_interval(row, key)
        if not math.isnan(low):
            drawn[f"95 % over {over}"] = _interval(axes, low, high, place, BLUE, over == "images")
        drawn["mean" if len(runs) > 1 else "run"] = axes.plot(
            row.mean(key), place, "o", color=BLUE, markersize=7, zorder=4
        )[0]
        if len(runs) > 1:
            style = {"color": "white", "markeredgecolor": INK, "markersize": 4.5, "markeredgewidth": 0.9, "zorder": 4}
            drawn["one run"] = axes.plot(runs, [place - 0.24] * len(runs), "o", linestyle="", **style)[0]
    axes.margins(x=0.08)
    _legend(axes.figure, drawn)


def accuracy_interval(row: Row, key: str) -> tuple[float, float, str]:
    """Return the interval of a setting's accuracy and over what it is: seeds, or, of a single run, images."""
    figure = row.figures.get(key)
    if figure and not math.isnan(figure.low):
        return figure.low, figure.high, "seeds"
    if len(row.setting.runs) == 1:
        [run] = row.setting.runs
        return run.figure(f"{key}_low"), run.figure(f"{key}_high"), "images"
    return math.nan, math.nan, ""


def _interval(axes: Axes, low: float, high: float, place: float, colour: str, dashed: bool = False) -> object:
    """Draw an interval with its ends."""
    ends = {"linestyle": "", "markersize": 7, "markeredgewidth": 1.5}
    axes.plot((low, high), (place, place), "|", color=colour, **ends)
    kind = (0, (2, 1.2)) if dashed else "-"
    return axes.plot((low, high), (place, place), color=colour, linewidth=1.8, linestyle=kind)[0]


def differences(ranking: Ranking) -> Figure:
    """Draw each setting's difference to the baseline in accuracy, with its interval over images and over seeds."""
    rows, key = [row for row in rows_to_plot(ranking) if row is not ranking.baseline], f"{ranking.split}/accuracy"
    name = _short_name(ranking.baseline, "the baseline")
    figure, (axes,) = _by_setting(f"Accuracy on {PLACES[ranking.split]}, minus {name}, points", ranking, rows)
    axes.axvline(0, color=INK, linewidth=1.2)
    drawn: dict[str, object] = {}
    for place, row in enumerate(rows):
        both = (("images", row.images.get(key), BLUE, -0.13), ("seeds", row.seeds, AMBER, 0.13))
        for over, found, colour, shift in both:
            if found is None:
                continue
            shift = shift if row.seeds and key in row.images else 0
            axes.plot(found.value, place + shift, "o", color=colour, markersize=6.5, zorder=4)
            if not math.isnan(found.low):
                drawn[f"95 % over {over}"] = _interval(axes, found.low, found.high, place + shift, colour)
    axes.xaxis.set_major_formatter(POINTS)
    _legend(figure, drawn)
    return figure


def recalls(ranking: Ranking) -> Figure:
    """Draw by how many points each class is found more often than by the baseline."""
    rows = [row for row in rows_to_plot(ranking) if row is not ranking.baseline]
    classes, name = ranking.task.classes, _short_name(ranking.baseline, "the baseline")
    changes = np.array([[recall_change(row, ranking, label) for label in classes] for row in rows])
    figure, (axes,) = _by_setting(f"Recall on {PLACES[ranking.split]}, minus {name}, points", ranking, rows, 0.5)
    _changes(axes, changes, 12)
    own = {label: ranking.baseline.mean(f"{ranking.split}/recall/{label}") for label in classes}
    labels = [label if math.isnan(recall) else f"{label}\n{100 * recall:.0f} %" for label, recall in own.items()]
    turned = (
        {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if len(classes) * max(map(len, classes)) > 60 else {}
    )
    axes.set_xticks(range(len(classes)), labels, **turned)
    style_axes(axes, f"true class, and its recall by {name}", grid="")
    axes.grid(False)
    return figure


def recall_change(row: Row, ranking: Ranking, label: str) -> float:
    """Return how much more often than by the baseline a class is found."""
    key = f"{ranking.split}/recall/{label}"
    return ranking.change(row, key)


def confusion_change(ranking: Ranking, row: Row) -> Figure:
    """Draw by how many points the shares of each true class, mean over seeds, differ from the baseline's."""
    classes, name = (
        ranking.task.classes,
        _short_name(row, "the best" if row is ranking.rows[0] else "the next best"),
    )
    title = (
        f"Confusion on {PLACES[ranking.split]}, points: {name} minus {_short_name(ranking.baseline, 'the baseline')}"
    )
    figure = new_figure(title, 6.2)
    axes = figure.add_subplot()
    _changes(axes, row.confusion - ranking.baseline.confusion, 12)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    style_axes(axes, "predicted", "true", grid="")
    return figure


def _changes(axes: Axes, changes: np.ndarray, size: float) -> None:
    """Draw a table of changes, coloured by size, with each number."""
    reach = max(np.nanmax(np.abs(changes), initial=0), 0.02)
    axes.imshow(changes, cmap=CHANGES, vmin=-reach, vmax=reach, aspect="auto")
    rows, columns = changes.shape
    axes.hlines(np.arange(1, rows) - 0.5, -0.5, columns - 0.5, colors="white", linewidth=2)
    axes.vlines(np.arange(1, columns) - 0.5, -0.5, rows - 0.5, colors="white", linewidth=2)
    for (row, column), change in np.ndenumerate(changes):
        text = "–" if math.isnan(change) else points(change) if change else "0"
        colour = "white" if abs(change) > 0.7 * reach else INK
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour, in_layout=False)


def curves(ranking: Ranking) -> Figure:
    """Draw the accuracy on validation over the epochs: each run thin, each setting's mean thick."""
    rows = [row for row in rows_to_plot(ranking, len(CURVES) + 1) if any(run.curve for run in row.setting.runs)]
    figure = new_figure(_title("Accuracy on validation", ranking, len(CURVES) + 1), 5.0 + 0.2 * len(rows))
    axes, colours = figure.add_subplot(), iter(CURVES)
    for row in rows:
        known = [run.curve for run in row.setting.runs if run.curve]
        own = row is ranking.baseline
        colour = MUTED if own else next(colours)
        for curve in known if len(known) > 1 else ():
            axes.plot(*zip(*curve, strict=True), color=colour, linewidth=0.8, alpha=0.45)
        values = np.array([[value for _, value in curve[: min(map(len, known))]] for curve in known])
        epochs = [epoch for epoch, _ in known[0][: values.shape[1]]]
        label = _tick(row, ranking)
        line = {"linewidth": 2.2, "linestyle": "--" if own else "-", "marker": "o" if len(epochs) < 5 else ""}
        axes.plot(epochs, values.mean(0), color=colour, label=label, markersize=4, **line)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(PER_CENT)
    style_axes(axes, "epoch")
    _legend(figure, dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True)))
    return figure


def _by_setting(
    title: str, ranking: Ranking, rows: Sequence[Row], tall: float = 0.42, columns: Sequence[float] = (1,)
) -> tuple[Figure, Sequence[Axes]]:
    """Return axes, side by side in columns of these widths, with a line for each setting, from the top."""
    labels = [_tick(row, ranking) for row in rows]
    lines = [max(1.0, 0.55 * (1 + label.count("\n"))) for label in labels]
    figure = new_figure(_title(title, ranking), 1.7 + tall * max(lines) * len(rows))
    parts = figure.subplots(1, len(columns), sharey=True, width_ratios=columns, squeeze=False)[0]
    parts[0].set_yticks(range(len(rows)), labels)
    parts[0].set_ylim(len(rows) - 0.5, -0.5)
    for axes in parts:
        style_axes(axes, grid="x")
    return figure, parts


def _tick(row: Row, ranking: Ranking) -> str:
    text = "\n".join(short(part) for part in row.setting.name.split(", "))
    return f"{text} (baseline)" if row is ranking.baseline and ranking.others else text


def _short_name(row: Row, otherwise: str) -> str:
    """Return a setting's name for a heading, or what else it may be called if that is long."""
    name = row.setting.name
    return short(name) if len(name) <= 24 else otherwise


def short(name: str, most: int = 34) -> str:
    """Return a name for a figure: long ones lose their beginning, and no dollar makes a formula."""
    name = name if len(name) <= most else f"…{name[1 - most :]}"
    return name.replace("$", r"\$")


def _title(text: str, ranking: Ranking, most: int = MAX_ROWS) -> str:
    """Return a heading with the task's, and how many of the settings are shown."""
    part = f", the best {most} of {len(ranking.rows)}" if len(ranking.rows) > most else ""
    return textwrap.fill(f"{text}: {ranking.task.title}{part}", 66)


def _legend(figure: Figure, drawn: dict[str, object]) -> None:
    """Put the legend below, in as many columns as its longest name leaves room for."""
    if not drawn:
        return
    longest = max(len(line) for name in drawn for line in name.split("\n"))
    style = {"frameon": False, "fontsize": 10.5, "labelcolor": INK, "ncols": max(1, min(4, 84 // (longest + 8)))}
    figure.legend(list(drawn.values()), list(drawn), loc="outside lower left", **style)
