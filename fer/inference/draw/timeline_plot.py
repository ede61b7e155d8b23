"""The picture of a clip's emotions over time, a row for each track.

It is made without pyplot: no global state, no display, any thread. matplotlib is imported when the first one is drawn.
"""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fer.emotions import NOT_SURE
from fer.inference.timeline import Timeline, TrackSummary, clock, left_out
from fer.palette import colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINES = "#1F2933", "#66717D", "#E3E7EB"  # as in the figures of an evaluation
WIDTH, DPI = 8.0, 150
LEFT, RIGHT, HEAD, FOOT, ROW = 1.55, 0.25, 0.88, 0.62, 0.98  # inches
GAP = 0.5  # seconds without the face that are left blank
STRIP = (-0.24, -0.06)  # where the answers stand below the probabilities, which reach from 0 to 1
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


def timeline_figure(timeline: Timeline, title: str) -> "Figure":
    """Draw the longest tracks: all probabilities, stacked, and below them a strip with the answer.

    Args:
        timeline: of the clip.
        title: heading, such as the clip's name.
    """
    from matplotlib.figure import Figure

    tracks = timeline.longest
    height = HEAD + max(len(tracks), 1) * ROW + FOOT
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    _head(figure, timeline, title, height)
    axes = None
    for index, track in enumerate(tracks):
        bottom = height - HEAD - (index + 1) * ROW
        place = (LEFT / WIDTH, bottom / height, 1 - (LEFT + RIGHT) / WIDTH, 0.82 * ROW / height)
        axes = figure.add_axes(place, sharex=axes)
        _draw_track(axes, timeline, track)
        _time_axis(axes, timeline, labels=index == len(tracks) - 1)
    if not tracks:
        figure.text(0.5, (FOOT + ROW / 2) / height, "no faces", ha="center", fontsize=12, color=MUTED)
    key = "areas: probabilities, strips: answers" if tracks else ""
    for x, side, note in ((0.15, "left", left_out(timeline)), (WIDTH - RIGHT, "right", key)):
        figure.text(x / WIDTH, 0.13 / height, note, ha=side, fontsize=9.5, color=MUTED)
    return figure


def timeline_picture(timeline: Timeline, title: str) -> np.ndarray:
    """Return `timeline_figure` as a picture (H, W, 3) uint8, blue-green-red."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(timeline_figure(timeline, title))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of a title in a script that the font lacks
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 2::-1].copy()


def _head(figure: "Figure", timeline: Timeline, title: str, height: float) -> None:
    from matplotlib.patches import Patch

    x = 0.15 / WIDTH
    # A long file name keeps both its ends.
    title = title if len(title) <= 62 else f"{title[:40]}…{title[-21:]}"
    figure.text(x, 1 - 0.16 / height, title, va="top", fontsize=14, fontweight="bold", color=INK, parse_math=False)
    sure = not any(NOT_SURE in track.answers for track in timeline.longest)
    names = [*timeline.classes, *([] if sure else [NOT_SURE])]
    inks = colours(timeline.classes)
    patches = [Patch(color=np.divide(inks[name], 255), label=name) for name in names]
    style = {"handlelength": 0.9, "handleheight": 0.9, "columnspacing": 1.1, "handletextpad": 0.4, "borderpad": 0}
    place = {"loc": "upper left", "bbox_to_anchor": (x, 1 - 0.52 / height), "borderaxespad": 0, "ncols": len(names)}
    figure.legend(handles=patches, frameon=False, fontsize=9.5, labelcolor=INK, **place, **style)


def _draw_track(axes: "Axes", timeline: Timeline, track: TrackSummary) -> None:
    inks = colours(timeline.classes)
    areas = [np.divide(inks[name], 255) for name in timeline.classes]
    for edges, shares, answers in _stretches(timeline, track):
        middles = (edges[:-1] + edges[1:]) / 2
        times = np.concatenate((edges[:1], middles, edges[-1:]))
        levels = np.concatenate((shares[:1], shares, shares[-1:]))
        axes.stackplot(times, levels.T, colors=areas, linewidth=0)
        strip = np.array([inks[name] for name in answers], np.uint8)[None]  # (1, N, 3)
        axes.pcolormesh(edges, STRIP, strip)
    axes.set_ylim(STRIP[0], 1)
    axes.set_yticks((0, 0.5, 1), ("0", "", "1"))
    axes.tick_params(axis="y", length=0, labelsize=8.5, labelcolor=MUTED, pad=3)
    axes.spines[:].set_visible(False)
    text = {"transform": axes.get_yaxis_transform(), "ha": "left", "va": "top"}
    x = -(LEFT - 0.15) / (WIDTH - LEFT - RIGHT)
    axes.text(x, 1.0, f"track {track.number}", fontsize=11, fontweight="bold", color=INK, **text)
    times = f"{clock(track.start)}–{clock(track.end)}"
    answers = "\n".join(f"{name} {share:.0%}" for name, share in track.shares(least=0.05)[:2])
    axes.text(x, 0.68, f"{times}\n{answers}", fontsize=9, color=MUTED, linespacing=1.35, **text)


def _stretches(timeline: Timeline, track: TrackSummary) -> Iterator[tuple[np.ndarray, np.ndarray, list[str]]]:
    """Yield each time in which the face is in sight: N + 1 edges in seconds, (N, C) probabilities, N answers."""
    places = np.array(sorted(track.bins))
    sums = np.stack([track.bins[place] for place in places])
    shares = sums[:, :-2] / sums[:, -1:]
    names = [timeline.classes[best] for best in shares.argmax(1)]
    answers = [NOT_SURE if row[-2] > row[-1] / 2 else name for row, name in zip(sums, names, strict=True)]
    interval = max(timeline.end - timeline.start, 1e-3) / max(timeline.frames - 1, 1)
    times = timeline.start + (places + 0.5) * timeline.width
    breaks = np.flatnonzero(np.diff(times) > max(GAP, 2.5 * interval, 1.5 * timeline.width)) + 1
    # No stretch is so short that it would not be seen.
    half = max(interval, timeline.width, (timeline.end - timeline.start) / 400) / 2
    for part in np.split(np.arange(len(places)), breaks):
        middles = (times[part][1:] + times[part][:-1]) / 2
        edges = np.concatenate(([times[part[0]] - half], middles, [times[part[-1]] + half]))
        yield edges, shares[part], [answers[index] for index in part]


def _time_axis(axes: "Axes", timeline: Timeline, labels: bool) -> None:
    span = max(timeline.end - timeline.start, 0.1)
    step = next((step for step in STEPS if span / step <= 8), span)
    ticks = step * np.arange(np.ceil(timeline.start / step), np.floor((timeline.start + span) / step) + 1)
    axes.set_xlim(timeline.start, timeline.start + span)
    axes.set_xticks(ticks, [f"{tick:g} s" if span < 60 else clock(tick) for tick in ticks])
    axes.tick_params(axis="x", length=0, labelsize=10, labelcolor=INK, pad=5, labelbottom=labels)
    axes.grid(axis="x", color=LINES, linewidth=1)
    axes.set_axisbelow(True)
