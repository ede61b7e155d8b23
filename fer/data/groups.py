"""Groups of people to whom the faces of a test split belong, as a file says that somebody has written.

A CSV file with a column `group`, and one that names the face as predictions.csv does: `file`, or `index` where faces
come from no files. Nothing is guessed: a face that it does not name, or whose group is empty, belongs to none.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer.counting import counted
from fer.data.bad_rows import readable
from fer.data.csv_lines import read_lines, require_text
from fer.data.table import Table
from fer.errors import UserError, printable

FEWEST = 50  # faces of a group: of fewer, an accuracy of 70 % is known to 13 points at best
MOST = 12  # groups, every two of which are compared
LONGEST = 60  # letters of a group's name
COLUMNS = "expected the columns file (or index, as in predictions.csv) and group"


@dataclass(frozen=True)
class Groups:
    """The groups of N faces.

    Attributes:
        names: in alphabetical order.
        codes: (N,) int64, places among the names; -1 for none.
    """

    names: tuple[str, ...]
    codes: np.ndarray


@readable()
def read_groups(path: Path, faces: Table) -> Groups:
    """Read which of some faces belong to which group.

    Args:
        path: of the CSV file.
        faces: N test faces. Rows of the file that name others are passed over.

    Raises:
        UserError: if the file cannot be read, names none of the faces, or has too few groups or faces in one of them.
    """
    known: dict[str, tuple[str, int]] = {}
    rows = _rows(path, faces.files is not None)
    for line, face, group in rows:
        before, earlier = known.setdefault(face, (group, line))
        if before != group:
            raise UserError(
                f"{path}, line {line}: expected one group for each face, but {printable(face)} is in "
                f"{printable(group) or 'none'} here and in {printable(before) or 'none'} in line {earlier}: leave one"
            )
    keys = faces.files or tuple(map(str, faces.rows.tolist()))
    found = [known.get(key, ("", 0))[0] for key in keys]
    counts = Counter(group for group in found if group)
    _require_enough(path, counts, keys[0] if keys else "", len(known))
    names = tuple(sorted(counts))
    places = {name: place for place, name in enumerate(names)}
    return Groups(names, np.array([places.get(group, -1) for group in found], np.int64))


def _rows(path: Path, by_file: bool) -> Iterator[tuple[int, str, str]]:
    """Yield line number, name of the face and group of each row.

    Raises:
        UserError: for a wrong header or row.
    """
    reader = csv.reader(read_lines(require_text(path)), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        face = "file" if by_file else "index"
        if face not in header or "group" not in header:
            why = "" if by_file or "file" not in header else ": these faces come from no files, and index is their row"
            raise UserError(f"{path}, line 1: {COLUMNS}, but got {printable(','.join(header)) or 'nothing'}{why}")
        columns = header.index(face), header.index("group")
        for fields in reader:
            if fields:
                yield reader.line_num, *_fields(path, reader.line_num, fields, columns, by_file)
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.line_num}: expected a row of CSV, but got one that cannot be read ({error}): is a "
            "quotation mark left open?"
        ) from None


def _fields(path: Path, line: int, fields: list[str], columns: tuple[int, int], by_file: bool) -> tuple[str, str]:
    if len(fields) <= max(columns):
        raise UserError(
            f"{path}, line {line}: expected {counted(max(columns) + 1, 'column')} at least, but got {len(fields)}"
        )
    face, group = (fields[column].strip() for column in columns)
    if len(group) > LONGEST or not group.isprintable():
        raise UserError(
            f"{path}, line {line}: expected a group of at most {LONGEST} printable letters, but got {printable(group)}"
        )
    if by_file:
        return face.replace("\\", "/").removeprefix("./"), group
    if not (face.isascii() and face.isdecimal()):
        raise UserError(
            f"{path}, line {line}: expected an index, as in predictions.csv, but got {printable(face) or 'nothing'}"
        )
    return face.lstrip("0") or "0", group


def _require_enough(path: Path, counts: Counter[str], example: str, rows: int) -> None:
    """Check that there are groups of which something can be said.

    Raises:
        UserError: if there are not.
    """
    if not counts:
        raise UserError(
            f"{path}: expected groups of test faces, named as in predictions.csv ({printable(example)}), but none of "
            f"{counted(rows, 'face')} in it is one with a group"
        )
    if small := [f"{printable(name)} has {count}" for name, count in sorted(counts.items()) if count < FEWEST]:
        raise UserError(
            f"{path}: expected {FEWEST} test faces or more in each group, as of fewer an accuracy says nothing, but "
            f"{', '.join(small[:MOST])}: join groups, or leave the group of these faces empty"
        )
    if not 2 <= len(counts) <= MOST:
        raise UserError(f"{path}: expected 2 to {MOST} groups of test faces to compare, but got {len(counts)}")
