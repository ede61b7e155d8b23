"""The rows of a FER2013 CSV: fer2013.csv, or icml_face_data.csv with other column order and blanks in the header.

Read by FER2013 and, because FER+ publishes only votes, by FER+ too. The file has 300 MB of digits: it is parsed once
and its pixels are cached.
"""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer.data import cache
from fer.data.bad_rows import Faults
from fer.data.copies import Copy
from fer.data.csv_lines import read_lines, require_text
from fer.data.official import CODES, SIDE, UNKNOWN
from fer.data.table import SPLIT_NAMES, Split
from fer.errors import UserError, printable

USAGES = {"Training": Split.TRAIN, "PublicTest": Split.VAL, "PrivateTest": Split.TEST}
CONTEMPT = "7"  # in files of this form that others made of CK+
COLUMNS = ("emotion", "pixels", "usage")  # in any case
SEPARATORS = ",;\t"  # the first for FER2013, the others for what spreadsheets make of it
NAMES = ("fer2013.csv", "icml_face_data.csv", "fer2013/fer2013.csv")  # the last as the challenge's archive unpacks
SOURCE = (
    'FER2013 comes from the Kaggle challenge "Challenges in Representation Learning: Facial Expression Recognition", '
    "python -m fer.data.fetch fetches it, and dataset=synthetic needs no files"
)


def find_csv(root: Path) -> Path | None:
    """Return the FER2013 CSV that `root` is or holds, or None.

    Raises:
        UserError: if a file of such a name is an archive.
    """
    found = next((path for path in (root, *(root / name for name in NAMES)) if path.is_file()), None)
    return found and require_text(found)


def find_parts(folder: Path) -> dict[Split, Path]:
    """Return the CSV files of a folder that are named after splits: train.csv, val.csv (valid, validation), test.csv.

    None of them, unless there are train and another.

    Raises:
        UserError: if one of them is an archive, or is without emotions, as the challenge's own test.csv.
    """
    found = {split: folder / f"{name}.csv" for name, split in SPLIT_NAMES.items() if (folder / f"{name}.csv").is_file()}
    if Split.TRAIN not in found or len(found) == 1:
        return {}
    for path in found.values():
        sign, names = _columns(require_text(path), next(read_lines(path), "").strip(), ("pixels",))
        if "emotion" not in names:
            raise UserError(
                f"{path}, line 1: expected the columns emotion and pixels, but got {sign.join(names)!r}: a file of the "
                f"challenge that has no emotions; take {NAMES[0]} or {NAMES[1]}, which the challenge offers, too"
            )
    return found


def read_parts(parts: dict[Split, Path], faults: Faults) -> Copy:
    """Read CSV files of one split each; their faces are numbered through."""
    copies = [(split, read_rows(path, faults, parted=True)) for split, path in parts.items()]
    starts = np.cumsum([0, *(copy.total for _, copy in copies)])
    return Copy(
        images=np.concatenate([copy.images for _, copy in copies]),
        emotions=np.concatenate([copy.emotions for _, copy in copies]),
        splits=np.concatenate([np.full(len(copy.images), split, np.uint8) for split, copy in copies]),
        index=np.concatenate([start + copy.index for start, (_, copy) in zip(starts, copies, strict=False)]),
        total=int(starts[-1]),
    )


def read_rows(path: Path, faults: Faults, parted: bool = False) -> Copy:
    """Read all rows of a FER2013 CSV, from the cache if it has them; bad rows go to `faults`.

    Args:
        path: of the file.
        faults: takes the bad rows.
        parted: the file is of one split, and needs no column Usage.

    Raises:
        UserError: for a wrong header.
    """
    state = cache.stamp(path)
    saved = cache.load(path, state)
    if saved and _are_rows(saved):
        total = len(saved["images"])
        return Copy(**saved, index=np.arange(total), total=total, named=not parted)
    rows = replace(_parse(path, faults, parted), named=not parted)
    if len(rows.index) == rows.total:  # else a second start would not know which rows are bad
        cache.save(path, state, {"images": rows.images, "emotions": rows.emotions, "splits": rows.splits})
    return rows


def _are_rows(saved: dict[str, np.ndarray]) -> bool:
    """Tell whether cached arrays can be what `_parse` makes."""
    limits = {"images": 256, "emotions": CODES, "splits": 256}
    if saved.keys() != limits.keys() or any(array.dtype != np.uint8 for array in saved.values()):
        return False
    total = saved["images"].size // SIDE**2
    shapes = {"images": (total, SIDE, SIDE), "emotions": (total,), "splits": (total,)}
    if any(saved[name].shape != shapes[name] or (saved[name] >= limit).any() for name, limit in limits.items()):
        return False
    return bool(np.isin(saved["splits"], (*Split, UNKNOWN)).all())


def _parse(path: Path, faults: Faults, parted: bool) -> Copy:
    pixels, labels, total, strangers = bytearray(), [], 0, 0
    columns = COLUMNS[:2] if parted else COLUMNS
    for number, fields in _lines(path, columns):
        total += 1
        if len(fields) == len(columns) and fields[0].removesuffix(".0") == CONTEMPT:
            strangers += 1
            continue
        try:
            emotion, image, split = _parse_row(fields, columns)
        except ValueError as error:
            faults.add(f"{path}, line {number}: {error}")
        else:
            pixels += image
            labels.append((emotion, split, total - 1))
    if strangers:
        faults.note(f"{path}: {strangers} faces of code {CONTEMPT}, which FER2013 does not have (contempt in CK+)")
    emotions, splits, index = np.array(labels, np.int64).reshape(-1, 3).T
    images = np.frombuffer(pixels, np.uint8).reshape(-1, SIDE, SIDE)
    return Copy(images, emotions.astype(np.uint8), splits.astype(np.uint8), index, total)


def _lines(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Yield each data row's line number, from 1, and its columns; empty lines are left out.

    Raises:
        UserError: for a header without these columns, or lines that are no text.
    """
    lines = read_lines(path)
    sign, names = _columns(path, next(lines, "").strip(), columns)
    order = [names.index(name) for name in columns]
    for number, line in enumerate(lines, start=2):
        if line := line.strip(" \r\n"):
            fields = line.split(sign)
            if len(fields) != len(names) and '"' in line:  # the sign within quotes, as in "[1, 2]"
                fields = next(csv.reader([line], delimiter=sign, skipinitialspace=True))
            yield number, [fields[i].strip(' "') for i in order if i < len(fields)]


def _columns(path: Path, header: str, wanted: tuple[str, ...]) -> tuple[str, list[str]]:
    """Return the sign between the columns, and their names in small letters.

    Raises:
        UserError: if those that are wanted are not among them.
    """
    for sign in SEPARATORS:
        names = [name.strip(' "').lower() for name in header.split(sign)]
        if set(wanted) <= set(names):
            return sign, names
    named = [name.strip(' "').lower() for name in header.split(SEPARATORS[0])]
    lacking = [name for name in wanted if name not in named]
    found = f"no {' and no '.join(lacking)}" if len(lacking) < len(wanted) else f"{header[:60]!r}"
    if header[:1].isdigit():
        found = "a row of data: write these names, in the columns' order, above it"
    raise UserError(
        f"{path}, line 1: expected the columns emotion, pixels and Usage, but got {found}; "
        f"take the file that holds both training and test images ({SOURCE})"
    )


def _parse_row(fields: list[str], columns: tuple[str, ...]) -> tuple[int, bytes, int]:
    """Return one row's emotion code, its pixels as bytes, and its split, `UNKNOWN` without a column for it.

    Raises:
        ValueError: saying what was expected and what was found.
    """
    if len(fields) < len(columns):
        raise ValueError(f"expected the columns {', '.join(columns)}, but got fewer")
    emotion, text = fields[0].removesuffix(".0"), fields[1]
    if emotion not in "0123456" or len(emotion) != 1:
        raise ValueError(f'expected an emotion code from 0 to {CODES - 1}, but got "{printable(emotion)}"')
    if len(columns) == 2:
        return int(emotion), parse_pixels(text), UNKNOWN
    usage = fields[2]
    if usage not in USAGES and text.strip("[ ").isdecimal():
        raise ValueError("expected all pixels in one column, but got them in several: put blanks between them")
    if usage not in USAGES:
        raise ValueError(f'expected a Usage among {", ".join(USAGES)}, but got "{printable(usage)}"')
    return int(emotion), parse_pixels(text), USAGES[usage]


def parse_pixels(text: str) -> bytes:
    """Return 2,304 gray levels, written with blanks (or commas, brackets) between them, as bytes.

    Raises:
        ValueError: saying what was expected and what was found.
    """
    if "[" in text or "," in text:
        text = text.strip("[] ").replace(",", " ")
    try:
        values = np.fromstring(text, np.int64, sep=" ")  # in C: four times as fast as split and int
    except ValueError:
        raise ValueError("expected pixel values as whole numbers between blanks, but got something else") from None
    if values.size != SIDE * SIDE:
        raise ValueError(f"expected {SIDE * SIDE} pixel values, but got {values.size}")
    if values.min() < 0 or values.max() > 255:
        raise ValueError(f"expected pixel values from 0 to 255, but got {values.min()} to {values.max()}")
    return values.astype(np.uint8).tobytes()
