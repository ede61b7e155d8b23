"""The report of an inspection: what was found in a dataset, on the console, as Markdown with figures, JSON and CSV."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

import fer
from fer.atomic import whole_file
from fer.counting import counted
from fer.data.findings import Findings
from fer.data.table import Split
from fer.evaluation import inspection_plots as draw
from fer.evaluation import markdown
from fer.evaluation.console import MAX_LISTED, new_grid, print_some
from fer.evaluation.inspection_text import parts
from fer.evaluation.markdown import code, plain
from fer.evaluation.results import write_json
from fer.run_folder import make_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS, REPORT, PAIRS = "inspect.json", "inspect.md", "duplicates.csv"
FIGURES = {  # names, and what stands in their place where they cannot be seen
    "classes": "Share of each class in each split",
    "samples": "Some faces of each class",
    "duplicates": "Pairs of faces that occur in two splits",
    "conflicts": "Pairs of equal or nearly equal faces with different labels",
}


def print_inspection(found: Findings) -> None:
    """Print every section: its table, and what it means."""
    console = Console(highlight=False)
    for part in parts(found):
        console.print()
        if part.rows:
            grid = new_grid(part.heading, list(part.header))
            for row in part.rows:
                grid.add_row(*row, end_section=part.figure == "classes" and row[0] == part.rows[-1][0])
            console.print(grid)
        else:
            console.print(part.heading, style="bold")
        for sentence in part.sentences:
            console.print(f"- {sentence}", markup=False, soft_wrap=True)
    if found.table.skipped:
        console.print()
        print_some("not read", found.table.skipped)


def write_inspection(folder: Path, found: Findings, name: str, command: str, seed: int) -> None:
    """Write inspect.md, duplicates.csv, figures/ and, last, inspect.json.

    Args:
        folder: takes them; it is there already.
        found: what was found.
        name: of the dataset.
        command: that makes the report again.
        seed: of the choice of faces that are drawn.

    Raises:
        UserError: if the folder of the figures cannot be made.
        RunError: if a file cannot be written.
    """
    figures = _draw(found, seed)
    make_folder(folder / "figures")
    for kind, figure in figures.items():
        with whole_file(folder / "figures" / f"{kind}.png", "wb") as file:
            figure.savefig(file, format="png")
    write_pairs(folder / PAIRS, found)
    with whole_file(folder / REPORT) as file:
        file.write("\n".join(_lines(found, name, figures, command)))
    about = {"dataset": name, "classes": list(found.table.classes), "pixels": found.table.images.shape[1]}
    about |= found.table.facts | found.figures() | {"command": command, "version": fer.__version__}
    write_json(folder / RESULTS, about)


def _draw(found: Findings, seed: int) -> dict[str, "Figure"]:
    drawn = {"classes": draw.class_shares(found.table), "samples": draw.samples(found.table, seed)}
    across = _both(found.across_splits(), *found.near_pairs(found.table.splits))
    contradictions = _both(found.contradictions(), *found.near_pairs(found.table.labels))
    if len(across[0]):
        drawn["duplicates"] = draw.pairs(found.table, *across, "In two splits", seed)
    if len(contradictions[0]):
        drawn["conflicts"] = draw.pairs(found.table, *contradictions, "With two labels", seed)
    return drawn


def _both(equal: np.ndarray, near: np.ndarray, likeness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return equal and nearly equal pairs together, and how alike each is: infinitely, if equal."""
    return np.concatenate((equal, near)), np.concatenate((np.full(len(equal), np.inf), likeness))


def write_pairs(path: Path, found: Findings) -> None:
    """Write each equal face beside the first of its group, and each face beside its nearest one in each split."""
    faces, (near, likeness) = found.table, found.twins.pairs()
    later = np.flatnonzero(found.first < np.arange(len(faces)))
    pairs, alike = _both(np.column_stack((found.first[later], later)), near, likeness)

    def about(place: int) -> tuple[str, str, str]:
        name = faces.files[place] if faces.files else str(faces.rows[place])
        return name, Split(faces.splits[place]).name.lower(), faces.classes[faces.labels[place]]

    kind = "file" if faces.files else "index"
    with whole_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["correlation", *(f"{name}_{side}" for side in "ab" for name in (kind, "split", "label"))])
        for (one, other), value in zip(pairs.tolist(), alike.tolist(), strict=True):
            writer.writerow(["equal" if np.isinf(value) else f"{value:.4f}", *about(one), *about(other)])


def _lines(found: Findings, name: str, figures: Iterable[str], command: str) -> Iterator[str]:
    """Yield the lines of inspect.md."""
    yield f"# {name}: {counted(len(found.table), 'face')}\n"
    for part in parts(found):
        yield f"## {part.heading}\n"
        if part.rows:
            yield from markdown.table(part.header, [list(map(plain, row)) for row in part.rows])
        yield from (f"- {plain(sentence)}" for sentence in part.sentences)
        yield ""
        if part.figure in figures:
            yield f"![{FIGURES[part.figure]}](figures/{part.figure}.png)\n"
    if skipped := found.table.skipped:
        yield f"## Not read: {len(skipped):,}\n"
        yield from (f"- {plain(sentence)}" for sentence in skipped[:MAX_LISTED])
        yield f"- and {len(skipped) - MAX_LISTED:,} more, in {RESULTS}" if len(skipped) > MAX_LISTED else ""
    yield f"Figures under flat keys: {RESULTS}; every pair: {PAIRS}. To make it again: {code(command)}\n"
