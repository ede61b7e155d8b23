"""What a measurement of faithfulness says: Markdown, CSV and figures."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from fer.atomic import whole_file
from fer.evaluation.markdown import code, p_value, table
from fer.evaluation.perturbation import CURVES, SHARES, SIGNS, areas
from fer.evaluation.plot_style import AMBER, BLUE, INK, MUTED, TEAL, new_figure, style_axes
from fer.evaluation.sheets import gray_levels, sheet
from fer.evaluation.statistics import Difference, holm, of_mean
from fer.run_folder import make_folder

if TYPE_CHECKING:
    from fer.evaluation.faithfulness import Found, Score

REPORT, RESULTS = "faithfulness.md", "faithfulness.csv"
SHOWN = 6  # faces of the sheet
METHOD = (
    "deletion: the pixels that a map points at are replaced first (by the blurred face, by the mean gray), and the "
    "area below the probability of the predicted class should be small; insertion: they come first, and it should be "
    "large; ROAD: filled from their rims, half of the difference between the least and the most important ones, "
    "larger is better. Gain: the mean of what the four areas gain over Grad-CAM of the last layer on the same faces, "
    "with its 95 % interval (bootstrap over faces) and p (Holm, over all rows)."
)
SHUFFLED = (
    "Rank correlation of each map with that of the net after its head, and then each layer from the last on, got its "
    "own weights in a random order. A map of what was learned has to fall towards 0; one that stays shows the picture."
)


def gains_of(found: "Found") -> list[Difference]:
    """Return what each score's areas gain over the first one's, p corrected for the number of comparisons."""
    base = areas(found.scores[0].curves)
    raw = [of_mean(((areas(score.curves) - base) * SIGNS).mean(1)) for score in found.scores]
    corrected = holm([gain.p for gain in raw[1:]])
    return [raw[0]._replace(p=np.nan), *(gain._replace(p=p) for gain, p in zip(raw[1:], corrected, strict=True))]


def _row(score: "Score", gain: Difference) -> list[str]:
    areas_of = [f"{value:.3f}" for value in areas(score.curves).mean(0)]
    value, low, high = (f"{number:+.3f}".replace("-", "−") for number in gain[:3])
    is_base = np.isnan(gain.p)
    cells = f"{score.cells}x{score.cells}" if score.cells else "–"
    more = ["–", "–"] if is_base else [f"{value} ({low} to {high})", p_value(gain.p)]
    return [code(str(score.spec)), cells, *areas_of, f"{score.road.mean():.3f}".replace("-", "−"), *more]


def lines_of(found: "Found", title: str, command: str) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"# Faithfulness of heatmaps: {title}\n"
    n, few = len(found.images), len(found.scores[0].road)
    yield (
        f"{n} faces drawn by the seed, ROAD on the first {few}; the predicted class has a probability of "
        f"{found.probabilities.mean():.3f} in the mean. {METHOD[0].upper()}{METHOD[1:]}\n"
    )
    pairs = list(zip(found.scores, gains_of(found), strict=True))
    pairs.sort(key=lambda pair: -pair[1].value)
    header = ["explainer:layer", "cells", *CURVES, "ROAD", "gain", "p"]
    yield from table(header, [_row(*pair) for pair in pairs])
    yield "![Deletion and insertion](figures/curves.png)\n"
    yield "![Gain over Grad-CAM of the last layer](figures/gains.png)\n"
    yield "![Some faces](figures/maps.png)\n"
    yield "## After shuffling weights\n"
    yield f"{SHUFFLED}\n"
    nets = _nets(found.scores[0])
    known = [score for score, _ in pairs if len(score.shuffled)]
    yield from table(
        ["explainer:layer", *nets],
        [[code(str(score.spec)), *(f"{value:.2f}".replace("-", "−") for value in score.shuffled)] for score in known],
    )
    yield f"To make it again: {code(command)}\n"


def _nets(score: "Score") -> list[str]:
    count = len(score.shuffled) - 1
    return ["head", *(f"and layer {layer}" for layer in range(count, 0, -1))]


def write_report(folder: Path, found: "Found", lines: list[str], title: str) -> Path:
    """Write faithfulness.csv, figures/ and faithfulness.md; return the last one's path.

    Raises:
        UserError: if the folder of the figures cannot be made.
        RunError: if a file cannot be written.
    """
    figures = {"curves": draw_curves(found, title), "gains": draw_gains(found, title), "maps": draw_maps(found, title)}
    make_folder(folder / "figures")
    for name, figure in figures.items():
        with whole_file(folder / "figures" / f"{name}.png", "wb") as file:
            figure.savefig(file, format="png", dpi=100)
    nets = _nets(found.scores[0])
    with whole_file(folder / RESULTS) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["explainer", "layer", "cells", *CURVES, "road", "gain", "low", "high", "p", *nets])
        for score, gain in zip(found.scores, gains_of(found), strict=True):
            values = [*areas(score.curves).mean(0), score.road.mean(), *gain, *score.shuffled]
            texts = ["" if np.isnan(value) else f"{value:.5f}" for value in values]
            writer.writerow([score.spec.name, score.spec.layer, score.cells, *texts])
    with whole_file(folder / REPORT) as file:
        file.write("\n".join(lines))
    return folder / REPORT


def _chosen(found: "Found") -> dict[str, "Score"]:
    """Return the scores that are drawn: the best, Grad-CAM of the last layer, the finest random maps, and the blob."""
    values = [gain.value for gain in gains_of(found)]
    ranked = [found.scores[place] for place in np.argsort(values)[::-1]]
    best = next(score for score in ranked if not score.spec.is_control)
    random = max((score for score in found.scores if score.spec.name == "random"), key=lambda score: score.cells)
    usual = [score for score in found.scores if str(score.spec) == _usual(found)]
    return {str(score.spec): score for score in (best, *usual, found.scores[0], found.scores[-1], random)}


def _usual(found: "Found") -> str:
    return f"gatedcam:{max(found.scores[0].spec.layer - 1, 1)}"


def draw_curves(found: "Found", title: str) -> Figure:
    """Draw deletion and insertion, each the mean of the two ways of emptying a face."""
    figure = new_figure(title, 3.6)
    for axes, name, part in zip(
        figure.subplots(1, 2), ("deletion", "insertion"), (slice(0, 2), slice(2, 4)), strict=True
    ):
        for (spec, score), colour in zip(_chosen(found).items(), (BLUE, TEAL, AMBER, MUTED, INK), strict=False):
            axes.plot(100 * SHARES, score.curves[:, part].mean((0, 1)), color=colour, label=spec, linewidth=2)
        style_axes(axes, f"pixels, % ({name})", "probability" if name == "deletion" else "", grid="both")
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure


def draw_gains(found: "Found", title: str) -> Figure:
    """Draw every gain with its interval."""
    pairs = sorted(zip(found.scores, gains_of(found), strict=True), key=lambda pair: pair[1].value)
    figure = new_figure(title, 0.8 + 0.26 * len(pairs))
    axes = figure.subplots()
    for row, (score, gain) in enumerate(pairs):
        colour = MUTED if score.spec.is_control else BLUE
        axes.plot((gain.low, gain.high), (row, row), color=colour, linewidth=2)
        axes.plot(gain.value, row, "o", color=colour, markersize=5)
    axes.axvline(0, color=AMBER, linewidth=1)
    style_axes(axes, "gain over Grad-CAM of the last layer", grid="x")
    axes.set_yticks(range(len(pairs)), [str(score.spec) for score, _ in pairs])
    return figure


def draw_maps(found: "Found", title: str) -> Figure:
    """Draw some faces, and the maps of the explainers that the curves show, a row each."""
    from matplotlib import colormaps

    faces = gray_levels(found.images[:SHOWN])
    tiles, captions = [np.repeat(faces[..., None], 3, 3)], [found.classes[label] for label in found.labels[:SHOWN]]
    chosen = {name: score for name, score in _chosen(found).items() if not score.spec.is_control}
    for name, score in chosen.items():
        maps = score.maps[:SHOWN, ..., None]
        tiles.append(faces[..., None] * (1 - 0.6 * maps) + colormaps["turbo"](maps[..., 0])[..., :3] * 0.6 * maps)
        captions += [name] * len(maps)
    return sheet(np.concatenate(tiles), captions, title, len(faces))
