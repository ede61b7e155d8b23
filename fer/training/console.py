"""What a training says on the console before it begins, and a search at its end."""

from pathlib import Path

from lightning import Trainer
from rich.console import Console
from rich.markup import escape
from torch import nn

from fer.counting import counted
from fer.data.table import Split, Table
from fer.evaluation.console import print_faces, print_facts, relative_path, size_of
from fer.evaluation.markdown import listed
from fer.evaluation.search_report import best_command, name_of
from fer.header import read_header
from fer.schema import TrainConfig
from fer.training.losses import class_weights


def print_start(config: TrainConfig, folder: Path, table: Table, net: nn.Module, trainer: Trainer) -> None:
    """Print the classes' counts and weights, the net, the device and the run's folder."""
    weights = class_weights(table.counts()[Split.TRAIN], config.loss.weighting)
    print_faces(config.dataset.name, table, {"loss weight": [f"{weight:.2f}" for weight in weights]})
    if config.trains_others:
        counts = {name: count for (split, name), count in sorted(table.others.items()) if split == Split.TRAIN}
        named = listed([f"{count:,} of {name}" for name, count in counts.items()])
        Console(highlight=False).print(f"none of these: training faces {named}, with equal shares as targets")
    print_facts(
        {
            "net": f"{_net_name(config)}, {size_of(net, table)}",
            "training": f"{counted(config.trainer.max_epochs, 'epoch')}, batch {config.batch_size}, "
            f"{config.augmentation.name} augmentation, {config.optimizer.name} lr {config.optimizer.lr:g}, "
            f"{config.scheduler.name}, seed {config.seed}",
            "device": f"{trainer.strategy.root_device}, {counted(trainer.world_size, 'process')}, precision "
            f"{trainer.precision}",
            "folder": relative_path(folder),
        }
    )


def _net_name(config: TrainConfig) -> str:
    """Return the net's name, and whether all of it comes from a file."""
    if not config.weights:
        return config.model.name
    known, own = read_header(config.weights).architecture, config.model.arguments()
    is_whole = all(known.get(key) == own.get(key) for key in known | own if not key.startswith("drop"))
    return f"from {relative_path(config.weights)}: {config.model.name}" if is_whole else config.model.name


def print_best(folder: Path, number: int, value: float, monitor: str) -> None:
    """Print a search's best trial, and the command that trains its settings."""
    console = Console(highlight=False)
    console.print(f"\n[bold]best:[/bold] {name_of(number)}, {monitor} {value:.4f} (chosen on validation)")
    console.print(best_command(folder), markup=False, soft_wrap=True)
    console.print(f"[bold]report:[/bold] {escape(relative_path(folder / 'report.md'))}", soft_wrap=True)
