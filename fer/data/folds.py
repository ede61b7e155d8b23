"""A training split in parts, of which each training leaves out another one and predicts it: k-fold cross-validation.

Equal and nearly equal faces lie in one part, since a net would know by heart what it is to be asked about. Each part
has about as many faces of every class.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from fer.data.duplicates import families
from fer.data.table import Split, Table
from fer.errors import UserError


def assign_folds(faces: Table, folds: int, seed: int) -> np.ndarray:
    """Deal faces into parts, the largest families of copies first, each where there are fewest faces of its classes.

    Args:
        faces: N training faces; 28,709 of them take 9 s of one core's time, most of it the search for copies.
        folds: number of parts.
        seed: of the order in which families of one size are dealt.

    Returns:
        (N,) int64, from 1 to `folds`.
    """
    family = families(faces.images)
    counts = np.zeros((family.max(initial=-1) + 1, len(faces.classes)), np.int64)
    np.add.at(counts, (family, faces.labels), 1)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    dealt = np.zeros((folds, len(faces.classes)), np.int64)
    homes = np.empty(len(counts), np.int64)
    for place in order.tolist():
        of_its_classes, of_all = dealt @ counts[place], dealt.sum(1)
        homes[place] = home = np.lexsort((of_all, of_its_classes))[0]
        dealt[home] += counts[place]
    return homes[family] + 1


def hold_out(table: Table, fold: int, folds: int, seed: int) -> Table:
    """Return a table without one part of its training split, which it has as `held`.

    Raises:
        UserError: if there are too few training faces that are no copies of each other.
    """
    parts = _parts(table, folds, seed)
    if (found := len(np.unique(parts[parts > 0]))) < folds:
        raise UserError(
            f"folds={folds}: expected training faces for as many parts, but without parting copies there are only "
            f"{found}: take fewer folds"
        )
    return replace(table.select(parts != fold), held=table.select(parts == fold))


@lru_cache(maxsize=1)  # for the jobs of a sweep
def _parts(table: Table, folds: int, seed: int) -> np.ndarray:
    """Return the part of each face of a table, 0 where it is no training face."""
    is_train = table.splits == Split.TRAIN
    parts = np.zeros(len(table), np.int64)
    parts[is_train] = assign_folds(table.select(is_train), folds, seed)
    return parts
