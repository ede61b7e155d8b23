"""The one style of all figures: colours, type, axes.

The sizes are for 1200 pixels of width at 150 dpi, with type that is still legible at 640. The colours differ in
lightness too, so that they stay apart for colour-blind readers and on paper.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

BLUE, TEAL, AMBER = "#1D4E89", "#2A9D8F", "#F2A541"
INK, MUTED, LINES = "#1F2933", "#66717D", "#E3E7EB"
SHADES = LinearSegmentedColormap.from_list("shades", ["#FFFFFF", "#9DB9D9", BLUE, "#0F2C52"])
WIDTH, DPI = 8.0, 150
LEGIBLE = 16  # classes whose figures can be read in a matrix or on bars, and drawn within a second
ACROSS = 90  # letters that have room side by side


def new_figure(title: str, height: float) -> Figure:
    """Return an empty figure; its height is in inches."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    figure.suptitle(title, x=0.015, ha="left", fontsize=14, fontweight="bold", color=INK)
    return figure


def style_axes(axes: Axes, x: str = "", y: str = "", grid: str = "y") -> None:
    """Label the axes, and take away all lines but the grid's (`grid` is "x", "y", "both" or none)."""
    axes.set_xlabel(x, fontsize=11, color=MUTED)
    axes.set_ylabel(y, fontsize=11, color=MUTED)
    axes.tick_params(length=0, labelsize=10.5, labelcolor=INK, pad=6)
    axes.spines[:].set_visible(False)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=LINES, linewidth=1)


def name_ticks(axes: Axes, classes: Sequence[str]) -> None:
    """Write the classes below the axes, after `style_axes`; upright where there is no room for them side by side."""
    axes.set_xticks(range(len(classes)), classes)
    if (max(map(len, classes)) + 1) * len(classes) > ACROSS:
        axes.tick_params(axis="x", rotation=90, labelsize=tick_size(len(classes)))


def tick_size(count: int) -> float:
    """Return how large the letters of so many names in a row may be."""
    return min(10.5, max(10.5 * LEGIBLE / count, 4))


def top_legend(figure: Figure, axes: Axes) -> None:
    """Put the legend on the title's line, at the right."""
    handles, labels = axes.get_legend_handles_labels()
    place = {"loc": "upper right", "ncols": len(labels), "borderaxespad": 0.4}
    figure.legend(handles, labels, frameon=False, fontsize=10.5, labelcolor=INK, **place)
