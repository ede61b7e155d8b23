"""The rows of a FER2013 CSV: fer2013.csv, or icml_face_data.csv with other column order and blanks in the header.

Read by FER2013 and, because FER+ publishes only votes, by FER+ too. The file has 300 MB of digits: it is parsed once
and its pixels are cached.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer.data import cache
from fer.data.bad_rows import Faults
from fer.data.csv_lines import ARCHIVES, read_lines, require_text
from fer.data.table import Split
from fer.errors import UserError, printable

IMAGE_SIZE = 48  # pixels
CODES = 7  # emotions, as codes 0 to 6
USAGES = {"Training": Split.TRAIN, "PublicTest": Split.VAL, "PrivateTest": Split.TEST}
CONTEMPT = "7"  # in files of this form that others made of CK+
COLUMNS = ("emotion", "pixels", "usage")  # in any case
SEPARATORS = ",;\t"  # the first for FER2013, the others for what spreadsheets make of it
NAMES = ("fer2013.csv", "icml_face_data.csv", "fer2013/fer2013.csv")  # the last as the challenge's archive unpacks
SOURCE = (
    'FER2013 comes from the Kaggle challenge "Challenges in Representation Learning: Facial Expression Recognition", '
    "and dataset=synthetic needs no files"
)


@dataclass(frozen=True)
class Rows:
    """The readable rows of a FER2013 CSV.

    Attributes:
        images: (N, 48, 48) uint8.
        emotions: (N,) uint8, codes 0 to 6.
        splits: (N,) uint8, values of `Split`.
        index: (N,) int64, number of the data row in the file, from 0.
        total: number of data rows, the unreadable ones among them.
    """

    images: np.ndarray
    emotions: np.ndarray
    splits: np.ndarray
    index: np.ndarray
    total: int


def find_csv(root: Path) -> Path | None:
    """Return the FER2013 CSV that `root` is or holds, or None.

    Raises:
        UserError: if a file of such a name is an archive.
    """
    found = next((path for path in (root, *(root / name for name in NAMES)) if path.is_file()), None)
    return found and require_text(found)


def found_instead(folder: Path) -> str:
    """Say, as the end of a sentence, what a folder without the files holds, and what to do with it."""
    if not folder.is_dir():
        return "there is no such folder"
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if packed := [name for name in names if name.lower().endswith(ARCHIVES)]:
        return f"found {printable(packed[0])}, an archive: unpack it"
    if "train.csv" in names:
        return (
            "found train.csv, which has no Usage: it does not say what is for validation and test, and test.csv beside "
            f"it has no emotions: take {NAMES[0]} or {NAMES[1]}, which the challenge offers, too"
        )
    if not names:
        return "the folder is empty"
    return f"none of them is there (found: {', '.join(printable(name) for name in names[:8])})"


def read_rows(path: Path, faults: Faults) -> Rows:
    """Read all rows of a FER2013 CSV, from the cache if it has them; bad rows go to `faults`.

    Raises:
        UserError: for a wrong header.
    """
    state = cache.stamp(path)
    saved = cache.load(path, state)
    if saved and _are_rows(saved):
        total = len(saved["images"])
        return Rows(**saved, index=np.arange(total), total=total)
    rows = _parse(path, faults)
    if len(rows.index) == rows.total:  # else a second start would not know which rows are bad
        cache.save(path, state, {"images": rows.images, "emotions": rows.emotions, "splits": rows.splits})
    return rows


def _are_rows(saved: dict[str, np.ndarray]) -> bool:
    """Tell whether cached arrays can be what `_parse` makes."""
    limits = {"images": 256, "emotions": CODES, "splits": len(Split)}
    if saved.keys() != limits.keys() or any(array.dtype != np.uint8 for array in saved.values()):
        return False
    total = saved["images"].size // IMAGE_SIZE**2
    shapes = {"images": (total, IMAGE_SIZE, IMAGE_SIZE), "emotions": (total,), "splits": (total,)}
    return all(saved[name].shape == shapes[name] and (saved[name] < limit).all() for name, limit in limits.items())


def _parse(path: Path, faults: Faults) -> Rows:
    pixels, labels, total, strangers = bytearray(), [], 0, 0
    for number, fields in _lines(path):
        total += 1
        if len(fields) == len(COLUMNS) and fields[0].removesuffix(".0") == CONTEMPT:
            strangers += 1
            continue
        try:
            emotion, image, split = _parse_row(fields)
        except ValueError as error:
            faults.add(f"{path}, line {number}: {error}")
        else:
            pixels += image
            labels.append((emotion, split, total - 1))
    if strangers:
        faults.note(f"{path}: {strangers} faces of code {CONTEMPT}, which FER2013 does not have (contempt in CK+)")
    emotions, splits, index = np.array(labels, np.int64).reshape(-1, 3).T
    images = np.frombuffer(pixels, np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
    return Rows(images, emotions.astype(np.uint8), splits.astype(np.uint8), index, total)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each data row's line number, from 1, and its emotion, pixels and usage; empty lines are left out.

    Raises:
        UserError: for a header without these columns, or lines that are no text.
    """
    lines = read_lines(path)
    sign, names = _columns(path, next(lines, "").strip())
    order = [names.index(name) for name in COLUMNS]
    for number, line in enumerate(lines, start=2):
        if line := line.strip(" \r\n"):
            fields = line.split(sign)
            if len(fields) != len(names) and '"' in line:  # the sign within quotes, as in "[1, 2]"
                fields = next(csv.reader([line], delimiter=sign, skipinitialspace=True))
            yield number, [fields[i].strip(' "') for i in order if i < len(fields)]


def _columns(path: Path, header: str) -> tuple[str, list[str]]:
    """Return the sign between the columns, and their names in small letters.

    Raises:
        UserError: if emotion, pixels and Usage are not among them.
    """
    for sign in SEPARATORS:
        names = [name.strip(' "').lower() for name in header.split(sign)]
        if set(COLUMNS) <= set(names):
            return sign, names
    raise UserError(
        f"{path}, line 1: expected the columns emotion, pixels and Usage, but got {header[:60]!r}; "
        f"take the file that holds both training and test images ({SOURCE})"
    )


def _parse_row(fields: list[str]) -> tuple[int, bytes, Split]:
    """Return one row's emotion code, its pixels as bytes, and its split.

    Raises:
        ValueError: saying what was expected and what was found.
    """
    if len(fields) < len(COLUMNS):
        raise ValueError(f"expected the columns {', '.join(COLUMNS)}, but got fewer")
    emotion, text, usage = fields[0].removesuffix(".0"), *fields[1:]
    if emotion not in "0123456" or len(emotion) != 1:
        raise ValueError(f'expected an emotion code from 0 to {CODES - 1}, but got "{printable(emotion)}"')
    if usage not in USAGES and text.strip("[ ").isdecimal():
        raise ValueError("expected all pixels in one column, but got them in several: put blanks between them")
    if usage not in USAGES:
        raise ValueError(f'expected a Usage among {", ".join(USAGES)}, but got "{printable(usage)}"')
    return int(emotion), _pixels(text), USAGES[usage]


def _pixels(text: str) -> bytes:
    if "[" in text or "," in text:
        text = text.strip("[] ").replace(",", " ")
    try:
        values = np.fromstring(text, np.int64, sep=" ")  # in C: four times as fast as split and int
    except ValueError:
        raise ValueError("expected pixel values as whole numbers between blanks, but got something else") from None
    if values.size != IMAGE_SIZE * IMAGE_SIZE:
        raise ValueError(f"expected {IMAGE_SIZE * IMAGE_SIZE} pixel values, but got {values.size}")
    if values.min() < 0 or values.max() > 255:
        raise ValueError(f"expected pixel values from 0 to 255, but got {values.min()} to {values.max()}")
    return values.astype(np.uint8).tobytes()
