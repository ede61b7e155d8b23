"""Faces in image files: class folders (`train/happy/a.jpg`), and how one file becomes one square gray image."""

import difflib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fer.data.faults import Faults
from fer.data.pictures import SUFFIXES, gray, read_photo
from fer.data.table import Split, Table, require_splits
from fer.emotions import ALIASES, EMOTIONS, canonical, class_names
from fer.errors import UserError, printable

SPLITS = {"train": Split.TRAIN, "val": Split.VAL, "valid": Split.VAL, "validation": Split.VAL, "test": Split.TEST}
CLUTTER = {"@eadir", "#recycle", "$recycle.bin", "__macosx", "lost+found", "system volume information"}
AT_ONCE = 200  # images a thread reads before it asks for more: handing them out one by one costs more than decoding


@dataclass(frozen=True)
class ClassFolder:
    """One folder of images of one emotion."""

    path: Path
    split: Split
    emotion: str


@dataclass(frozen=True)
class Face:
    """One image file before it is read; `row` is its place in the sorted list of all files of the dataset."""

    path: Path
    split: Split
    emotion: str
    row: int


def is_clutter(name: str) -> bool:
    """Tell a hidden file or folder, or one that a disk or an archive keeps beside the user's: copies, thumbnails."""
    return name.startswith(".") or name.lower() in CLUTTER


def split_folders(root: Path) -> dict[Split, Path]:
    """Return the folders in `root` that are named after a split: train, val (valid, validation), test; in any case.

    Raises:
        UserError: if two are named after the same one.
    """
    found: dict[Split, Path] = {}
    for path in _folders(root):
        if (split := SPLITS.get(path.name.lower())) is None:
            continue
        if split in found:
            raise UserError(
                f"{root}: expected one folder for {split.name.lower()}, but got {found[split].name} and {path.name}: "
                "move one of them away"
            )
        found[split] = path
    return found


def unread_folders(root: Path) -> tuple[str, ...]:
    """Return a sentence for each folder beside those of the splits, since its images may have been meant too."""
    strangers = [path for path in _folders(root) if path.name.lower() not in SPLITS]
    return tuple(f"{path}: a folder beside train, val and test, which is not read" for path in strangers)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not is_clutter(path.name))


def locate_folder(root: Path) -> tuple[ClassFolder, ...]:
    """Return the class folders of a user's own dataset, `root/{train,val,test}/<emotion>/`.

    Raises:
        UserError: if a folder is missing or a class folder's name is no emotion.
    """
    splits = split_folders(root) if root.is_dir() else {}
    if missing := [split.name.lower() for split in Split if split not in splits]:
        found = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) if root.is_dir() else "no such folder"
        raise UserError(
            f"dataset.root={root}: expected the folders train, val and test, each with a folder of images per emotion, "
            f"but {' and '.join(missing)} could not be found (found: {printable(found) or 'an empty folder'}); "
            "make them, or use dataset=synthetic, which needs no files"
        )
    return tuple(found for split in Split for found in class_folders(splits[split], split))


def class_folders(folder: Path, split: Split) -> list[ClassFolder]:
    """Return the class folders in one folder, sorted by name; files and clutter are left out.

    Raises:
        UserError: for a folder whose name is no emotion, with the nearest name that is.
    """
    found = []
    for path in _folders(folder):
        if (emotion := canonical(path.name)) is None:
            nearest = difflib.get_close_matches(path.name.lower(), (*EMOTIONS, *ALIASES), n=1, cutoff=0)[0]
            raise UserError(
                f"{path}: expected a folder named after an emotion ({', '.join(EMOTIONS)}), "
                f'but got "{printable(path.name)}"; '
                f'the nearest valid name is "{canonical(nearest)}": rename the folder or move it away'
            )
        found.append(ClassFolder(path, split, emotion))
    return found


def list_faces(root: Path, folders: Iterable[ClassFolder]) -> list[Face]:
    """Return the image files of class folders, sorted by their path relative to `root`; clutter is left out.

    Raises:
        OSError: for a folder that cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    found = []
    for folder in folders:
        for place, below, names in os.walk(folder.path, onerror=refuse):
            below[:] = [name for name in below if not is_clutter(name)]
            found += [(Path(place, name), folder) for name in names if _is_image(name)]
    found.sort(key=lambda pair: pair[0].relative_to(root).as_posix())
    return [Face(path, folder.split, folder.emotion, row) for row, (path, folder) in enumerate(found)]


def _is_image(name: str) -> bool:
    return not is_clutter(name) and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (36,000 Paths)


def read_folder(root: Path, size: int, classes: int | None = None, on_error: str = "raise") -> Table:
    """Read a user's own dataset, `root/{train,val,test}/<emotion>/*`.

    Args:
        root: the folder that holds train, val and test.
        size: side of the images, in pixels.
        classes: 6, 7 or 8 emotions, leaving out folders of others; None takes the emotions that have images.
        on_error: "raise" or "skip" images that cannot be read.

    Raises:
        UserError: if folders are missing or misnamed, images cannot be read or a split has none.
    """
    faces = list_faces(root, locate_folder(root))
    present = {face.emotion for face in faces}
    names = class_names(classes) if classes else tuple(name for name in EMOTIONS if name in present)
    return require_splits(read_faces(root, faces, names, size, on_error), str(root))


def read_faces(root: Path, faces: Iterable[Face], classes: tuple[str, ...], size: int, on_error: str) -> Table:
    """Read the faces whose emotion is one of `classes` into a table with one-hot targets.

    Args:
        root: the folder that holds the folders of the splits.
        faces: the files.
        classes: names, in order.
        size: side of the images, in pixels.
        on_error: "raise" or "skip" images that cannot be read.

    Raises:
        UserError: naming the first image that cannot be read, unless `on_error` is "skip".
    """
    faces = [face for face in faces if face.emotion in classes]
    faults = Faults(on_error)
    images, good = decode([face.path for face in faces], size, faults)
    faces = [faces[i] for i in good]
    return Table(
        images=images,
        targets=np.eye(len(classes), dtype=np.float32)[[classes.index(face.emotion) for face in faces]],
        splits=np.array([face.split for face in faces], np.uint8),
        rows=np.array([face.row for face in faces], np.int64),
        classes=classes,
        files=tuple(face.path.relative_to(root).as_posix() for face in faces),
        skipped=(*unread_folders(root), *faults.close()),
    )


def decode(paths: Sequence[Path], size: int, faults: Faults) -> tuple[np.ndarray, np.ndarray]:
    """Decode image files; those that cannot be read go to `faults`.

    Returns:
        images (M, size, size) uint8, and for each its place in `paths`, (M,) int64.
    """
    images = np.empty((len(paths), size, size), np.uint8)
    good = np.ones(len(paths), bool)

    def read_some(start: int) -> list[tuple[int, str]]:
        faulty = []
        for i, path in enumerate(paths[start : start + AT_ONCE], start):
            try:
                images[i] = read_image(path, size)
            except UserError as error:
                faulty.append((i, str(error)))
        return faulty

    with ThreadPoolExecutor() as pool:
        for faulty in pool.map(read_some, range(0, len(paths), AT_ONCE)):
            for i, sentence in faulty:
                good[i] = False
                faults.add(sentence)
    index = np.flatnonzero(good)
    return (images if good.all() else images[index]), index


def read_image(path: Path, size: int) -> np.ndarray:
    """Read one image file as (size, size) uint8 gray levels, cropped to the square in its middle.

    Area averaging makes it smaller, bilinear interpolation larger.

    Raises:
        UserError: saying what was expected and what was found.
    """
    image = gray(read_photo(path))  # (H, W)
    height, width = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top : top + side, left : left + side]
    if side == size:
        return image
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if size < side else cv2.INTER_LINEAR)
