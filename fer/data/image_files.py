"""Faces in image files: class folders (`happy/a.jpg`), and how one file becomes one square gray image."""

import difflib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer.data import cache
from fer.data.bad_rows import Faults
from fer.data.decoding import SUFFIXES, centre_square, gray, read_photo, resize
from fer.data.table import SPLIT_NAMES, Split, Table
from fer.emotions import ALIASES, EMOTIONS, NAME, RESERVED, canonical, class_name, is_class_name
from fer.errors import UserError, printable

CLUTTER = {"@eadir", "#recycle", "$recycle.bin", "__macosx", "lost+found", "system volume information"}
MAX_QUOTED, NEAR = 6, 0.75  # names in a sentence; likeness of a name to an emotion that may be meant, of 1
MANY = 1000  # images that are worth a cache: fewer are read in a moment
AT_ONCE = 200  # images a thread reads before it asks for more: handing them out one by one costs more than decoding


@dataclass(frozen=True)
class ClassFolder:
    """One folder of images of one class."""

    path: Path
    split: int  # of `Split`, or `UNKNOWN` of a copy of FER2013
    emotion: str


@dataclass(frozen=True)
class FaceFile:
    """One image file before it is read; `row` is its place in the sorted list of all files of the dataset."""

    path: Path
    split: int
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
    for path in subfolders(root):
        if (split := SPLIT_NAMES.get(path.name.lower())) is None:
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
    if not split_folders(root):
        return ()
    strangers = [path for path in subfolders(root) if path.name.lower() not in SPLIT_NAMES]
    return tuple(f"{path}: a folder beside train, val and test, which is not read" for path in strangers)


def subfolders(root: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, without clutter."""
    return sorted(path for path in root.iterdir() if path.is_dir() and not is_clutter(path.name))


def class_folders(
    folder: Path, split: int, own: bool = False, numbers: Mapping[str, str] | None = None
) -> list[ClassFolder]:
    """Return the class folders in one folder, sorted by name; files and clutter are left out.

    Args:
        folder: that holds them.
        split: what its faces are for.
        own: take names that are no emotions, too.
        numbers: the emotion that a number stands for, if all folders are named by these.

    Raises:
        UserError: for a folder whose name is no emotion, or no name for a class.
    """
    paths = subfolders(folder)
    if numbers and paths and all(path.name in numbers for path in paths):
        return [ClassFolder(path, split, numbers[path.name]) for path in paths]
    strangers = [path.name for path in paths if canonical(path.name) is None]
    if numbers := [name for name in strangers if name.strip().isdecimal()]:
        raise UserError(
            f"{folder}: expected folders named after emotions ({', '.join(EMOTIONS)}), but got {_quoted(numbers)}: a "
            "number is no emotion, and which one it stands for differs between data sets: rename the folders by the "
            "list of yours"
        )
    expected, cure = f"folders named after emotions ({', '.join(EMOTIONS)})", "rename or move them"
    if own:
        strangers = [name for name in strangers if not is_class_name(class_name(name))]
        expected = f"for each class {NAME}, but {', '.join(sorted(RESERVED))}"
    else:
        cure += ", or train such names as they are by dataset=folder dataset.classes=own"
    if strangers:
        raise UserError(f"{folder}: expected {expected}, but got {_quoted(strangers)}: {cure}")
    return [ClassFolder(path, split, class_name(path.name)) for path in paths]


def _quoted(names: Sequence[str]) -> str:
    """Return a few names in quotation marks, each with the emotion that is so near that it may be meant."""
    shown = []
    for name in names[:MAX_QUOTED]:
        near = difflib.get_close_matches(name.lower(), (*EMOTIONS, *ALIASES), n=1, cutoff=NEAR)
        shown.append(f'"{printable(name)}"' + (f" ({canonical(near[0])}?)" if near else ""))
    return ", ".join(shown) + (f" and {len(names) - MAX_QUOTED} more" if len(names) > MAX_QUOTED else "")


def list_faces(root: Path, folders: Iterable[ClassFolder]) -> list[FaceFile]:
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
    return [FaceFile(path, folder.split, folder.emotion, row) for row, (path, folder) in enumerate(found)]


def _is_image(name: str) -> bool:
    return not is_clutter(name) and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (36,000 Paths)


def read_faces(root: Path, faces: Iterable[FaceFile], classes: tuple[str, ...], size: int, on_error: str) -> Table:
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
    faces, others = _of_classes(faces, classes)
    faults = Faults(on_error)
    images, good = decode_files(root, [face.path for face in faces], size, faults)
    faces = [faces[i] for i in good]
    return Table(
        images=images,
        targets=np.eye(len(classes), dtype=np.float32)[[classes.index(face.emotion) for face in faces]],
        splits=np.array([face.split for face in faces], np.uint8),
        rows=np.array([face.row for face in faces], np.int64),
        classes=classes,
        files=tuple(face.path.relative_to(root).as_posix() for face in faces),
        skipped=(*unread_folders(root), *faults.close()),
        others=others,
    )


def _of_classes(
    faces: Iterable[FaceFile], classes: tuple[str, ...]
) -> tuple[list[FaceFile], Counter[tuple[Split, str]]]:
    """Return the faces of some classes, and how many of each split and other class there are."""
    faces = list(faces)
    others = Counter((face.split, face.emotion) for face in faces if face.emotion not in classes)
    return [face for face in faces if face.emotion in classes], others


def decode_files(root: Path, paths: Sequence[Path], size: int, faults: Faults) -> tuple[np.ndarray, np.ndarray]:
    """Decode image files, or take them from the cache; those that cannot be read go to `faults`.

    Args:
        root: the folder for which the cache keeps them.
        paths: of the files.
        size: of the images, in pixels.
        faults: takes sentences.

    Returns:
        images (M, size, size) uint8, and for each its place in `paths`, (M,) int64.
    """
    return decode(root, paths, len(paths), size, lambda i: read_image(paths[i], size), faults)


def decode(
    root: Path, paths: Sequence[Path], count: int, size: int, read: Callable[[int], np.ndarray], faults: Faults
) -> tuple[np.ndarray, np.ndarray]:
    """Decode images on all cores, or take them from the cache; those that cannot be read go to `faults`.

    Args:
        root: the folder for which the cache keeps them.
        paths: of the files that hold them.
        count: number of images.
        size: of the images, in pixels.
        read: returns the image of a number, (size, size) uint8, or raises a UserError.
        faults: takes its sentences.

    Returns:
        images (M, size, size) uint8, and for each its number, (M,) int64.
    """
    state = cache.stamp_files(paths, size=size) if count >= MANY else {}
    saved = cache.load(root, state) if state else None
    if saved and saved["images"].dtype == np.uint8 and saved["images"].shape == (count, size, size):
        return saved["images"], np.arange(count)
    images = np.empty((count, size, size), np.uint8)
    good = np.ones(count, bool)

    def read_some(start: int) -> list[tuple[int, str]]:
        faulty = []
        for i in range(start, min(start + AT_ONCE, count)):
            try:
                images[i] = read(i)
            except UserError as error:
                faulty.append((i, str(error)))
        return faulty

    with ThreadPoolExecutor() as pool:
        for faulty in pool.map(read_some, range(0, count, AT_ONCE)):
            for i, sentence in faulty:
                good[i] = False
                faults.add(sentence)
    if state and good.all():  # else a second start would not know which are bad
        cache.save(root, state, {"images": images})
    index = np.flatnonzero(good)
    return (images if good.all() else images[index]), index


def read_image(path: Path, size: int) -> np.ndarray:
    """Read one image file as (size, size) uint8 gray levels, cropped to the square in its middle.

    Raises:
        UserError: saying what was expected and what was found.
    """
    return square(read_photo(path), size)


def square(photo: np.ndarray, size: int) -> np.ndarray:
    """Return the square in the middle of a picture (H, W, 3) uint8 blue-green-red as (size, size) gray levels."""
    image = gray(photo)  # (H, W)
    left, top, side = centre_square(*image.shape)
    return resize(image[top : top + side, left : left + side], size)
