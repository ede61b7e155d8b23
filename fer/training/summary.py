"""What a run says on the console before and after: its data, its device, its figures."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

import fer
from fer.counting import counted
from fer.data.table import Split, Table
from fer.evaluation.apart import APART
from fer.evaluation.markdown import listed
from fer.evaluation.search_report import best_command, name_of
from fer.header import read_header
from fer.models.se_resnet import SEResNet
from fer.paths import resolve_weights
from fer.schema import TrainConfig
from fer.training.losses import class_weights
from fer.training.settings import as_typed, read_words
from fer.weights import Header, digest, read_weights

SHOWN = (  # metric, heading, whether it has an interval
    ("accuracy", "accuracy", True),
    ("balanced_accuracy", "balanced", True),
    ("f1_macro", "macro F1", True),
    ("auroc", "AUROC", False),
    ("ece", "ECE", False),
)
LIBRARIES = ("torch", "torchvision", "lightning", "albumentations", "torchmetrics", "opencv-python", "numpy")
STARTS = 20  # trainings that a weights file names as those it started from
MOST = 20  # sentences of a list, the rest only counted


def print_start(config: TrainConfig, folder: Path, table: Table, net: SEResNet, trainer: Trainer) -> None:
    """Print the classes' counts and weights, the net, the device and the run's folder."""
    console = Console(highlight=False)
    counts = table.counts()
    columns = {split.name.lower(): [f"{n:,}" for n in (*counts[split], counts[split].sum())] for split in Split}
    if config.fit:
        weights = class_weights(counts[Split.TRAIN], config.loss.weighting)
        columns["loss weight"] = [*(f"{weight:.2f}" for weight in weights), ""]
    grid = _grid(f"{config.dataset.name}: {counted(len(table), 'face')}", ["class", *columns])
    for number, row in enumerate(zip([*table.classes, "all"], *columns.values(), strict=True)):
        grid.add_row(*row, end_section=number == len(table.classes) - 1)
    console.print(grid)
    if table.skipped:
        print_some("left out", table.skipped)
    if not config.fit:
        _print_scope(table, folder)
    device = trainer.strategy.root_device
    parameters = sum(weight.numel() for weight in net.parameters())
    facts = {
        "net": f"{_net_name(config)}, {parameters / 1e6:.2f} M parameters, {table.images.shape[1]} pixels",
        "training": f"{counted(config.trainer.max_epochs, 'epoch')}, batch {config.batch_size}, "
        f"{config.augmentation.name} augmentation, {config.optimizer.name} lr {config.optimizer.lr:g}, "
        f"{config.scheduler.name}, seed {config.seed}",
        "device": f"{device}, {counted(trainer.world_size, 'process')}, precision {trainer.precision}",
        "folder": shown(folder),
    }
    for name, fact in facts.items():
        if config.fit or name != "training":
            console.print(f"[bold]{name:9}[/bold] {escape(fact)}", soft_wrap=True)


def _net_name(config: TrainConfig) -> str:
    if not config.weights:
        return config.model.name
    header = read_header(config.weights)
    known, own = header.architecture, config.model.architecture()
    is_whole = all(known[key] == own[key] for key in ("widths", "depths", "stem_stride", "reduction"))
    return f"from {shown(config.weights)}: {config.model.name}" if is_whole or not config.fit else config.model.name


def scope(table: Table) -> dict[str, Any]:
    """Return what an evaluation cannot judge, for metrics.json: faces of other classes, and classes without faces."""
    counts, found = table.counts(), {}
    left = {split.name.lower(): {} for split in (Split.VAL, Split.TEST)}
    for (split, name), count in sorted(table.others.items()):
        left.get(split.name.lower(), {})[name] = count
    if left := {split: classes for split, classes in left.items() if classes}:
        found["left_out"] = left
    absent = counts[Split.VAL] + counts[Split.TEST] == 0
    if names := [name for name, lacks in zip(table.classes, absent, strict=True) if lacks]:
        found["without_faces"] = names
    return found


def _print_scope(table: Table, folder: Path) -> None:
    """Say what an evaluation cannot judge, and what of the command does not count."""
    console, found = Console(highlight=False), scope(table)
    lines = []
    for split, classes in found.get("left_out", {}).items():
        counts = listed([f"{count:,} {name}" for name, count in classes.items()])
        lines.append(f"left out: {counts} in {split}, which the net does not know")
    if names := found.get("without_faces"):
        lines.append(
            f"no faces to judge: {listed(names)}, which the net knows; a face that is called so counts as wrong"
        )
    if typed := [word for word in read_words(folder / ".hydra")[0] if word.startswith("dataset.classes=")]:
        lines.append(f"{typed[-1]}: passed over, as the classes of an evaluation are the net's")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def print_some(heading: str, sentences: Sequence[str]) -> None:
    """Print a heading, the first few sentences, and how many more there are."""
    console = Console(highlight=False)
    console.print(f"{heading}: {len(sentences) or 'nothing'}", style="bold", markup=False, soft_wrap=True)
    for sentence in sentences[:MOST]:
        console.print(f"  {sentence}", markup=False, soft_wrap=True)
    if (more := len(sentences) - MOST) > 0:
        console.print(f"  and {more} more")


def describe(config: TrainConfig, header: Header, trainer: Trainer, folder: Path) -> dict[str, Any]:
    """Return what a run was, for metrics.json and the weights file; of an evaluation, how its weights were trained."""
    trained = header.training or {
        "dataset": config.dataset.name,
        "labels": getattr(config.dataset, "labels", "one-hot"),
        "augmentation": config.augmentation.name,
        "model": config.model.name,
        "loss": f"{config.loss.name}, class weights: {config.loss.weighting}",
        "optimizer": config.optimizer.name,
        "scheduler": config.scheduler.name,
        "max_epochs": config.trainer.max_epochs,
        "seed": config.seed,
        "precision": trainer.precision,
        **({"started_from": _origin(config.weights)} if config.weights else {}),
        **({"command": command} if (command := as_typed(folder)) else {}),
    }
    now = {
        "dataset": config.dataset.name,
        "classes": list(header.classes),
        "input_size": header.input_size,
        "device": (device := trainer.strategy.root_device.type),
        **({"threads": torch.get_num_threads()} if device == "cpu" else {}),  # sums in another order, other figures
        "versions": {"fer": fer.__version__, "python": platform.python_version()}
        | {name: version(name) for name in LIBRARIES},
    }
    if config.fit:
        return trained | now
    judged = {"weights": str(config.weights), "weights_sha256": digest(config.weights)}
    return trained | now | judged | ({"evaluation_command": typed} if (typed := as_typed(folder)) else {})


def _origin(weights: Path) -> dict[str, Any]:
    """Return what a weights file says of itself, for the training that starts from it: its own start included.

    Of a long row of fine-tunings, only the last are kept, since no file may say more than can be read.
    """
    training = read_weights(weights)[1].training
    kept = ("dataset", "command", "seed", "epochs", "started_from")
    file = resolve_weights(weights)
    origin = {"name": file.name, "sha256": digest(file)} | {key: training[key] for key in kept if key in training}
    earliest: Any = origin
    for _ in range(STARTS - 1):
        earliest = earliest.get("started_from") if isinstance(earliest, dict) else None
    if isinstance(earliest, dict):
        earliest.pop("started_from", None)
    return origin


def print_end(results: dict[str, Any], classes: tuple[str, ...], splits: list[str], folder: Path) -> None:
    """Print each judged split's metrics with their intervals, the classes' figures, and where everything lies."""
    console = Console(highlight=False)
    final = "test" if "test" in splits else "val"
    about = f"Per cent of {counted(results[f'{final}/n'], f'{final} face')} (95 % bootstrap interval over the faces)"
    grid = _grid(about, ["", *(heading for _, heading, _ in SHOWN)])
    for split in (split for split in splits if split not in ("train", *APART)):
        grid.add_row(split, *(_cell(results, f"{split}/{name}", interval) for name, _, interval in SHOWN))
    console.print(grid)
    if apart := [split for split in APART if split in splits]:
        grid = _grid("Parts of the test faces", ["", "n", "accuracy"])
        for split in apart:
            grid.add_row(APART[split], f"{results[f'{split}/n']:,}", _cell(results, f"{split}/accuracy", True))
        console.print(grid)
    if results.get("test/copies") == results.get("test/n", 0):
        console.print("Every test image is a copy of a training image: test says nothing about new ones.", style="bold")
    grid = _grid(f"{final.capitalize()} by class", ["class", "precision", "recall", "F1"])
    for name in classes:
        grid.add_row(
            name, *(f"{100 * results[f'{final}/{kind}/{name}']:.1f}" for kind in ("precision", "recall", "f1"))
        )
    console.print(grid)
    console.print(f"[bold]done in {results['seconds']:.0f} s:[/bold] {escape(shown(folder))}", soft_wrap=True)


def print_best(folder: Path, number: int, value: float, monitor: str) -> None:
    """Print a search's best trial, and the command that trains its settings."""
    console = Console(highlight=False)
    console.print(f"\n[bold]best:[/bold] {name_of(number)}, {monitor} {value:.4f} (chosen on validation)")
    console.print(best_command(folder), markup=False, soft_wrap=True)
    console.print(f"[bold]report:[/bold] {escape(shown(folder / 'report.md'))}", soft_wrap=True)


def _cell(results: dict[str, Any], key: str, interval: bool) -> str:
    value = f"{100 * results[key]:.1f}"
    if not interval:
        return value
    return f"{value} ({100 * results[f'{key}_low']:.1f}-{100 * results[f'{key}_high']:.1f})"


def shown(folder: Path) -> str:
    """Return a folder as one would type it: from here, if it is below."""
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def _grid(title: str, columns: list[str]) -> Grid:
    grid = Grid(title=title, title_justify="left", title_style="bold", header_style="dim", show_edge=False)
    for index, name in enumerate(columns):
        grid.add_column(name, justify="left" if index == 0 else "right")
    return grid
