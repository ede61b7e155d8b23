"""The figures of an inspection: the classes of each split, faces of each class, pairs of faces that are one picture."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fer.data.table import Split, Table
from fer.evaluation.plot_style import AMBER, BLUE, INK, LEGIBLE, TEAL, name_ticks, new_figure, style_axes, top_legend
from fer.evaluation.sheets import gray_levels, sheet

COLUMNS = 8  # faces of a class
MOST_FACES = 128  # of a sheet of samples
MOST_PAIRS = 24  # of a sheet of pairs
COLOURS = {Split.TRAIN: BLUE, Split.VAL: TEAL, Split.TEST: AMBER}
BELOW_FACE, BELOW_PAIR = 9, 14  # letters of a class that there is room for


def class_shares(table: Table) -> Figure:
    """Draw the share of each class in each split that has faces, so that splits of all sizes compare."""
    counts = {split: found for split, found in table.counts().items() if found.any()}
    figure = new_figure("Classes: share of each split", 4.6)
    axes = figure.add_subplot()
    places, width = np.arange(len(table.classes)), 0.82 / len(counts)
    for index, (split, found) in enumerate(counts.items()):
        shares = found / found.sum()
        label = f"{split.name.lower()} ({found.sum():,})"
        left = places + (index - (len(counts) - 1) / 2) * width
        bars = axes.bar(left, shares, width * 0.92, color=COLOURS[split], label=label)
        if len(table.classes) <= LEGIBLE // 2:
            axes.bar_label(bars, [f"{100 * share:.0f}" for share in shares], padding=2, fontsize=9, color=INK)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.margins(y=0.1)
    style_axes(axes)
    name_ticks(axes, table.classes)
    top_legend(figure, axes)
    return figure


def samples(table: Table, seed: int) -> Figure:
    """Draw faces of each class that has some, a row a class where there are not too many classes.

    Args:
        table: N faces, N at least 1.
        seed: of the choice.
    """
    counts = table.counts()
    shown = np.unique(table.labels)
    each = COLUMNS if len(shown) <= LEGIBLE else max(MOST_FACES // len(shown), 1)
    tiles, captions = [], []
    for label in shown:
        faces = table.select(table.labels == label).sample(seed, each).images / 255
        whites = np.ones((each - len(faces), *faces.shape[1:]))
        tiles += [*faces, *whites]
        found = ", ".join(f"{counts[split][label]:,} {split.name.lower()}" for split in Split)
        about = f"{table.classes[label]}: {found}" if each == COLUMNS else _short(table.classes[label], BELOW_FACE)
        captions += [about, *[""] * (each - 1)]
    return sheet(np.array(tiles), captions, "Some faces of each class", COLUMNS)


def pairs(table: Table, places: np.ndarray, likeness: np.ndarray, title: str, seed: int) -> Figure:
    """Draw pairs of faces beside each other, with how alike they are, their splits and their labels.

    Args:
        table: N faces.
        places: (P, 2) int64 of the pairs, P at least 1; of many, some are drawn.
        likeness: (P,) correlation of each pair; infinite if its faces are equal in every pixel.
        title: heading; how many are shown is added.
        seed: of the choice.
    """
    chosen = _some(np.isinf(likeness), seed)
    left, right = (gray_levels(table.images[places[chosen, side]]) for side in (0, 1))
    seam = np.ones((*left.shape[:2], max(left.shape[2] // 24, 1)))
    captions = ["\n".join((_how(likeness[i]), *(_whose(table, place) for place in places[i].tolist()))) for i in chosen]
    shown = f"{title} ({len(chosen)} of {len(places):,} pairs)"
    return sheet(np.concatenate((left, seam, right), axis=2), captions, shown, columns=4)


def _some(is_equal: np.ndarray, seed: int) -> np.ndarray:
    """Choose at most `MOST_PAIRS` of pairs, half of them equal ones where there are enough of both kinds."""
    rng = np.random.default_rng(seed)
    equal, near = (rng.permutation(np.flatnonzero(kind)) for kind in (is_equal, ~is_equal))
    room = max(MOST_PAIRS // 2, MOST_PAIRS - len(near))
    equal = equal[:room]
    return np.concatenate((equal, near[: MOST_PAIRS - len(equal)]))


def _how(likeness: float) -> str:
    return "equal" if np.isinf(likeness) else f"nearly: {likeness:.3f}"


def _whose(table: Table, place: int) -> str:
    return f"{Split(table.splits[place]).name.lower()}: {_short(table.classes[table.labels[place]], BELOW_PAIR)}"


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
