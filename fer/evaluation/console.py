"""What a run says on the console: the classes and faces that are evaluated, and its figures."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid
from torch import nn

from fer.counting import counted
from fer.data.table import Split, Table
from fer.evaluation.markdown import answers_left, listed, others_told, per_cent
from fer.evaluation.slices import SLICES
from fer.provenance import read_words
from fer.run_folder import GROUPS

COLUMNS = (  # metric, heading, whether it has an interval
    ("accuracy", "accuracy", True),
    ("balanced_accuracy", "balanced", True),
    ("f1_macro", "macro F1", True),
    ("auroc", "AUROC", False),
    ("ece", "ECE", False),
)
MAX_LISTED = 20  # sentences of a list, the rest only counted


def print_faces(name: str, table: Table, extra: dict[str, list[str]] | None = None) -> None:
    """Print how many faces of each class the splits have, with further columns of a cell for each class."""
    counts = table.counts()
    columns = {split.name.lower(): [f"{n:,}" for n in (*counts[split], counts[split].sum())] for split in Split}
    columns |= {heading: [*cells, ""] for heading, cells in (extra or {}).items()}
    grid = new_grid(f"{name}: {counted(len(table), 'face')}", ["class", *columns])
    for number, row in enumerate(zip([*table.classes, "all"], *columns.values(), strict=True)):
        grid.add_row(*row, end_section=number == len(table.classes) - 1)
    console = Console(highlight=False)
    console.print(grid)
    for sentence in table.origin.sentences if table.origin else ():
        console.print(escape(sentence), soft_wrap=True)
    if table.skipped:
        print_some("left out", table.skipped)


def print_facts(facts: dict[str, str]) -> None:
    """Print a line for each fact of a run: its net, its device, its folder."""
    console = Console(highlight=False)
    for name, fact in facts.items():
        console.print(f"[bold]{name:9}[/bold] {escape(fact)}", soft_wrap=True)


def size_of(net: nn.Module, table: Table) -> str:
    """Return a net's size in words, and that of its faces."""
    parameters = sum(weight.numel() for weight in net.parameters())
    return f"{parameters / 1e6:.2f} M parameters, {table.images.shape[1]} pixels"


def scope(table: Table) -> dict[str, Any]:
    """Return what an evaluation leaves out, for metrics.json: faces of other classes, and classes without faces."""
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


def print_scope(table: Table, folder: Path) -> None:
    """Say what an evaluation leaves out, and what of the command does not count."""
    console, found = Console(highlight=False), scope(table)
    lines = []
    for split, classes in found.get("left_out", {}).items():
        counts = listed([f"{count:,} {name}" for name, count in classes.items()])
        lines.append(f"left out: {counts} in {split}, which the net does not know")
    if names := found.get("without_faces"):
        lines.append(
            f"no faces to evaluate: {listed(names)}, which the net knows; a face that is predicted so counts as wrong"
        )
    if typed := [word for word in read_words(folder)[0] if word.startswith("dataset.classes=")]:
        lines.append(f"{typed[-1]}: passed over, as the classes of an evaluation are the net's")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def print_some(heading: str, sentences: Sequence[str]) -> None:
    """Print a heading, the first few sentences, and how many more there are."""
    console = Console(highlight=False)
    console.print(f"{heading}: {len(sentences) or 'nothing'}", style="bold", markup=False, soft_wrap=True)
    for sentence in sentences[:MAX_LISTED]:
        console.print(f"  {sentence}", markup=False, soft_wrap=True)
    if (more := len(sentences) - MAX_LISTED) > 0:
        console.print(f"  and {more} more")


def print_end(results: dict[str, Any], classes: tuple[str, ...], splits: list[str], folder: Path) -> None:
    """Print each evaluated split's metrics with their intervals, the classes' figures, and where everything lies."""
    console = Console(highlight=False)
    final = "test" if "test" in splits else "val"
    about = f"Per cent of {counted(results[f'{final}/n'], f'{final} face')} (95 % bootstrap interval over the faces)"
    grid = new_grid(about, ["", *(heading for _, heading, _ in COLUMNS)])
    for split in (split for split in splits if split not in ("train", *SLICES)):
        grid.add_row(split, *(_cell(results, f"{split}/{name}", interval) for name, _, interval in COLUMNS))
    console.print(grid)
    if results["not_sure"]:
        left = f"not sure below {per_cent(results['not_sure'])} %: {answers_left(results, final)}"
        console.print(left, markup=False, soft_wrap=True)
    if f"{final}_others/n" in results:
        console.print(others_told(results, final), markup=False, soft_wrap=True)
    if slices := [split for split in SLICES if split in splits]:
        grid = new_grid("Slices of the test split", ["", "n", "accuracy"])
        for split in slices:
            grid.add_row(SLICES[split], f"{results[f'{split}/n']:,}", _cell(results, f"{split}/accuracy", True))
        console.print(grid)
    if groups := [key.split("/", 1)[1][:-2] for key in results if key.startswith("test_group/") and key.endswith("/n")]:
        grid = new_grid(f"Groups of the test split; their gaps are in {GROUPS}", ["", "n", "accuracy"])
        for name in groups:
            key = f"test_group/{name}"
            grid.add_row(escape(name), f"{results[f'{key}/n']:,}", _cell(results, f"{key}/accuracy", True))
        console.print(grid)
    if results.get("test/copies", 0) + results.get("test/near_copies", 0) == results.get("test/n"):
        console.print("Every test image is a copy of a training image: test says nothing about new ones.", style="bold")
    grid = new_grid(f"{final.capitalize()} by class", ["class", "precision", "recall", "F1"])
    for name in classes:
        figures = (results.get(f"{final}/{kind}/{name}", math.nan) for kind in ("precision", "recall", "f1"))
        grid.add_row(name, *map(per_cent, figures))
    console.print(grid)
    if absent := [name for name in classes if f"{final}/recall/{name}" not in results]:
        console.print(f"no {final} faces of {listed(absent)}, so no recall", markup=False, soft_wrap=True)
    console.print(f"[bold]done in {results['seconds']:.0f} s:[/bold] {escape(relative_path(folder))}", soft_wrap=True)


def _cell(results: dict[str, Any], key: str, interval: bool) -> str:
    value = f"{100 * results[key]:.1f}"
    if not interval:
        return value
    return f"{value} ({100 * results[f'{key}_low']:.1f}-{100 * results[f'{key}_high']:.1f})"


def relative_path(path: Path) -> str:
    """Return a path as one would type it: from here, if it is below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def new_grid(title: str, columns: list[str]) -> Grid:
    """Return an empty table for the console: the first column holds names, the others numbers."""
    grid = Grid(title=title, title_justify="left", title_style="bold", header_style="dim", show_edge=False)
    for index, name in enumerate(columns):
        grid.add_column(name, justify="left" if index == 0 else "right")
    return grid
