"""The figures of an evaluation, in one style: what goes into a run's folder and onto its dashboard.

Every function returns a `Figure` made without pyplot: no global state, no display, nothing left to close, any
thread.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, PercentFormatter
from torch import Tensor

from fer.evaluation.metrics import CALIBRATION_BINS, by_confidence, calibration_error
from fer.evaluation.plot_style import (
    AMBER,
    BLUE,
    INK,
    LEGIBLE,
    MUTED,
    SHADES,
    TEAL,
    name_ticks,
    new_figure,
    style_axes,
    tick_size,
    top_legend,
)
from fer.evaluation.sheets import Images, gray_levels, sheet

HEAT = LinearSegmentedColormap.from_list("heat", ["#3B0F70", "#B5367A", "#F4731C", "#FFD21F"])

TRAINING_LOSS = (
    "Training's loss is of augmented faces, with dropout and, as set, label smoothing and weights: it may lie above\n"
    "validation's, which has none of them. Training's accuracy is of a sample of its faces as they are."
)


def confusion_matrix(matrix: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Draw counts and shares of each true class; the colour is the share.

    Args:
        matrix: (C, C) int64, rows are the true classes.
        classes: C names.
        title: heading.
    """
    totals = matrix.sum(1)
    shares = matrix / np.maximum(totals, 1)[:, None]
    figure = new_figure(title, 7.0)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=1, aspect="auto")
    crowded = len(classes) > LEGIBLE
    gap = " " if crowded else "\n"
    labels = [f"{name}{gap}{total:,}" for name, total in zip(classes, totals, strict=True)]
    axes.set_yticks(range(len(classes)), labels)
    style_axes(axes, "predicted", "true, with the number of faces", grid="")
    axes.tick_params(axis="y", labelsize=tick_size(len(classes)))
    name_ticks(axes, classes)
    if crowded:  # the colours alone tell
        return figure
    edges = np.arange(1, len(classes)) - 0.5
    axes.hlines(edges, -0.5, len(classes) - 0.5, colors="white", linewidth=2)
    axes.vlines(edges, -0.5, len(classes) - 0.5, colors="white", linewidth=2)
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if shares[row, column] > 0.45 else INK
        # Kept out of the layout, which would measure every text twice.
        place = {"ha": "center", "color": colour, "in_layout": False}
        weight = "bold" if row == column else "normal"
        axes.text(column, row, f"{shares[row, column]:.0%}", va="bottom", fontsize=13, fontweight=weight, **place)
        axes.text(column, row + 0.06, f"{count:,}", va="top", fontsize=9.5, **place)
    return figure


def per_class(metrics: Mapping[str, float], classes: Sequence[str], title: str) -> Figure:
    """Draw precision, recall and F1 of each class as bars, in percent.

    Args:
        metrics: with `precision/NAME`, `recall/NAME`, `f1/NAME` for each class, as `compute_metrics` returns them;
            a recall that it lacks has no bar.
        classes: C names.
        title: heading.
    """
    figure = new_figure(title, 4.6)
    axes = figure.add_subplot()
    places, width = np.arange(len(classes)), 0.27
    for index, (key, label, colour) in enumerate(
        (("precision", "precision", AMBER), ("recall", "recall", TEAL), ("f1", "F1", BLUE))
    ):
        values = [metrics.get(f"{key}/{name}", np.nan) for name in classes]
        bars = axes.bar(places + (index - 1) * width, values, width * 0.92, color=colour, label=label)
        if len(classes) <= LEGIBLE:
            labels = ["" if np.isnan(value) else f"{100 * value:.0f}" for value in values]
            axes.bar_label(bars, labels, padding=2, fontsize=9, color=INK)
    axes.set_ylim(0, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    style_axes(axes)
    name_ticks(axes, classes)
    top_legend(figure, axes)
    return figure


def reliability(logits: Tensor, targets: Tensor, title: str) -> Figure:
    """Draw the accuracy of each bin of confidence against the confidence, and how many faces each bin holds.

    Guo et al., On Calibration of Modern Neural Networks, 2017.

    Args:
        logits: (N, C).
        targets: (N,) int64.
        title: heading; the expected calibration error is added.
    """
    probabilities = logits.detach().double().softmax(1)
    error = calibration_error(probabilities, targets)
    confidence, predictions = probabilities.max(1)
    confidence, hits = confidence.cpu().numpy(), (predictions == targets).double().cpu().numpy()
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    sums = (np.bincount(bins, values, CALIBRATION_BINS) for values in (hits, confidence))
    accuracy, mean = (values / np.maximum(counts, 1) for values in sums)

    figure = new_figure(f"{title} · ECE {error:.1%}", 6.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bar = {"align": "edge", "width": 0.92 / CALIBRATION_BINS}
    left, gap = edges[:-1], mean - accuracy
    upper.bar(left, np.minimum(accuracy, mean), color=BLUE, label="accuracy and confidence", **bar)
    upper.bar(left, np.maximum(gap, 0), bottom=accuracy, color=AMBER, label="confidence beyond accuracy", **bar)
    upper.bar(left, np.maximum(-gap, 0), bottom=mean, color=TEAL, label="accuracy beyond confidence", **bar)
    halo = withStroke(linewidth=3, foreground="white")
    upper.plot((0, 1), (0, 1), "--", color=INK, linewidth=1.3, path_effects=[halo], label="perfect calibration")
    upper.set_ylim(0, 1)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=10.5, labelcolor=INK)
    lower.bar(left, counts / len(confidence), color=MUTED, **bar)
    for axes in (upper, lower):
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlim(0, 1)
    style_axes(upper, y="accuracy")
    style_axes(lower, "confidence", "share of faces")
    return figure


def coverage(logits: Tensor, targets: Tensor, title: str, threshold: float = 0.0) -> Figure:
    """Draw the risk-coverage curve: the share of mistakes among the most confident faces against their share of all.

    El-Yaniv & Wiener, On the Foundations of Noise-free Selective Classification, 2010.

    Args:
        logits: (N, C).
        targets: (N,) int64.
        title: heading; the area under the curve is added.
        threshold: least probability of an answer, which is marked; 0 for none.
    """
    found = by_confidence(logits.detach().double().softmax(1), targets)
    confidence, risk = (values.cpu().numpy() for values in found)
    share = np.arange(1, len(risk) + 1) / len(risk)
    figure = new_figure(f"{title} · AURC {risk.mean():.1%}", 4.6)
    axes = figure.add_subplot()
    first = max(len(risk) // 20, 1)  # of fewer faces the risk jumps about
    axes.plot(share[first - 1 :], risk[first - 1 :], color=BLUE, linewidth=2)
    marks = [(max(round(part * len(risk)), first), BLUE, "") for part in (0.5, 0.8, 1.0)]
    if threshold and (kept := int((confidence >= threshold).sum())):
        marks.append((kept, AMBER, f"\nfrom {threshold:.1%} on,\n{kept / len(risk):.0%} answered"))
    for place, colour, words in marks:
        at = share[place - 1], risk[place - 1]
        axes.plot(*at, "o", markersize=8, markerfacecolor="white", markeredgecolor=colour, markeredgewidth=1.5)
        beside = {"xytext": (7, -6), "va": "top"} if words else {"xytext": (-7, 6), "ha": "right"}
        axes.annotate(f"{at[1]:.1%}{words}", at, textcoords="offset points", color=INK, **beside)
    axes.set_xlim(0, 1.1)
    axes.margins(y=0.15)
    axes.set_ylim(bottom=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    style_axes(axes, "coverage: share of the faces that are answered, the most confident first", "risk: wrong answers")
    return figure


def faces(images: Images, captions: Sequence[str], title: str) -> Figure:
    """Draw a batch of faces, eight in a row, or six where the captions need the room.

    Args:
        images: (B, H, W) or (B, 1, H, W), uint8 or normalised floats, B at least 1.
        captions: B texts, "" for none.
        title: heading.
    """
    longest = max(len(line) for caption in captions for line in caption.split("\n"))
    return sheet(gray_levels(images), captions, title, columns=8 if longest < 10 else 6)


def mistakes(
    images: Images, logits: Tensor, targets: Tensor, classes: Sequence[str], title: str, count: int = 16
) -> Figure:
    """Draw the mistakes that the net was most confident of, the worst first.

    Args:
        images: (N, H, W) or (N, 1, H, W), uint8 or normalised floats.
        logits: (N, C).
        targets: (N,) int64.
        classes: C names.
        title: heading.
        count: most faces to show.
    """
    confidence, predictions = logits.detach().double().softmax(1).max(1)
    wrong = torch.nonzero(predictions != targets)[:, 0]
    worst = wrong[confidence[wrong].argsort(descending=True, stable=True)][:count].cpu()
    if len(worst) == 0:
        return new_figure(f"{title}: no mistakes", 1.0)
    captions = [
        f"{classes[targets[i]]}\npredicted {classes[predictions[i]]} {confidence[i].item():.0%}" for i in worst.tolist()
    ]
    return sheet(gray_levels(torch.as_tensor(images)[worst]), captions, title, columns=4)


def heatmap_panel(images: Images, heatmaps: np.ndarray, captions: Sequence[str], title: str) -> Figure:
    """Draw each face beside itself under its heatmap; where the heatmap is 0, the face shows.

    Args:
        images: (B, H, W) or (B, 1, H, W), uint8 or normalised floats, B at least 1.
        heatmaps: (B, H, W) in [0, 1], as `fer.models.cam.heatmaps` returns them.
        captions: B texts.
        title: heading.
    """
    gray = np.repeat(gray_levels(images)[..., None], 3, axis=3)  # (B, H, W, 3)
    weight = 0.75 * heatmaps[..., None]
    overlay = (1 - weight) * gray + weight * HEAT(heatmaps)[..., :3]
    seam = np.ones((*gray.shape[:2], max(gray.shape[2] // 24, 1), 3))
    return sheet(np.concatenate((gray, seam, overlay), axis=2), captions, title, columns=4)


def learning_curves(history: Mapping[str, Sequence[tuple[int, float]]], title: str) -> Figure:
    """Draw the loss and the accuracy of training and validation over the epochs.

    Args:
        history: (epoch, value) pairs under `train/loss`, `val/loss`, `train/accuracy`, `val/accuracy`; absent keys and
            others are left out.
        title: heading.
    """
    figure = new_figure(title, 4.3)
    figure.supxlabel(TRAINING_LOSS, x=0.015, ha="left", fontsize=9.5, color=MUTED)
    for axes, name, best in zip(figure.subplots(1, 2), ("loss", "accuracy"), (min, max), strict=True):
        for part, label, colour in (("train", "training", AMBER), ("val", "validation", BLUE)):
            if points := history.get(f"{part}/{name}"):
                axes.plot(
                    *zip(*points, strict=True), color=colour, linewidth=1.8, marker="o", markersize=3, label=label
                )
        if points := history.get(f"val/{name}"):
            epoch, value = best(points, key=lambda point: point[1])
            axes.plot(epoch, value, "o", markersize=8, markerfacecolor="white", markeredgecolor=BLUE, markeredgewidth=2)
            text = f"{value:.3f}" if name == "loss" else f"{value:.1%}"
            is_below = dict(history.get(f"train/{name}", ())).get(epoch, -np.inf) > value  # away from training's curve
            style = {"ha": "center", "va": "top" if is_below else "bottom", "fontweight": "bold", "color": BLUE}
            style |= {"fontsize": 10.5, "path_effects": [withStroke(linewidth=3, foreground="white")]}
            axes.annotate(text, (epoch, value), (0, -7 if is_below else 7), textcoords="offset points", **style)
        axes.margins(y=0.16)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        style_axes(axes, "epoch", name)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    top_legend(figure, figure.axes[0])
    return figure
