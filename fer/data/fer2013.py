"""FER2013 (Goodfellow et al. 2013, https://arxiv.org/abs/1307.0414): one of its two CSV files, or the folder copy.

Validation is PublicTest and test is PrivateTest, as in the challenge, unless a folder copy has a val/ of its own.
"""

import hashlib
import math
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer.data.bad_rows import Faults
from fer.data.fer2013_csv import NAMES, SOURCE, Rows, find_csv, found_instead, read_rows
from fer.data.image_files import ClassFolder, FaceFile, class_folders, list_faces, read_faces, split_folders
from fer.data.image_folder import EXAMPLE
from fer.data.table import Split, Table
from fer.emotions import EMOTIONS, class_names
from fer.errors import UserError

VAL_SHARE = 0.1  # of train, where the file names do not tell PublicTest from PrivateTest


def locate_fer2013(root: Path) -> Path | tuple[ClassFolder, ...]:
    """Return the CSV file that `root` is or holds, or else the class folders of a folder copy.

    Raises:
        UserError: if neither is there, or a class folder's name is no emotion.
    """
    if path := find_csv(root):
        return path
    for folder in (root, root / "images"):
        splits = split_folders(folder) if folder.is_dir() else {}
        if Split.TRAIN in splits and Split.TEST in splits:
            return tuple(found for split in splits for found in class_folders(splits[split], split))
        if splits:
            names = " and ".join(path.name for path in splits.values())
            raise UserError(
                f"dataset.root={root}: expected train and test, but found only {names} in {folder}: make the other, or "
                f"take dataset=folder dataset.root={folder} {EXAMPLE}, which takes what is missing from train"
            )
    wanted = ", ".join((*NAMES, "train/ and test/", "images/train/ and images/test/"))
    raise UserError(f"dataset.root={root}: expected one of {wanted}, but {found_instead(root)}; {SOURCE}")


def read_fer2013(root: Path, size: int, classes: int = 6, on_error: str = "raise") -> Table:
    """Read FER2013 from a CSV file or a folder copy.

    Args:
        root: a CSV file, or the folder that holds it, or the one that holds train/ and test/ (perhaps within images/).
            A folder copy's own val/ (valid/, validation/) is validation.
        size: side of the images, in pixels.
        classes: 6 leaves neutral out, 7 keeps it.
        on_error: "raise" stops at rows and images that cannot be read, "skip" leaves them out.

    Raises:
        UserError: if files are missing, or rows or images cannot be read.
    """
    found, names = locate_fer2013(root), class_names(classes)
    if isinstance(found, Path):
        faults = Faults(on_error)
        table = _one_hot(read_rows(found, faults), names, faults).resized(size)
    else:
        base = found[0].path.parents[1] if found else root
        faces = list_faces(base, found)
        if Split.VAL not in split_folders(base):
            faces = _with_validation(faces)
        table = read_faces(base, faces, names, size, on_error)
    return table


def _one_hot(rows: Rows, names: tuple[str, ...], faults: Faults) -> Table:
    """Return the rows whose emotion is one of `names`, with one-hot targets."""
    kept = np.flatnonzero(rows.emotions < len(names))
    left = np.flatnonzero(rows.emotions >= len(names))
    return Table(
        images=rows.images[kept],
        targets=np.eye(len(names), dtype=np.float32)[rows.emotions[kept]],
        splits=rows.splits[kept],
        rows=rows.index[kept],
        classes=names,
        skipped=faults.close(),
        others=Counter((Split(rows.splits[i]), EMOTIONS[rows.emotions[i]]) for i in left),
    )


def _with_validation(faces: list[FaceFile]) -> list[FaceFile]:
    """Return the faces with a validation split: PublicTest by the file names, or else a share of train."""
    public = {face.row for face in faces if face.split == Split.TEST and face.path.name.startswith("PublicTest")}
    chosen = public or _train_share(faces)
    return [replace(face, split=Split.VAL) if face.row in chosen else face for face in faces]


def _train_share(faces: list[FaceFile]) -> set[int]:
    """Return the rows of a fixed share of each class of train.

    Picked by a hash of the file name, so that it is the same on every machine and with every version of numpy.
    """
    by_class = defaultdict(list)
    for face in faces:
        if face.split == Split.TRAIN:
            by_class[face.emotion].append((hashlib.sha256(face.path.name.encode()).digest(), face.row))
    return {row for group in by_class.values() for _, row in sorted(group)[: math.ceil(VAL_SHARE * len(group))]}
