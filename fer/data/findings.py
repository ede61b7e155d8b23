"""What is found in a dataset before anything is trained on it: numbers, gray levels, sizes, duplicates, conflicts."""

import itertools
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fer.data.decoding import open_lazily
from fer.data.duplicates import BLANK, Twins, equal_elsewhere, equal_groups, find_twins, first_equal, levels
from fer.data.table import Split, Table

Size = tuple[int, int]  # width and height, in pixels


@dataclass(frozen=True)
class Findings:
    """What was found in a table of N faces.

    Attributes:
        table: the faces.
        first: (N,) int64, for each face the first that equals it in every pixel.
        copied: (N, 3) bool, whether another face of each split equals it.
        twins: the nearly equal ones.
        levels: (N, 2) float64, mean and deviation of the gray levels of each face.
        sizes: how many files are of each size, as they lie on the disk; None of faces that come from no image files.
    """

    table: Table
    first: np.ndarray
    copied: np.ndarray
    twins: Twins
    levels: np.ndarray
    sizes: Counter[Size] | None

    @property
    def near(self) -> np.ndarray:
        """(N, 3) bool: whether a face has a nearly equal one in each split, and none there that is equal."""
        return (self.twins.nearest >= 0) & ~self.copied

    @property
    def blank(self) -> np.ndarray:
        """(N,) bool: whether there is nothing to see."""
        return self.levels[:, 1] < BLANK

    @cached_property
    def groups(self) -> list[np.ndarray]:
        """The places of each group of equal faces."""
        return equal_groups(self.first)

    @cached_property
    def conflicts(self) -> list[np.ndarray]:
        """The groups of equal faces with several labels."""
        labels = self.table.labels
        return [group for group in self.groups if len(set(labels[group])) > 1]

    @property
    def surely_wrong(self) -> int:
        """The fewest faces that any net gets wrong, as the same picture has several labels."""
        labels = self.table.labels
        return sum(len(group) - int(np.bincount(labels[group]).max()) for group in self.conflicts)

    def across_splits(self) -> np.ndarray:
        """Return pairs of equal faces of different splits, one for each group and two of its splits, (P, 2) places."""
        splits, pairs = self.table.splits, []
        for group in self.groups:
            firsts = [group[splits[group] == split][0] for split in np.unique(splits[group])]
            pairs += itertools.combinations(firsts, 2)
        return np.array(pairs, np.int64).reshape(-1, 2)

    def contradictions(self) -> np.ndarray:
        """Return of each group of equal faces with several labels the first one and the first of another label."""
        labels = self.table.labels
        pairs = [(group[0], group[labels[group] != labels[group[0]]][0]) for group in self.conflicts]
        return np.array(pairs, np.int64).reshape(-1, 2)

    def near_pairs(self, differ: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs of nearly equal faces, (P, 2), that differ in their label or split (N,), and how alike."""
        pairs, likeness = self.twins.pairs()
        chosen = differ[pairs[:, 0]] != differ[pairs[:, 1]]
        return pairs[chosen], likeness[chosen]

    def levels_of(self, split: Split) -> tuple[float, float]:
        """Return mean and standard deviation of all gray levels, 0 to 255, of a split that has faces."""
        means, deviations = self.levels[self.table.splits == split].T
        mean = means.mean()
        return float(mean), float(np.sqrt((deviations**2 + (means - mean) ** 2).mean()))

    def figures(self) -> dict[str, Any]:
        """Return all figures by flat keys, as `test/equal_in_train`."""
        found: dict[str, Any] = {}
        for split in Split:
            found |= {f"{split.name.lower()}/{key}": value for key, value in self._of(split).items()}
        found |= {
            "equal/groups": len(self.groups),
            "equal/faces": sum(map(len, self.groups)),
            "equal/conflicts": len(self.conflicts),
            "equal/surely_wrong": self.surely_wrong,
            "near/faces": int((self.twins.nearest >= 0).any(1).sum()),
            "near/conflicts": len(self.near_pairs(self.table.labels)[0]),
        }
        for index, side in enumerate(("width", "height")):
            if values := sorted(size[index] for size in (self.sizes or Counter()).elements()):
                found |= {f"files/{side}_min": values[0], f"files/{side}_max": values[-1]}
                found[f"files/{side}_median"] = values[len(values) // 2]
        return found | {"not_read": list(self.table.skipped)}

    def _of(self, split: Split) -> dict[str, Any]:
        here = self.table.splits == split
        found: dict[str, Any] = {"n": int(here.sum())}
        for name, count in zip(self.table.classes, self.table.counts()[split], strict=True):
            found[f"count/{name}"] = int(count)
        found |= {f"left_out/{name}": n for (part, name), n in sorted(self.table.others.items()) if part == split}
        if here.any():
            found["mean"], found["deviation"] = self.levels_of(split)
        found["blank"] = int(self.blank[here].sum())
        for other in Split:
            found[f"equal_in_{other.name.lower()}"] = int(self.copied[here, other].sum())
            found[f"near_in_{other.name.lower()}"] = int(self.near[here, other].sum())
        return found


def find(table: Table, root: Path | None = None) -> Findings:
    """Look at every face of a table, and at every pair.

    Args:
        table: N faces, (N, H, H) uint8.
        root: of the dataset, for the sizes of the files; None of faces that come from none.
    """
    first = first_equal(table.images)
    return Findings(
        table=table,
        first=first,
        copied=equal_elsewhere(first, table.splits),
        twins=find_twins(table.images, table.splits, first),
        levels=levels(table.images),
        sizes=file_sizes(root, table.files) if root and table.files else None,
    )


def file_sizes(root: Path, files: tuple[str, ...]) -> Counter[Size] | None:
    """Return how many image files are of each size; those that only another library reads are left out.

    Args:
        root: of the dataset.
        files: relative to it or to a folder below, as a table has them.

    Returns:
        None if the files are not there.
    """
    places = (Path(place) for place, _, _ in os.walk(root))
    folder = next((place for place in places if (place / files[0]).is_file()), None)
    if folder is None:
        return None
    with ThreadPoolExecutor() as pool:
        sizes = pool.map(_size, (folder / name for name in files))
        return Counter(size for size in sizes if size)


def _size(path: Path) -> Size | None:
    try:
        with open_lazily(path.read_bytes()) as file:
            return file.size
    except (OSError, ValueError, SyntaxError):
        return None
