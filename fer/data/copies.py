"""One copy of FER2013 as its files give it, and how its official split is restored, whatever they call their parts."""

import hashlib
import math
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from fer.counting import counted
from fer.data.official import UNKNOWN, match, official
from fer.data.table import Origin, Split
from fer.errors import UserError

ENOUGH = (
    0.9  # of a copy's images that must be FER2013's; of its mirrored ones 0.03 pass for others of it, of noise none
)
AGREED = 0.5  # of the labels: fewer are in another order
VAL_SHARE = 0.1  # of train, in a copy that is taken as it is and has no validation


@dataclass(frozen=True)
class Copy:
    """The readable faces of a copy of FER2013.

    Attributes:
        images: (N, 48, 48) uint8.
        emotions: (N,) uint8, codes into `fer.emotions.EMOTIONS`.
        splits: (N,) uint8, values of `Split` as the copy names them; `UNKNOWN` where it does not.
        index: (N,) int64: the data row in a CSV, from 0, or the place in the sorted list of all files.
        total: number of rows or files, the unreadable ones among them.
        files: N paths below the copy's folder, where faces come from files.
        named: the splits stand in FER2013's own words: a column Usage, or names that begin with them.
        notes: what to say of how it was read.
        rows: (N,) int64, each image's row in the challenge's CSV, -1 for none; None if this was not asked.
    """

    images: np.ndarray
    emotions: np.ndarray
    splits: np.ndarray
    index: np.ndarray
    total: int
    files: tuple[str, ...] | None = None
    named: bool = False
    notes: tuple[str, ...] = ()
    rows: np.ndarray | None = None

    def select(self, index: np.ndarray) -> "Copy":
        """Return the faces at some places."""
        names = ("images", "emotions", "splits", "index", *(("rows",) if self.rows is not None else ()))
        files = None if self.files is None else tuple(self.files[i] for i in index)
        return replace(self, **{name: getattr(self, name)[index] for name in names}, files=files)


def restore(copy: Copy, split: str, source: str) -> tuple[Copy, Origin]:
    """Return a copy with the splits that a run is to have, and where they come from.

    With FER2013's own split the faces come in the order of the challenge's CSV, numbered by its rows, so that all
    copies give the same figures.

    Args:
        copy: as read.
        split: "official", or "as_is" for the copy's own.
        source: names the copy in a sentence.

    Raises:
        UserError: if the official split cannot be told, or the labels are not FER2013's.
    """
    copy = replace(copy, rows=match(copy.images, copy.emotions, copy.splits))
    known = np.flatnonzero(copy.rows >= 0)
    if split == "as_is":
        if (copy.splits == UNKNOWN).any():
            raise UserError(
                f"{source}: expected a copy with splits of its own for dataset.split=as_is, but neither folders nor "
                "files name them: leave dataset.split out, or take dataset=folder with dataset.split=[0.8,0.1,0.1]"
            )
        return _with_validation(copy), _origin(copy, "as_is")
    if len(known) and len(known) >= ENOUGH * len(copy.rows):
        return _official(copy, known, source)
    if copy.named:
        return copy, _origin(copy, "named")
    raise UserError(
        f"{source}: expected images of FER2013, of which the official split can be told, but of "
        f"{counted(len(copy.rows), 'image')} {len(known):,} are known, and no Usage and no file names tell it: take a "
        "copy as published, or dataset.split=as_is, whose figures cannot be compared with others', or dataset=folder "
        "for other data"
    )


def _official(copy: Copy, known: np.ndarray, source: str) -> tuple[Copy, Origin]:
    theirs = official()
    told = known[copy.emotions[known] != UNKNOWN]
    differ = int((copy.emotions[told] != theirs.emotions[copy.rows[told]]).sum())
    if differ > (1 - AGREED) * len(told):
        raise UserError(
            f"{source}: expected FER2013's labels, but {differ:,} of {len(told):,} differ from the official ones: "
            "the numbers or folders stand for emotions in another order; name the folders after emotions"
        )
    origin = replace(_origin(copy, "official"), relabelled=differ)
    restored = replace(copy, splits=np.where(copy.rows >= 0, theirs.splits[copy.rows], UNKNOWN).astype(np.uint8))
    restored = restored.select(known[np.argsort(copy.rows[known], kind="stable")])
    return replace(restored, index=restored.rows, total=len(theirs.splits)), origin


def _origin(copy: Copy, split: str) -> Origin:
    theirs = official()
    known = copy.rows >= 0
    found = np.bincount(theirs.splits[copy.rows[known]], minlength=len(Split))
    leaked = known & (copy.splits == Split.TEST)
    return Origin(
        split=split,
        found=tuple(found.tolist()),
        official=theirs.counts(),
        strangers=int((~known).sum()),
        leaked=int((theirs.splits[copy.rows[leaked]] == Split.TRAIN).sum()),
        notes=copy.notes,
    )


def _with_validation(copy: Copy) -> Copy:
    """Return a copy with a validation split: its own, or a fixed share of each class of its train."""
    if (copy.splits == Split.VAL).any():
        return copy
    by_class = defaultdict(list)
    for i in np.flatnonzero(copy.splits == Split.TRAIN):
        by_class[copy.emotions[i]].append((hashlib.sha256(copy.images[i]).digest(), i))
    chosen = [i for group in by_class.values() for _, i in sorted(group)[: math.ceil(VAL_SHARE * len(group))]]
    splits = copy.splits.copy()
    splits[chosen] = Split.VAL
    return replace(copy, splits=splits)
