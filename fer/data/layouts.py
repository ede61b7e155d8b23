"""Which of the layouts in which people have FER2013 a folder holds, and what to say if it is none of them.

A layout is looked for in the folder itself and in those that archives and hubs put around it: `data/`, `images/`,
`fer2013/`, a single folder; three levels deep.
"""

import difflib
import re
from collections import deque
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from fer.data.bad_rows import Faults
from fer.data.copies import Copy
from fer.data.csv_lines import ARCHIVES
from fer.data.fer2013_csv import NAMES, SOURCE, find_csv, find_parts, read_parts, read_rows
from fer.data.fer2013_folders import find_folders, lacking_split, read_folders
from fer.data.fer2013_tables import find_parquet, find_tars, read_parquet, read_tars
from fer.data.image_files import is_clutter, subfolders
from fer.data.votes_csv import VOTES
from fer.errors import UserError, printable

AROUND = {"fer2013", "fer-2013", "fer_2013", "fer2013plus", "ferplus"}
AROUND |= {"data", "dataset", "images", "archive", "default"}
DEEPEST = 3  # folders below the one that is given
FOLDERS = "train/ and test/ (or val/) with class folders"
LISTED = 8  # names of a level that are quoted


class Layout(NamedTuple):
    """One form in which people have the data set.

    Attributes:
        words: what it looks like, in a sentence.
        names: what its files and folders are called, to tell what comes near.
        find: returns what it finds in a folder; something false if that is not of this layout.
        read: makes a copy of the folder, and of what was found.
    """

    words: str
    names: tuple[str, ...]
    find: Callable[[Path], Any]
    read: Callable[[Path, Any, Faults], Copy]


LAYOUTS = (
    Layout(
        " or ".join(NAMES[:2]),
        NAMES[:2],
        find_csv,
        lambda root, found, faults: read_rows(found, faults),
    ),
    Layout(
        "train.csv, val.csv and test.csv",
        ("train.csv", "val.csv", "test.csv"),
        find_parts,
        lambda root, found, faults: read_parts(found, faults),
    ),
    Layout("Parquet files", ("train.parquet", "test.parquet"), find_parquet, read_parquet),
    Layout("webdataset's TAR files", ("train.tar", "test.tar"), find_tars, read_tars),
    Layout(FOLDERS, ("train", "test", "validation"), find_folders, read_folders),
)


class Place(NamedTuple):
    """Where a copy lies, and in which layout."""

    root: Path
    layout: Layout
    found: Any

    def read(self, faults: Faults) -> Copy:
        """Read the copy; what cannot be read goes to `faults`."""
        return self.layout.read(self.root, self.found, faults)


def locate(root: Path) -> Place:
    """Return where in `root`, a folder or a CSV file, a copy of FER2013 lies, without reading it.

    Raises:
        UserError: saying what was found instead, level by level, and which layout comes near.
    """
    if (place := look(root)) is not None:
        return place
    if root.is_dir():
        for base in _bases(root):
            if lacking := lacking_split(base):
                raise lacking
    wanted = "; ".join(layout.words for layout in LAYOUTS)
    raise UserError(
        f"dataset.root={root}: expected a copy of FER2013, but {found_instead(root)}; what is read: {wanted}; {SOURCE}"
    )


def look(root: Path) -> Place | None:
    """Return where in `root`, a folder or a CSV file, a copy of FER2013 lies; None if there is none."""
    if root.is_file():
        return Place(root.parent, LAYOUTS[0], find_csv(root))
    bases = list(_bases(root)) if root.is_dir() else []
    for layout in LAYOUTS:
        for base in bases:
            if found := layout.find(base):
                return Place(base, layout, found)
    return None


def _bases(root: Path) -> Iterator[Path]:
    """Yield a folder, and those in it that are only around the data, the outer ones first."""
    waiting = deque([(root, 0)])
    while waiting:
        folder, depth = waiting.popleft()
        yield folder
        below = subfolders(folder)
        inner = below if len(below) == 1 else [path for path in below if path.name.lower() in AROUND]
        waiting += [(path, depth + 1) for path in inner if depth < DEEPEST]


def found_instead(root: Path) -> str:
    """Say, as the end of a sentence, what a folder without the data holds, level by level, and what to do with it."""
    if not root.is_dir():
        return "there is no such folder"
    levels = list(_levels(root))
    names = [name for level in levels for name in level]
    if packed := [name for name in names if name.lower().endswith(ARCHIVES)]:
        return f"found {printable(packed[0])}, an archive: unpack it"
    if "train.csv" in names:
        return (
            "found train.csv, which has no Usage: it does not say what is for validation and test, and test.csv beside "
            f"it has no emotions: take {NAMES[0]} or {NAMES[1]}, which the challenge offers, too"
        )
    if names == [VOTES]:
        return f"found only {VOTES}, the votes of FER+: the images have to lie beside it"
    if not names:
        return "the folder is empty"
    shown = "; within these ".join(_listed(level) for level in levels if level)
    return f"found {shown}{_nearest(names)}"


def _levels(root: Path) -> Iterator[list[str]]:
    """Yield the names in a folder, in its folders, and in theirs, each once; of folders with a stroke."""
    folders = [root]
    for _ in range(DEEPEST):
        entries = [entry for folder in folders for entry in sorted(folder.iterdir()) if not is_clutter(entry.name)]
        folders = [entry for entry in entries if entry.is_dir()][:LISTED]
        yield list(dict.fromkeys(entry.name + ("/" if entry.is_dir() else "") for entry in entries[:200]))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(printable(name) for name in names[:LISTED]) + more


def _nearest(names: list[str]) -> str:
    """Say which layout comes near, if one does, and by what name."""
    words = {name: [name.rstrip("/").lower(), *re.split(r"[-_. /]+", name.lower())] for name in names}
    for layout, name in product(LAYOUTS, names):
        for word in words[name]:
            if near := difflib.get_close_matches(word, layout.names, n=1, cutoff=0.75):
                return f', nearest to "{layout.words}": is {printable(name)} meant for {near[0]}?'
    return ""
