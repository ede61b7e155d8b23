"""FER+ (Barsoum et al. 2016, https://arxiv.org/abs/1608.01041): FER2013's images with ten people's votes on each.

Two forms: fer2013new.csv, whose rows are those of the challenge's CSV, beside any copy of FER2013, or the folders that
the FERPlus repository makes of both.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer.data.bad_rows import Faults, readable
from fer.data.copies import Copy, restore
from fer.data.csv_lines import require_text
from fer.data.fer2013_csv import NAMES
from fer.data.image_files import decode_files
from fer.data.layouts import FOLDERS, Place, found_instead, look
from fer.data.official import UNKNOWN, official
from fer.data.table import Split, Table
from fer.data.votes import targets_from
from fer.data.votes_csv import HOW, VOTES, Voted, read_labels, read_votes, usage_of
from fer.emotions import EMOTIONS, class_names
from fer.errors import UserError

PLACES = {Split.TRAIN: "FER2013Train", Split.VAL: "FER2013Valid", Split.TEST: "FER2013Test"}
LABELS = "label.csv"


class Pair(NamedTuple):
    """A copy of FER2013, and the votes beside it."""

    pixels: Place
    votes: Path


def locate_ferplus(root: Path) -> Pair | dict[Split, Path]:
    """Return the votes and a copy of FER2013, or else the three folders, that `root` holds.

    Args:
        root: a folder, or one of the CSV files in it.

    Raises:
        UserError: saying what is missing.
    """
    folder = root.parent if root.is_file() else root
    if pair := _find_pair(root):
        return pair
    for base in (folder / "data", folder):
        if all((base / name / LABELS).is_file() for name in PLACES.values()):
            return _with_images({split: base / name for split, name in PLACES.items()})
    raise UserError(
        f"dataset.root={root}: expected {VOTES} (the votes) beside {NAMES[0]} or another copy of FER2013 (the pixels), "
        f"or else data/{', data/'.join(PLACES.values())} with {LABELS} and images, but {_found(root, folder)}; {HOW}"
    )


def _find_pair(root: Path) -> Pair | None:
    """Return a copy of FER2013 and the votes in its folder, or in one above it up to `root`."""
    folder = root.parent if root.is_file() else root
    pixels, votes = look(folder if root.name == VOTES else root), _find_votes(folder)
    if pixels is None:
        return None
    for place in (pixels.root, *pixels.root.parents):
        if not place.is_relative_to(folder):
            break
        votes = votes or _find_votes(place)
    return Pair(pixels, require_text(votes)) if votes else None


def _find_votes(folder: Path) -> Path | None:
    return path if (path := folder / VOTES).is_file() else None


def _found(root: Path, folder: Path) -> str:
    if votes := _find_votes(folder):
        return f"found only {votes}"
    if pixels := look(root):
        cure = ": to train such labels as they are, take dataset=folder" if pixels.layout.words == FOLDERS else ""
        return f"found only {pixels.layout.words} in {pixels.root}{cure}"
    return found_instead(folder)


def _with_images(folders: dict[Split, Path]) -> dict[Split, Path]:
    """Return the folders if they hold images: a fresh copy of the repository has the votes alone."""
    if empty := [path for path in folders.values() if not any(path.glob("*.png"))]:
        raise UserError(
            f"{empty[0]}: expected the images named in {LABELS}, but found no PNG file; make them with the "
            f"repository's own script, or put {NAMES[0]} beside {VOTES} ({HOW})"
        )
    return folders


def read_ferplus(
    root: Path, size: int, classes: int = 8, labels: str = "majority", on_error: str = "raise", split: str = "official"
) -> Table:
    """Read FER+ from its votes beside a copy of FER2013, or from its folders of images.

    Validation and test keep the faces, and the one label, that the majority rule gives, whatever `labels` is. Fewer
    than eight classes keep the faces whose leading emotion is among them.

    Args:
        root: the folder that holds the files.
        size: side of the images, in pixels.
        classes: 6 (without neutral and contempt), 7 (without contempt) or 8.
        labels: how votes become the targets of train: "majority", "soft", "probability" or "multi" (`fer.data.votes`).
        on_error: "raise" stops at rows and images that cannot be read, "skip" leaves them out.
        split: as for `fer.data.fer2013.read_fer2013`; the repository's folders are the official split.

    Raises:
        UserError: if files are missing or do not belong together, or cannot be read.
    """
    found, faults = locate_ferplus(root), Faults(on_error)
    if isinstance(found, Pair):
        return _read_pair(found, classes, labels, faults, split).resized(size)
    return _read_folders(found, size, classes, labels, faults)


@readable()
def read_crowd(root: Path, table: Table, on_error: str = "raise") -> np.ndarray | None:
    """Return what the crowd's majority calls faces of FER2013, where the votes lie beside it.

    Args:
        root: of the dataset, as for `fer.data.fer2013.read_fer2013`.
        table: faces that it has read.
        on_error: as for `read_ferplus`.

    Returns:
        (N,) int64, indices into the table's classes; -1 where there is no majority, or for another emotion. None
        without votes, or of a copy that is taken as it is.

    Raises:
        UserError: if the votes cannot be read or are not those of the copy.
    """
    pair = _find_pair(root)
    if pair is None or table.origin is None or table.origin.split == "as_is":
        return None
    voted = read_votes(pair.votes, faults := Faults(on_error))
    if table.origin.split == "official":
        _require_official(pair, voted)
    elif (copy := pair.pixels.read(faults)).files is None:
        _require_same_rows(pair, copy, voted)
    else:
        return None
    faults.close()
    targets = targets_from(voted.votes[table.rows], "majority")  # (N, 8)
    names = table.classes
    places = np.array([names.index(emotion) if emotion in names else -1 for emotion in EMOTIONS])
    return np.where(targets.any(1), places[targets.argmax(1)], -1)


def _read_pair(pair: Pair, classes: int, labels: str, faults: Faults, split: str) -> Table:
    voted = read_votes(pair.votes, faults)
    copy, origin = restore(pair.pixels.read(faults), split, str(pair.pixels.root))
    if origin.split == "named" or not (copy.rows >= 0).any():
        _require_same_rows(pair, copy, voted)
        rows = copy.index
    else:
        _require_official(pair, voted)
        copy = copy.select(np.flatnonzero(copy.rows >= 0))
        rows = copy.rows
    targets = _targets(voted.votes[rows], copy.splits, labels)
    kept = np.flatnonzero(targets.any(1))
    copy = copy.select(kept)
    table = Table(
        images=copy.images,
        targets=targets[kept],
        splits=copy.splits,
        rows=copy.index,
        classes=EMOTIONS,
        files=copy.files,
        skipped=faults.close(),
        origin=replace(origin, relabelled=0),  # FER2013's labels are not used
    )
    return table.with_classes(class_names(classes), _leading(voted.votes[rows[kept]]))


def _require_official(pair: Pair, voted: Voted) -> None:
    """Check that votes are those of the challenge's CSV."""
    theirs = official().splits
    if len(voted.votes) != len(theirs):
        raise UserError(
            f"{pair.votes}: expected {len(theirs)} data rows, as many as FER2013 has, but got {len(voted.votes)}; take "
            f"the file as published ({HOW})"
        )
    _require_usages(pair.votes, voted.splits, voted.lines, theirs, "FER2013")


def _require_same_rows(pair: Pair, rows: Copy, voted: Voted) -> None:
    """Check that votes have the rows of a CSV of other faces, row for row."""
    if rows.files is not None:
        raise UserError(
            f"{pair.pixels.root}: expected images of FER2013, so that the votes in {pair.votes} can be given to them, "
            f"but they are others; take a copy as published ({HOW})"
        )
    if len(voted.votes) != rows.total:
        raise UserError(
            f"{pair.votes}: expected {rows.total} data rows, as many as {_source(pair)} has, but got "
            f"{len(voted.votes)}; take both files as published ({HOW})"
        )
    _require_usages(pair.votes, voted.splits[rows.index], voted.lines[rows.index], rows.splits, _source(pair))


def _source(pair: Pair) -> str:
    found = pair.pixels.found
    return str(found if isinstance(found, Path) else pair.pixels.root)


def _require_usages(path: Path, splits: np.ndarray, lines: np.ndarray, wanted: np.ndarray, whose: str) -> None:
    for i in np.flatnonzero((splits != wanted) & (splits != UNKNOWN) & (wanted != UNKNOWN))[:1]:
        raise UserError(
            f"{path}, line {lines[i]}: expected the Usage {usage_of(wanted[i])}, as {whose} has it, but got "
            f"{usage_of(splits[i])}; take both files as published ({HOW})"
        )


def _read_folders(folders: dict[Split, Path], size: int, classes: int, labels: str, faults: Faults) -> Table:
    parts = {split: read_labels(folder / LABELS, split, faults) for split, folder in folders.items()}
    paths = [folders[split] / name for split, part in parts.items() for name in part.names]
    splits = np.concatenate([part.splits for part in parts.values()])
    votes = np.concatenate([part.votes for part in parts.values()])
    targets = _targets(votes, splits, labels)
    kept = np.flatnonzero(targets.any(1))
    base = folders[Split.TRAIN].parent
    images, good = decode_files(base, [paths[i] for i in kept], size, faults)
    kept = kept[good]
    table = Table(
        images=images,
        targets=targets[kept],
        splits=splits[kept],
        rows=kept,
        classes=EMOTIONS,
        files=tuple(paths[i].relative_to(base).as_posix() for i in kept),
        skipped=faults.close(),
    )
    return table.with_classes(class_names(classes), _leading(votes[kept]))


def _targets(votes: np.ndarray, splits: np.ndarray, labels: str) -> np.ndarray:
    """Return (N, 8) float32 targets, zeros for the faces to leave out: those of no emotion."""
    train = (splits == Split.TRAIN)[:, None]
    return np.where(train, targets_from(votes, labels), targets_from(votes, "majority"))


def _leading(votes: np.ndarray) -> np.ndarray:
    """Return the emotion with the most votes, by which a face belongs to a class: (N, 10) -> (N,)."""
    return votes[:, : len(EMOTIONS)].argmax(1)
