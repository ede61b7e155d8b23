"""A user's own faces: `root/{train,val,test}/<class>/*`, or class folders that are divided here.

Which faces become validation and test follows from their files' content alone, so neither names nor the machine matter,
copies of a file lie on one side, and most faces stay where they are when others come in.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from fer.data.image_files import ClassFolder, FaceFile, class_folders, list_faces, read_faces, split_folders, subfolders
from fer.data.table import Split, Table
from fer.emotions import MAX_CLASSES, class_names, in_order
from fer.errors import UserError, printable

Shares = tuple[float, ...]  # of train, val and test
EXAMPLE = "dataset.split=[0.8,0.1,0.1]"


def locate_folder(
    root: Path, classes: int | str | None = None, shares: Shares | None = None, fit: bool = True
) -> tuple[ClassFolder, ...]:
    """Return the class folders; those to be divided count as train's.

    Args:
        root: the folder that holds train, val and test, or class folders.
        classes: "own" takes names that are no emotions, too.
        shares: of train, val and test, if what is missing is to be taken from train.
        fit: for a training, which needs all splits and emotions or the wish for names of one's own. An evaluation
            needs test or val, and takes all names, since the net knows which are its own.

    Raises:
        UserError: if a folder is missing, or a class folder's name cannot be a class's.
    """
    splits = split_folders(root) if root.is_dir() else {}
    if shares and len(splits) == len(Split):
        raise UserError(
            f"dataset.split: expected null, since {root} has train, val and test of its own: leave dataset.split out"
        )
    is_flat = root.is_dir() and not splits and bool(subfolders(root))
    if shares and is_flat:
        splits = {Split.TRAIN: root}
    there = set(Split) if shares and Split.TRAIN in splits else set(splits)
    if there != set(Split) and (fit or there <= {Split.TRAIN}):
        raise UserError(_missing(root, splits, is_flat, fit))
    own = classes == "own" or not fit
    found = tuple(found for split in sorted(splits) for found in class_folders(splits[split], split, own))
    if (count := len({folder.emotion for folder in found})) > MAX_CLASSES:
        raise UserError(f"dataset.root={root}: expected at most {MAX_CLASSES} classes, but got {count} of them")
    return found


def _missing(root: Path, splits: dict[Split, Path], is_flat: bool, fit: bool) -> str:
    """Say which folders of splits are missing, and what to do."""
    found = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) if root.is_dir() else "no such folder"
    missing = " and ".join(split.name.lower() for split in Split if split not in splits)
    wanted, lack = "the folders train, val and test", f"{missing} could not be found"
    if not fit:
        wanted, lack = "the folder test (or val)", "it could not be found"
    cure = "make them, or use dataset=synthetic, which needs no files"
    if is_flat:
        cure = f"make them, or add {EXAMPLE}, which divides the faces of class folders"
    elif Split.TRAIN in splits:
        cure = f"make them, or add {EXAMPLE}, which takes what is missing from train"
    elif splits:
        cure = (
            f"make them, or add {EXAMPLE} dataset.root={next(iter(splits.values()))}, which divides its faces; "
            "an evaluation (fit=false) needs no more than test"
        )
    return (
        f"dataset.root={root}: expected {wanted}, each with a folder of images per class, but {lack} "
        f"(found: {printable(found) or 'an empty folder'}); {cure}"
    )


def read_folder(
    root: Path,
    size: int,
    classes: int | str | None = None,
    on_error: str = "raise",
    shares: Shares | None = None,
    seed: int = 0,
    fit: bool = True,
    others: str = "drop",
) -> Table:
    """Read a user's own faces.

    Args:
        root: the folder that holds train, val and test, or class folders.
        size: side of the images, in pixels.
        classes: 6, 7 or 8 emotions, leaving out folders of others; None takes the emotions that have images, "own" the
            classes of any name.
        on_error: "raise" or "skip" images that cannot be read.
        shares: as for `locate_folder`.
        seed: of the choice of the faces that are taken from train.
        fit: as for `locate_folder`.
        others: "uniform" reads the faces of other classes, too.

    Raises:
        UserError: if folders are missing or misnamed, or images cannot be read.
    """
    faces = list_faces(root, locate_folder(root, classes, shares, fit))
    if shares:
        missing = set(Split) - set(split_folders(root))
        faces = divide(faces, {split: shares[split] for split in sorted(missing | {Split.TRAIN})}, seed)
    count, found = classes if fit else None, in_order({face.emotion for face in faces})
    names = class_names(count) if isinstance(count, int) else found
    if others == "drop":
        return read_faces(root, faces, names, size, on_error)
    return read_faces(root, faces, found, size, on_error).with_classes(names)


def divide(faces: Sequence[FaceFile], shares: dict[Split, float], seed: int) -> list[FaceFile]:
    """Return the faces with validation and test taken out of each class of train.

    Args:
        faces: those of train are divided, others stay.
        shares: of train, and of what is to be taken from it; of a class of three faces or more, at least one each.
        seed: of the choice.
    """
    train = [face for face in faces if face.split == Split.TRAIN]
    with ThreadPoolExecutor() as pool:
        marks = dict(zip(train, pool.map(lambda face: _mark(face.path, seed), train), strict=True))
    classes: dict[str, Counter[bytes]] = defaultdict(Counter)
    for face, mark in marks.items():
        classes[face.emotion][mark] += 1
    sides: dict[bytes, Split] = {}
    for _, copies in sorted(classes.items()):
        for split in shares.keys() - {Split.TRAIN}:
            count = round(copies.total() * shares[split] / sum(shares.values())) or int(copies.total() > 2)
            _choose(sides, copies, split, count)
        sides = dict.fromkeys(copies, Split.TRAIN) | sides  # for copies in the classes that come
    return [replace(face, split=sides[marks[face]]) if face in marks else face for face in faces]


def _choose(sides: dict[bytes, Split], copies: Counter[bytes], split: Split, count: int) -> None:
    """Give a split `count` faces of a class, from one end of their order, so that two splits hardly ever meet."""
    count -= sum(copies[mark] for mark in copies if sides.get(mark) == split)  # copies in another class
    for mark in sorted(copies, reverse=split == Split.TEST):
        if mark not in sides and copies[mark] <= count:
            sides[mark] = split
            count -= copies[mark]


def _mark(path: Path, seed: int) -> bytes:
    """Return a number that files of one content share, and that is another for each seed."""
    try:
        content = path.read_bytes()
    except OSError:
        content = path.name.encode("utf-8", "surrogateescape")  # reading the images will say what is wrong
    return hashlib.blake2b(content, digest_size=16, key=str(seed).encode()).digest()
