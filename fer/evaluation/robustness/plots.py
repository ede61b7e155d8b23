"""The figures of robustness: what the strengths look like, accuracy over them, and several nets side by side."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fer.data.synthetic import draw_faces
from fer.evaluation.plot_style import AMBER, BLUE, INK, MUTED, TEAL, new_figure, style_axes
from fer.evaluation.robustness.corruptions import ALL, AS_IS, FRAMINGS, STRENGTHS, chance, corrupt, usual_place
from fer.evaluation.robustness.figures import as_is, mean_over
from fer.evaluation.robustness.measure import Found
from fer.evaluation.sheets import sheet

DRAWN, CHOSEN = 24, 20  # faces that are drawn, and the one of them that is shown: of middle gray, looking straight
SHOWN = 3  # seed of the sheet: a light mask
STYLES = [(colour, line) for line in ("-", "--", ":") for colour in (BLUE, AMBER, TEAL, MUTED, INK)]
MOST = len(STYLES)  # nets whose curves can be told apart


def severities(side: int = 48) -> Figure:
    """Draw every corruption in its strengths, and the frames, on a drawn face, which may be shown to anybody."""
    face = draw_faces(DRAWN, side)[0][CHOSEN]
    tiles, captions = [], []
    for name, corruption in ALL.items():
        corrupted = [corrupt(name, face, strength, chance(SHOWN, name, 0), usual_place(side)) for strength in STRENGTHS]
        tiles += [face, *corrupted]
        captions += [name, *(f"{strength}: {corruption.amounts[strength - 1]:g}" for strength in STRENGTHS)]
    tiles += [frame(face) for frame in FRAMINGS.values()]
    captions += list(FRAMINGS)
    columns = len(STRENGTHS) + 1
    return sheet(np.stack(tiles) / 255, captions, "Corruptions and their strengths", columns)


def curves(found: Found, title: str) -> Figure:
    """Draw the accuracy over the strengths of each corruption: of one net as crops and in pictures, or of several."""
    nets = [subject.name for subject in found.asked][:MOST]
    figure = new_figure(title, 7.6)
    grid = figure.subplots(3, 4, sharex=True, sharey=True).ravel()
    for axes, name in zip(grid, ALL, strict=False):
        for net, (colour, line) in zip(nets, STYLES, strict=False):
            _curve(axes, found, net, "crop", name, (colour, line, net if len(nets) > 1 else "crop: right"))
        if len(nets) == 1 and len(found.labels["picture"]):
            _curve(axes, found, nets[0], "picture", name, (AMBER, "-", "picture: found, right"))
            scores = found.of(nets[0], "picture")
            shares = [scores[key].found.value for key in _keys(name)]
            axes.plot(range(6), shares, color=MUTED, linestyle=":", label="picture: found")
        axes.set_title(name, fontsize=11, color=INK, loc="left")
        style_axes(axes, grid="both")
        axes.set_xticks(range(6))
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    handles, labels = grid[0].get_legend_handles_labels()
    grid[-1].set_axis_off()
    grid[-1].legend(handles, labels, loc="center left", frameon=False, fontsize=9, labelcolor=INK)
    figure.supxlabel("strength; bands are 95 % intervals over the faces", fontsize=10, color=MUTED)
    return figure


def _keys(name: str) -> list[tuple[str, int]]:
    return [(AS_IS, 0), *((name, strength) for strength in STRENGTHS)]


def _curve(axes: Axes, found: Found, net: str, stage: str, name: str, style: tuple[str, str, str]) -> None:
    scores = found.of(net, stage)
    figures = np.array([scores[key].accuracy for key in _keys(name)])
    colour, line, label = style
    axes.plot(range(6), figures[:, 0], color=colour, linestyle=line, linewidth=1.8, label=label)
    axes.fill_between(range(6), figures[:, 1], figures[:, 2], color=colour, alpha=0.15, linewidth=0)


def comparison(found: Found, title: str) -> Figure:
    """Draw each net's mean accuracy over the strengths of each corruption, with its interval."""
    nets = [subject.name for subject in found.asked][:MOST]
    figure = new_figure(title, 1.6 + len(ALL) * (0.25 + 0.11 * len(nets)))
    axes, names = figure.add_subplot(), list(ALL)
    for index, (net, (colour, line)) in enumerate(zip(nets, STYLES, strict=False)):
        offset = (index - (len(nets) - 1) / 2) * 0.7 / len(nets)
        for place, name in enumerate(names):
            mean = mean_over(found, net, "crop", [name])
            axes.plot((mean.low, mean.high), (place + offset,) * 2, color=colour, linestyle=line, linewidth=2)
            axes.plot(mean.value, place + offset, "o", color=colour, markersize=5, label=net if place == 0 else None)
        clean = as_is(found, net, "crop").right.mean()
        axes.axvline(clean, color=colour, linestyle=line, linewidth=0.8, alpha=0.6)
    style_axes(axes, "mean accuracy over five strengths, 95 % intervals; lines: as they are", grid="x")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
    return figure
