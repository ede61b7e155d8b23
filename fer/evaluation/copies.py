"""Test faces that training has, too: equal in every pixel, or one photograph in another light, crop or compression.

A net may know them by heart, so `test_unseen` leaves both out, and copies.csv names each beside its training face. What
counts as nearly equal is decided in one place, `fer.data.duplicates`.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer.atomic import whole_file
from fer.data.duplicates import find_originals
from fer.data.table import Split, Table


@dataclass(frozen=True)
class Copies:
    """The test faces, and the training face of which each is a copy.

    Attributes:
        test: N test faces, in the order of rows.
        train: the training faces.
        places: (N,) int64, the nearest training face of each test face that is a copy; -1 for the others.
        likeness: (N,) float32, infinite if the two are equal in every pixel, otherwise their correlation.
    """

    test: Table
    train: Table
    places: np.ndarray
    likeness: np.ndarray

    @property
    def unseen(self) -> np.ndarray:
        """(N,) bool: which test faces training does not have."""
        return self.places < 0

    def counts(self) -> dict[str, int]:
        """Return what metrics.json says of them."""
        equal = int(np.isinf(self.likeness).sum())
        return {"test/copies": equal, "test/near_copies": int((~self.unseen).sum()) - equal}


def find_copies(table: Table) -> Copies:
    """Compare the test faces of a table with its training faces."""
    test, train = table.part(Split.TEST).by_rows(), table.part(Split.TRAIN)
    return Copies(test, train, *find_originals(test.images, train.images))


def write_copies(path: Path, copies: Copies) -> None:
    """Write a row for each test face that is a copy, with the training face: index and label, as in predictions.csv.

    Raises:
        RunError: if the file cannot be written.
    """
    test, train = copies.test, copies.train
    names = ("index", "target", *(("file",) if test.files else ()))
    with whole_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["kind", "correlation", *names, *(f"train_{name}" for name in names)])
        for place in np.flatnonzero(~copies.unseen).tolist():
            likeness = copies.likeness[place]
            kind = ("equal", "1") if np.isinf(likeness) else ("near", f"{likeness:.4f}")
            writer.writerow([*kind, *_about(test, place), *_about(train, int(copies.places[place]))])


def _about(table: Table, place: int) -> tuple[str | int, ...]:
    about = int(table.rows[place]), table.classes[table.labels[place]]
    return (*about, table.files[place]) if table.files else about
