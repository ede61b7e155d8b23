"""Copies of FER2013 as Parquet files or as webdataset's TAR files, as the hubs of data sets serve them.

A file's split stands in its name or its folder (`train-00000-of-00001.parquet`, `test/0.tar`). Labels are names, or
numbers with their names in the file or beside it. What bare numbers mean is told by the images (`fer.data.official`),
because some copies have emotions in FER2013's order, others by the alphabet.
"""

import json
import re
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer.data.bad_rows import Faults
from fer.data.copies import Copy
from fer.data.decoding import decode_photo
from fer.data.fer2013_csv import USAGES, parse_pixels
from fer.data.image_files import decode, is_clutter, read_image, square
from fer.data.official import SIDE, UNKNOWN, label_order, match
from fer.data.table import SPLIT_NAMES
from fer.emotions import EMOTIONS, canonical
from fer.errors import UserError, printable
from fer.extras import require

IMAGES = ("image", "img", "img_bytes", "image_bytes", "pixels")
LABELS = ("label", "labels", "emotion", "emotions", "cls")
CLASS_NAMES = "classnames.txt"
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def find_parquet(root: Path) -> tuple[Path, ...]:
    """Return the Parquet files in a folder, or in its folders."""
    return _files(root, ".parquet")


def find_tars(root: Path) -> tuple[Path, ...]:
    """Return the TAR files of a webdataset in a folder, or in its folders: those that are named after a split."""
    return tuple(path for path in _files(root, ".tar") if _split_of(root, path) != UNKNOWN)


def _files(root: Path, suffix: str) -> tuple[Path, ...]:
    found = [*root.glob(f"*{suffix}"), *root.glob(f"*/*{suffix}")]
    return tuple(sorted(path for path in found if not is_clutter(path.name)))


def _split_of(root: Path, path: Path) -> int:
    """Return the split that a file's name, or that of a folder below `root`, begins or ends with."""
    for part in reversed(path.relative_to(root).parts):
        for word in re.split(r"[-_.\s]+", part.lower()):
            if word in SPLIT_NAMES:
                return SPLIT_NAMES[word]
    return UNKNOWN


def read_parquet(root: Path, paths: Sequence[Path], faults: Faults) -> Copy:
    """Read Parquet files below `root`; images that cannot be read go to `faults`.

    Raises:
        UserError: without pyarrow, or if the columns are not those of images and labels.
    """
    require("parquet")
    import pyarrow
    from pyarrow import parquet

    parts = []
    for path in paths:
        try:
            table = parquet.read_table(path)
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise UserError(
                f"{path}: expected a Parquet file, but it cannot be read ({printable(str(error))})"
            ) from None
        parts.append(_rows_of(path, table, _split_of(root, path)))
    names = next((names for *_, names in parts if names), None)
    loads = [load for loads, *_ in parts for load in loads]
    labels = [label for _, labels, *_ in parts for label in labels]
    splits = [split for _, _, splits, _ in parts for split in splits]
    return _collect(root, paths, loads, labels, splits, names, faults)


def _rows_of(path: Path, table: Any, split: int) -> tuple[list[Callable[[], np.ndarray]], list[Any], list[int], Any]:
    """Return what loads each row's image, its label, its split, and the names of labels that are numbers."""
    columns = {name.strip().lower(): name for name in table.column_names}
    image, label = (next((columns[name] for name in names if name in columns), None) for names in (IMAGES, LABELS))
    if image is None or label is None:
        raise UserError(
            f"{path}: expected a column of images ({', '.join(IMAGES)}) and one of labels ({', '.join(LABELS)}), but "
            f"got {printable(', '.join(table.column_names))}"
        )
    cells = table.column(image).to_pylist()
    loads = [lambda cell=cell, row=row: _load(cell, path, row) for row, cell in enumerate(cells)]
    splits = [split] * len(cells)
    if "usage" in columns:
        splits = [USAGES.get(str(word).strip(), split) for word in table.column(columns["usage"]).to_pylist()]
    return loads, table.column(label).to_pylist(), splits, _label_names(table, label)


def _label_names(table: Any, column: str) -> list[str] | None:
    """Return the names of a column's numbers, as the library datasets notes them in a file's schema."""
    try:
        features = json.loads((table.schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (LookupError, TypeError, ValueError):
        return None
    return [str(name) for name in names.values()] if isinstance(names, dict) else [str(name) for name in names]


def _load(cell: Any, path: Path, row: int) -> np.ndarray:
    """Return the image of a cell: bytes of a file, a path, both, or the pixels."""
    place = f"{path}, row {row}"
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes):
        return square(decode_photo(cell, place), SIDE)
    if isinstance(cell, list):
        cell = " ".join(map(str, np.ravel(cell).tolist()))
    if isinstance(cell, str) and cell[:1].isdigit() and " " in cell:
        try:
            return np.frombuffer(parse_pixels(cell), np.uint8).reshape(SIDE, SIDE)
        except ValueError as error:
            raise UserError(f"{place}: {error}") from None
    if isinstance(cell, str):
        return read_image(path.parent / cell, SIDE)
    raise UserError(f"{place}: expected an image, but got {printable(str(cell))}")


def read_tars(root: Path, paths: Sequence[Path], faults: Faults) -> Copy:
    """Read the TAR files of a webdataset: pairs of a picture and a .cls of one name; `classnames.txt` may lie beside.

    Raises:
        UserError: if a file is no TAR.
    """
    loads, labels, splits = [], [], []
    for path in paths:
        for name, data, label in _pairs(path):
            loads.append(lambda data=data, place=f"{path}, {name}": square(decode_photo(data, place), SIDE))
            labels.append(int(label) if label.strip().isdigit() else label.strip())
            splits.append(_split_of(root, path))
    places = (folder / CLASS_NAMES for folder in (*dict.fromkeys(path.parent for path in paths), root))
    beside = next((place for place in places if place.is_file()), None)
    names = beside.read_text(encoding="utf-8", errors="replace").split() if beside else None
    return _collect(root, paths, loads, labels, splits, names, faults)


def _pairs(path: Path) -> list[tuple[str, bytes, str]]:
    """Return name, bytes and label of each picture in a TAR file."""
    try:
        with tarfile.open(path) as archive:
            members = {member.name: member for member in archive if member.isfile()}
            found = []
            for name, member in members.items():
                stem, dot, suffix = name.rpartition(".")
                if dot + suffix.lower() in PICTURES and f"{stem}.cls" in members:
                    data, label = (archive.extractfile(each).read() for each in (member, members[f"{stem}.cls"]))
                    found.append((name, data, label.decode("utf-8", "replace")))
            return found
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{path}: expected a TAR file, but it cannot be read ({error})") from None


def _collect(
    root: Path,
    paths: Sequence[Path],
    loads: list[Callable[[], np.ndarray]],
    labels: list[Any],
    splits: list[int],
    names: list[str] | None,
    faults: Faults,
) -> Copy:
    """Decode the images, and turn labels into codes."""
    images, good = decode(root, paths, len(loads), SIDE, lambda i: loads[i](), faults)
    return Copy(
        images=images,
        emotions=_codes(root, [labels[i] for i in good], names, images),
        splits=np.array([splits[i] for i in good], np.uint8),
        index=good,
        total=len(loads),
    )


def _codes(root: Path, labels: list[Any], names: list[str] | None, images: np.ndarray) -> np.ndarray:
    """Return the emotions' codes, (N,) uint8.

    Raises:
        UserError: for a label that is no emotion, or numbers of which neither names nor images tell the order.
    """
    if names and all(isinstance(label, int) and 0 <= label < len(names) for label in labels):
        labels = [names[label] for label in labels]
    if all(isinstance(label, int) for label in labels):
        numbers = np.array(labels, np.int64)
        if (order := label_order(numbers, match(images))) is None:
            raise UserError(
                f"{root}: expected labels with names, but got the numbers {sorted(set(labels))}, and the images do not "
                "tell what they stand for: write the emotions' names, or class folders named after them"
            )
        return np.array([order[number] for number in labels], np.uint8)
    known = {label: canonical(str(label)) for label in set(labels)}
    if strange := sorted(str(label) for label, emotion in known.items() if emotion is None):
        raise UserError(
            f"{root}: expected labels among {', '.join(EMOTIONS)}, but got {printable(', '.join(strange[:6]))}"
        )
    return np.array([EMOTIONS.index(known[label]) for label in labels], np.uint8)
