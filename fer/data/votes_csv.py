"""FER+'s votes in its files: fer2013new.csv, with the rows of the challenge's CSV, and label.csv in its folders."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer.data.bad_rows import Faults
from fer.data.csv_lines import read_lines
from fer.data.fer2013_csv import SOURCE, USAGES
from fer.data.official import UNKNOWN
from fer.data.table import Split
from fer.emotions import EMOTIONS, canonical
from fer.errors import UserError, printable

VOTES = "fer2013new.csv"
COLUMNS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
ORDER = [*([canonical(name) for name in COLUMNS].index(emotion) for emotion in EMOTIONS), 8, 9]  # as votes.py has them
DIGITS = 6  # of a count of votes: ten people voted
HOW = f"{VOTES} comes from the repository microsoft/FERPlus on GitHub; {SOURCE}"


@dataclass(frozen=True)
class Voted:
    """One file of votes, row by row; a row that cannot be read has no votes, and so no rule keeps it.

    Attributes:
        votes: (N, 10) int64, in the column order of `fer.data.votes`.
        names: N image names.
        splits: (N,) uint8, values of `Split`, or `UNKNOWN` in a row that cannot be read.
        lines: (N,) int64, line numbers in the file, from 1.
    """

    votes: np.ndarray
    names: tuple[str, ...]
    splits: np.ndarray
    lines: np.ndarray


def usage_of(split: int) -> str:
    """Return the word that the files have for a split."""
    return next(name for name, value in USAGES.items() if value == split)


def read_votes(path: Path, faults: Faults) -> Voted:
    """Read fer2013new.csv.

    Raises:
        UserError: for a wrong header.
    """
    rows = _csv_rows(path)
    names = [name.strip() for name in next(rows, (1, []))[1]]
    wanted = ("Usage", "Image name", *COLUMNS)
    if not set(wanted) <= set(names):
        found = ",".join(names)[:60]
        raise UserError(f"{path}, line 1: expected the columns {','.join(wanted)}, but got {found!r} ({HOW})")
    order = [names.index(name) for name in wanted]
    ordered = ((line, [fields[i] if i < len(fields) else "" for i in order]) for line, fields in rows)
    return _collect(path, ordered, faults)


def read_labels(path: Path, split: Split, faults: Faults) -> Voted:
    """Read a folder's label.csv: image name, the box of the face (always the whole image), and the votes."""
    return _collect(
        path, ((line, [usage_of(split), *fields[:1], *fields[2:]]) for line, fields in _csv_rows(path)), faults
    )


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(read_lines(path))
    try:
        yield from ((reader.line_num, fields) for fields in reader if fields)
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.line_num}: expected a row of CSV, but got one that cannot be read ({error}): is a "
            "quotation mark left open?"
        ) from None


def _collect(path: Path, rows: Iterable[tuple[int, list[str]]], faults: Faults) -> Voted:
    """Make arrays of rows of line number and usage, image name and the votes as text."""
    votes, names, splits, lines = [], [], [], []
    for line, fields in rows:
        try:
            split, counts = _parse_votes(fields)
        except ValueError as error:
            faults.add(f"{path}, line {line}: {error}")
            split, counts = UNKNOWN, [0] * len(COLUMNS)
        votes.append(counts)
        names.append(fields[1] if len(fields) > 1 else "")
        splits.append(split)
        lines.append(line)
    counts = np.array(votes, np.int64).reshape(-1, len(COLUMNS))[:, ORDER]
    return Voted(counts, tuple(names), np.array(splits, np.uint8), np.array(lines, np.int64))


def _parse_votes(fields: list[str]) -> tuple[Split, list[int]]:
    """Return the split and the votes of one row.

    Raises:
        ValueError: saying what was expected and what was found.
    """
    usage, votes = fields[0], fields[2:]
    if usage not in USAGES:
        raise ValueError(f'expected a Usage among {", ".join(USAGES)}, but got "{printable(usage)}"')
    if len(votes) != len(COLUMNS) or not all(vote.isdecimal() and len(vote) <= DIGITS for vote in votes):
        found = printable(",".join(votes))
        raise ValueError(f'expected {len(COLUMNS)} vote counts of at most {DIGITS} digits, but got "{found}"')
    return USAGES[usage], [int(vote) for vote in votes]
