"""The table: every face of a dataset in memory, with its target and its split. What readers make and loaders take."""

from dataclasses import dataclass, replace
from enum import IntEnum

import cv2
import numpy as np

from fer.errors import UserError


class Split(IntEnum):
    """What a face is for: fitting, choosing, or the one reading at the end."""

    TRAIN = 0
    VAL = 1
    TEST = 2


@dataclass(frozen=True)
class Table:
    """Faces in memory.

    Attributes:
        images: (N, H, W) uint8, grayscale.
        targets: (N, C) float32, each row a distribution over `classes` (one-hot, or a crowd's votes).
        splits: (N,) uint8, values of `Split`.
        rows: (N,) int64, each face's position in its source (data row of the CSV, or place in the sorted file list).
        classes: C emotion names, in the order of `fer.emotions.EMOTIONS`.
        files: N paths relative to the source's folder, where faces come from image files.
        skipped: one sentence for each row or image that could not be read, and for each folder of no split.
    """

    images: np.ndarray
    targets: np.ndarray
    splits: np.ndarray
    rows: np.ndarray
    classes: tuple[str, ...]
    files: tuple[str, ...] | None = None
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64: the class with the largest share of each target."""
        return self.targets.argmax(1)

    def select(self, chosen: np.ndarray) -> "Table":
        """Return the faces that a boolean mask or an index array chooses."""
        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        files = None if self.files is None else tuple(self.files[i] for i in index)
        arrays = {name: getattr(self, name)[index] for name in ("images", "targets", "splits", "rows")}
        return replace(self, **arrays, files=files)

    def part(self, split: Split) -> "Table":
        """Return the faces of one split."""
        return self.select(self.splits == split)

    def resized(self, size: int) -> "Table":
        """Return the table with square images of `size` pixels (area averaging down, bilinear up)."""
        if self.images.shape[1:] == (size, size):
            return self
        images = np.empty((len(self), size, size), np.uint8)
        method = cv2.INTER_AREA if size < self.images.shape[1] else cv2.INTER_LINEAR
        for source, target in zip(self.images, images, strict=True):
            cv2.resize(source, (size, size), dst=target, interpolation=method)
        return replace(self, images=images)

    def with_classes(self, names: tuple[str, ...]) -> "Table":
        """Return the faces of the named classes only, with targets in that order.

        Raises:
            UserError: if a class is not in the table.
        """
        if names == self.classes:
            return self
        if missing := [name for name in names if name not in self.classes]:
            raise UserError(f"expected faces of {', '.join(names)}, but there are none of {', '.join(missing)}")
        table = self.select(np.isin(np.array(self.classes)[self.labels], names))
        targets = table.targets[:, [self.classes.index(name) for name in names]]
        return replace(table, targets=targets / targets.sum(1, keepdims=True), classes=names)

    def counts(self) -> dict[Split, np.ndarray]:
        """Return the number of faces of each class, (C,) int64, per split."""
        labels, width = self.labels, len(self.classes)
        return {split: np.bincount(labels[self.splits == split], minlength=width) for split in Split}


def require_splits(table: Table, source: str) -> Table:
    """Return the table if no split is empty.

    Raises:
        UserError: naming the empty splits and what was found.
    """
    found = {split.name.lower(): int((table.splits == split).sum()) for split in Split}
    if empty := [name for name, count in found.items() if count == 0]:
        raise UserError(
            f"{source}: expected faces in train, val and test, but got none in {' and '.join(empty)} ({found})"
        )
    return table
