"""Evaluate a net on a dataset, once: predictions of its splits, metrics with intervals, slices of test, figures, files.

The end of a training, `fit=false` and the check of the crops call this; nothing here knows of a training. Logits stay
raw until the temperature is applied, here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import nn

from fer.atomic import atomic_file
from fer.counting import counted
from fer.data.groups import Groups
from fer.data.table import Split, Table
from fer.errors import CALMER, Diverged
from fer.evaluation import plots
from fer.evaluation.calibration import fit_temperature, fit_threshold
from fer.evaluation.confusion import confusion
from fer.evaluation.copies import Copies, find_copies, write_copies
from fer.evaluation.groups import GroupFigures, compare_groups, write_groups
from fer.evaluation.metrics import compute_metrics, other_metrics
from fer.evaluation.outputs import Outputs
from fer.evaluation.predict import BATCH, classifier, predict
from fer.evaluation.results import split_results, write_predictions
from fer.evaluation.slices import make_slices
from fer.header import Header
from fer.models.cam import heatmaps
from fer.models.inputs import normalise
from fer.run_folder import COPIES, GROUPS, PREDICTIONS

VIEWS = {"none": (), "flip": ("flip",), "tencrop": ("tencrop",), "all": ("flip", "tencrop")}  # by `tta`
TITLES = {"val": "Validation", "test": "Test"}
EXPLAINED = 12  # faces with a heatmap


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        faces: the faces of each evaluated split ("val", "train", "test", "fold"), in the order of rows.
        outputs: by split, view ("test_flip") and slice ("test_unseen"); their logits are divided by the temperature.
        temperature, not_sure: those of the net's header, or the ones that were fitted.
        results: flat metrics, `test/accuracy` and so on, for metrics.json.
        copies: the test faces that training has, too; None without test.
        groups: figures of the groups of test faces; None if there are none.
    """

    faces: dict[str, Table]
    outputs: dict[str, Outputs]
    temperature: float
    not_sure: float
    results: dict[str, float]
    copies: Copies | None = None
    groups: GroupFigures | None = None


def evaluate(
    net: nn.Module,
    header: Header,
    table: Table,
    *,
    whose: str,
    test: bool = True,
    tta: str = "none",
    crowd: np.ndarray | None = None,
    groups: Groups | None = None,
    calibrate: float | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    batch: int = BATCH,
    tell: Callable[[str], object] = lambda _: None,
) -> Evaluation:
    """Evaluate validation, a sample of train, test, and a held-out fold, of which those without faces are left out.

    Args:
        net: maps (B, 1, H, W) to logits (B, C); is brought to the device, and into eval mode.
        header: its classes, normalisation, temperature and threshold.
        table: the faces, with the net's classes and input size.
        whose: net it is, for an error: "weights=a.safetensors".
        test: whether test is evaluated; the one reading of a reported run.
        tta: "none", or views that are evaluated beside the faces as they are: "flip", "tencrop", "all".
        crowd: what FER+'s annotators call the test faces, as `make_slices` takes it.
        groups: of the test faces, in the order of rows.
        calibrate: the accuracy that answers are to reach: fit temperature and threshold on validation instead of taking
            the header's.
        seed: of the sample of train.
        device: where the net runs.
        batch: faces at a time.
        tell: is told what comes next, as it may take minutes.

    Raises:
        Diverged: if a logit is NaN or infinite.
    """
    net = net.to(device, memory_format=torch.channels_last).eval()
    faces = {"val": table.part(Split.VAL), "train": table.part(Split.TRAIN).sample(seed)}
    faces |= {"test": table.part(Split.TEST)} if test else {}
    faces |= {"fold": table.held} if table.held else {}
    faces = {split: part.by_rows() for split, part in faces.items() if len(part)}
    raw: dict[str, Outputs] = {}
    for split, part in faces.items():
        tell(f"evaluating {split}{', a sample' if split == 'train' else ''}: {counted(len(part), 'face')}")
        raw[split] = predict(classifier(net, header), part, device, batch)
        for view in VIEWS[tta] if split in TITLES else ():
            tell(f"evaluating {split}, {view}: {counted(len(part), 'face')}")
            raw[f"{split}_{view}"] = predict(classifier(net, header, view), part, device, batch)
    _require_finite(raw, whose)
    temperature = header.temperature if calibrate is None else fit_temperature(*raw["val"][:2])
    outputs = {name: output.scaled(temperature) for name, output in raw.items()}
    _require_finite(outputs, whose)
    not_sure = header.not_sure if calibrate is None else fit_threshold(*outputs["val"][:2], calibrate)
    copies = find_copies(table) if "test" in outputs else None
    if copies:
        slices = make_slices(outputs["test"], table, crowd, copies)
        for all_of in (raw, outputs):
            all_of |= {name: take(all_of["test"]) for name, take in slices.items()}
    results = split_results(raw, outputs, header.classes, not_sure)
    results |= copies.counts() if copies else {}
    compared = compare_groups(outputs["test"], groups, header.classes) if groups and "test" in outputs else None
    results |= compared.results() if compared else {}
    for split in TITLES.keys() & outputs.keys() if table.other_faces else ():
        if len(others := table.other_faces.part(Split[split.upper()])):
            tell(f"evaluating {split}, other classes: {counted(len(others), 'face')}")
            other = predict(classifier(net, header), others, device, batch).scaled(temperature)
            found = other_metrics(outputs[split].logits, other.logits, not_sure)
            results |= {f"{split}_others/{name}": value for name, value in found.items()}
    return Evaluation(faces, outputs, temperature, not_sure, results, copies, compared)


def _require_finite(outputs: dict[str, Outputs], whose: str) -> None:
    for name, output in outputs.items():
        if not output.are_finite:
            raise Diverged(f"{whose}: expected finite outputs, but those for {name} are not; {CALMER} for the training")


def draw_split(
    net: nn.Module, header: Header, split: str, outputs: Outputs, faces: Table, names: Sequence[str] = ()
) -> dict[str, Figure]:
    """Return the figures of an evaluated split, by name ("test/confusion").

    Args:
        net: which was evaluated; explains some faces, on the device where it is.
        header: its classes, normalisation and threshold.
        split: "val" or "test".
        outputs: what it said.
        faces: of which; in the order of the outputs.
        names: of the figures ("confusion"); all if there are none.
    """
    logits, targets, _ = outputs
    images, classes, title = faces.images, header.classes, TITLES[split]
    n, matrix = f"{title}, n = {len(targets):,}", confusion(targets.numpy(), logits.argmax(1).numpy(), len(classes))
    draw: dict[str, Callable[[], Figure]] = {
        "confusion": lambda: plots.confusion_matrix(matrix, classes, n),
        "per_class": lambda: plots.per_class(compute_metrics(logits, targets, classes), classes, n),
        "reliability": lambda: plots.reliability(logits, targets, n),
        "coverage": lambda: plots.coverage(logits, targets, n, header.not_sure),
        "mistakes": lambda: plots.mistakes(images, logits, targets, classes, f"{title}: most confident mistakes"),
        "gradcam": lambda: _draw_heatmaps(net, header, images, outputs, title),
    }
    return {f"{split}/{name}": draw[name]() for name in names or draw}


def _draw_heatmaps(net: nn.Module, header: Header, images: np.ndarray, outputs: Outputs, title: str) -> Figure:
    """Explain the predicted class of a few faces of each class, picked evenly over the split."""
    logits, targets, _ = outputs
    order = torch.argsort(targets, stable=True)
    chosen = order[torch.linspace(0, len(order) - 1, min(EXPLAINED, len(order))).long()]
    device = next(net.parameters()).device
    inputs = normalise(torch.from_numpy(images[chosen.numpy()]).to(device), header.mean, header.std)
    predicted = logits[chosen].argmax(1)
    maps = heatmaps(net, inputs, predicted.to(device))
    captions = [
        f"{header.classes[target]}\npredicted {header.classes[label]}"
        for target, label in zip(targets[chosen].tolist(), predicted.tolist(), strict=True)
    ]
    return plots.heatmap_panel(images[chosen.numpy()], maps, captions, f"{title}: what spoke for the predicted class")


def draw_evaluation(net: nn.Module, header: Header, found: Evaluation) -> dict[str, Figure]:
    """Return all figures of an evaluation, by name."""
    drawn: dict[str, Figure] = {}
    for split in TITLES:
        if split in found.faces:
            drawn |= draw_split(net, header, split, found.outputs[split], found.faces[split])
    return drawn


def write_evaluation(folder: Path, found: Evaluation, drawn: dict[str, Figure]) -> None:
    """Write the predictions of validation, test and a fold, the copies in test, its groups, and the figures.

    The figure "val/confusion" becomes figures/val_confusion.png.

    Raises:
        OSError, RunError: if a file cannot be written.
    """
    for split, name in PREDICTIONS.items():
        if split in found.faces:
            write_predictions(folder / name, found.outputs[split], found.faces[split])
    if found.copies:
        write_copies(folder / COPIES, found.copies)
    if found.groups:
        write_groups(folder / GROUPS, found.groups)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        with atomic_file(folder / "figures" / f"{name.replace('/', '_')}.png", "wb") as file:
            file.write(cv2.imencode(".png", pixels(figure)[..., ::-1])[1].tobytes())


def pixels(figure: Figure, scale: float = 1.0) -> np.ndarray:
    """Return a figure's pixels (H, W, 3) uint8, red-green-blue; scaled, for a dashboard."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3]
    return drawn if scale == 1 else cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
