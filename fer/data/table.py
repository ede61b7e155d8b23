"""The table: every face of a dataset in memory, with its target and its split. What readers make and loaders take."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np

from fer.counting import counted
from fer.data.decoding import resize
from fer.errors import UserError

OTHER = "other"  # the one class of the faces that are of none of a table's
SAMPLE = 1000  # faces that stand for a split where all of them would take long


class Split(IntEnum):
    """What a face is for: `TRAIN` (0) for fitting, `VAL` (1) for choosing, `TEST` (2) for one reading at the end."""

    TRAIN = 0
    VAL = 1
    TEST = 2


# What people call the parts of a data set, as names of folders and files, in any case.
SPLIT_NAMES = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "val": Split.VAL,
    "valid": Split.VAL,
    "validation": Split.VAL,
    "test": Split.TEST,
    "testing": Split.TEST,
}


@dataclass(frozen=True)
class Origin:
    """Where the split of a copy of FER2013 comes from, and how whole the copy is.

    Attributes:
        split: "official" (restored by the images), "named" (as its Usage or its file names say) or "as_is".
        found: the number of FER2013's images of train, val and test that are there, by the official split.
        official: how many there are.
        strangers: images that are none of FER2013's, or copies beyond its own; left out of an official split.
        leaked: test images of the copy's own split that FER2013 has for training.
        relabelled: labels that differ from the official ones.
        notes: what to say of how the copy was read.
    """

    split: str
    found: tuple[int, ...]
    official: tuple[int, ...]
    strangers: int = 0
    leaked: int = 0
    relabelled: int = 0
    notes: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """What metrics.json says of it."""
        facts: dict[str, Any] = {"dataset_split": self.split}
        if self.found != self.official:
            facts["dataset_found"] = dict(zip((split.name.lower() for split in Split), self.found, strict=True))
        counts = {"strangers": self.strangers, "leaked": self.leaked, "relabelled": self.relabelled}
        if self.split == "official":
            counts.pop("leaked")
        return facts | {f"dataset_{name}": count for name, count in counts.items() if count}

    @property
    def sentences(self) -> list[str]:
        """What to say of it, the good news first."""
        found, whole = (" / ".join(f"{n:,}" for n in counts) for counts in (self.found, self.official))
        of_them = "all" if self.found == self.official else f"{found} of"
        said = [f"split: {SPLITS_FROM[self.split]}; {of_them} FER2013's {whole} images are there"]
        if self.split == "official" and self.found != self.official:
            said.append("warning: the copy is not whole, so its figures cannot be compared with those of all images")
        if self.split == "as_is" and self.leaked:
            said.append(f"warning: {self.leaked:,} of its test images are among FER2013's training images")
        if self.split == "official" and self.strangers:
            said.append(f"left out: {self.strangers:,} images that are not FER2013's, or more copies than it has")
        if self.relabelled:
            said.append(f"warning: {self.relabelled:,} labels differ from FER2013's own; the copy's are taken")
        return [*said, *self.notes]


SPLITS_FROM = {
    "official": "FER2013's own, told by the images",
    "named": "as the copy's files say, since its images are not FER2013's: no official figures",
    "as_is": "the copy's own (dataset.split=as_is), so that its figures cannot be compared with others'",
}


@dataclass(frozen=True, eq=False)  # one that is read once is told by itself: its folds are dealt once
class Table:
    """Faces in memory.

    Attributes:
        images: (N, H, W) uint8, grayscale.
        targets: (N, C) float32, each row a distribution over `classes` (one-hot, or a crowd's votes).
        splits: (N,) uint8, values of `Split`.
        rows: (N,) int64, each face's position in its source (data row of the CSV, or place in the sorted file list).
        classes: C names, in the order of `fer.emotions.in_order`, or of the net that is evaluated.
        files: N paths relative to the source's folder, where faces come from image files.
        skipped: one sentence for each row or image that could not be read, and for each folder of no split.
        others: how many faces of each split and class were left out because `classes` has no such class.
        origin: of FER2013 and FER+, where the split comes from.
        held: training faces that are left out, to be predicted at the end; a choice of faces has none.
        other_faces: those that `others` counts, as far as they were read, all of the class `OTHER`.

    Examples:
        >>> import numpy as np
        >>> from fer.data.table import Split, Table
        >>> images, targets = np.zeros((3, 48, 48), np.uint8), np.eye(3, dtype=np.float32)
        >>> splits = np.array([Split.TRAIN, Split.TRAIN, Split.TEST], np.uint8)
        >>> table = Table(images, targets, splits, rows=np.arange(3), classes=("angry", "happy", "sad"))
        >>> table.labels
        array([0, 1, 2])
        >>> table.part(Split.TRAIN)
        <Table: 2 faces of 48x48 pixels; train 2, val 0, test 0; angry, happy, sad>
    """

    images: np.ndarray
    targets: np.ndarray
    splits: np.ndarray
    rows: np.ndarray
    classes: tuple[str, ...]
    files: tuple[str, ...] | None = None
    skipped: tuple[str, ...] = ()
    others: Counter[tuple[Split, str]] = field(default_factory=Counter)
    origin: Origin | None = None
    held: "Table | None" = None
    other_faces: "Table | None" = None

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.images.shape[1:]
        splits = ", ".join(f"{name} {count:,}" for name, count in _sizes(self).items())
        classes = ", ".join(self.classes)
        return f"<Table: {counted(len(self), 'face')} of {width}x{height} pixels; {splits}; {classes}>"

    @property
    def facts(self) -> dict[str, Any]:
        """What metrics.json says of where the split comes from."""
        return self.origin.facts if self.origin else {}

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64: the class with the largest share of each target."""
        return self.targets.argmax(1)

    def select(self, chosen: np.ndarray) -> "Table":
        """Return the faces that a mask, (N,) bool, or indices, (M,) int, choose, in the order of the indices."""
        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        files = None if self.files is None else tuple(self.files[i] for i in index)
        arrays = {name: getattr(self, name)[index] for name in ("images", "targets", "splits", "rows")}
        return replace(self, **arrays, files=files, held=None)

    def part(self, split: Split) -> "Table":
        """Return the faces of one split."""
        return self.select(self.splits == split)

    def sample(self, seed: int, count: int = SAMPLE) -> "Table":
        """Return some of the faces in random order, always the same for a seed; all, if there are not that many."""
        return self.select(np.random.default_rng(seed).permutation(len(self))[:count])

    def by_rows(self) -> "Table":
        """Return the faces in the order of their rows."""
        return self.select(np.argsort(self.rows, kind="stable"))

    def resized(self, size: int) -> "Table":
        """Return the table with square images of `size` pixels (area averaging down, bilinear up)."""
        if self.images.shape[1:] == (size, size):
            return self
        images = np.empty((len(self), size, size), np.uint8)
        for source, target in zip(self.images, images, strict=True):
            target[:] = resize(source, size)
        return replace(self, images=images, other_faces=self.other_faces and self.other_faces.resized(size))

    def with_classes(self, names: tuple[str, ...], labels: np.ndarray | None = None) -> "Table":
        """Return the faces of the named classes only, with targets in that order; a name may have no faces.

        Args:
            names: of the classes.
            labels: (N,) the class that a face belongs to; None for the one with the largest share of its target.
        """
        if names == self.classes and labels is None:
            return self
        labels = self.labels if labels is None else labels
        known = np.isin(self.classes, names)[labels]  # (N,) bool
        left = zip(self.splits[~known], labels[~known], strict=True)
        others = Counter((Split(split), self.classes[label]) for split, label in left)
        table = self.select(known)
        other_faces = self.select(~known)._of_one_class() if others else None
        if self.other_faces and other_faces:
            other_faces = self.other_faces._joined(other_faces)
        targets = np.zeros((len(table), len(names)), np.float32)
        for place, name in enumerate(names):
            if name in self.classes:
                targets[:, place] = table.targets[:, self.classes.index(name)]
        targets /= targets.sum(1, keepdims=True)
        other_faces = other_faces or self.other_faces
        return replace(table, targets=targets, classes=names, others=self.others + others, other_faces=other_faces)

    def _of_one_class(self) -> "Table":
        """Return the faces as others of a table."""
        targets = np.ones((len(self), 1), np.float32)
        return Table(self.images, targets, self.splits, self.rows, (OTHER,), self.files)

    def _joined(self, more: "Table") -> "Table":
        """Return the table with the faces of another behind its own; both have as many classes."""
        names = ("images", "targets", "splits", "rows")
        arrays = {name: np.concatenate((getattr(self, name), getattr(more, name))) for name in names}
        return replace(self, **arrays, files=self.files + more.files if self.files and more.files else None)

    def with_others(self, target: np.ndarray) -> "Table":
        """Return the table with its `other_faces` behind its own, each with this target (C,)."""
        if not self.other_faces:
            return self
        targets = np.tile(target, (len(self.other_faces), 1))
        return self._joined(replace(self.other_faces, targets=targets))

    def counts(self) -> dict[Split, np.ndarray]:
        """Return the number of faces of each class, (C,) int64, per split."""
        labels, width = self.labels, len(self.classes)
        return {split: np.bincount(labels[self.splits == split], minlength=width) for split in Split}


def require_splits(table: Table, source: str) -> Table:
    """Return the table if no split is empty.

    Raises:
        UserError: naming the empty splits and what was found.
    """
    found = _sizes(table)
    if empty := [name for name, count in found.items() if count == 0]:
        raise UserError(
            f"{source}: expected faces in train, val and test, but got none in {' and '.join(empty)} ({found})"
        )
    return table


def require_one(table: Table, splits: Sequence[Split], source: str) -> Table:
    """Return the table if one of some splits has faces.

    Raises:
        UserError: naming the splits and what was found.
    """
    found, names = _sizes(table), [split.name.lower() for split in splits]
    if not any(found[name] for name in names):
        raise UserError(f"{source}: expected faces in {' or '.join(names)}, but got none ({found})")
    return table


def _sizes(table: Table) -> dict[str, int]:
    return {split.name.lower(): int((table.splits == split).sum()) for split in Split}
