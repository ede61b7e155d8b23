"""Faces in image files: class folders (`train/happy/a.jpg`), and how one file becomes one square gray image."""

import difflib
import io
import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fer import MOST_PIXELS
from fer.data.faults import Faults
from fer.data.table import Split, Table, require_splits
from fer.emotions import ALIASES, EMOTIONS, canonical, class_names
from fer.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"}
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


def locate_folder(root: Path) -> tuple[ClassFolder, ...]:
    """Return the class folders of a user's own dataset, `root/{train,val,test}/<emotion>/`.

    Raises:
        UserError: if a folder is missing or a class folder's name is no emotion.
    """
    if missing := [split.name.lower() for split in Split if not (root / split.name.lower()).is_dir()]:
        found = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) if root.is_dir() else "no such folder"
        raise UserError(
            f"dataset.root={root}: expected the folders train, val and test, each with a folder of images per emotion, "
            f"but {' and '.join(missing)} could not be found (found: {found or 'an empty folder'}); "
            "make them, or use dataset=synthetic, which needs no files"
        )
    return tuple(found for split in Split for found in class_folders(root / split.name.lower(), split))


def class_folders(folder: Path, split: Split) -> list[ClassFolder]:
    """Return the class folders in one folder, sorted by name; hidden ones and files are left out.

    Raises:
        UserError: for a folder whose name is no emotion, with the nearest name that is.
    """
    found = []
    for path in sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        if (emotion := canonical(path.name)) is None:
            nearest = difflib.get_close_matches(path.name.lower(), (*EMOTIONS, *ALIASES), n=1, cutoff=0)[0]
            raise UserError(
                f'{path}: expected a folder named after an emotion ({", ".join(EMOTIONS)}), but got "{path.name}"; '
                f'the nearest valid name is "{canonical(nearest)}": rename the folder or move it away'
            )
        found.append(ClassFolder(path, split, emotion))
    return found


def list_faces(root: Path, folders: Iterable[ClassFolder]) -> list[Face]:
    """Return the image files of class folders, sorted by their path relative to `root`; hidden files are left out."""
    found = []
    for folder in folders:
        for place, _, names in os.walk(folder.path):
            found += [(Path(place, name), folder) for name in names if _is_image(name)]
    found.sort(key=lambda pair: pair[0].relative_to(root).as_posix())
    return [Face(path, folder.split, folder.emotion, row) for row, (path, folder) in enumerate(found)]


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (36,000 Paths)


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
        skipped=faults.close(),
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
            except ValueError as error:
                faulty.append((i, f"{path}: {error}"))
        return faulty

    with ThreadPoolExecutor() as pool:
        for faulty in pool.map(read_some, range(0, len(paths), AT_ONCE)):
            for i, sentence in faulty:
                good[i] = False
                faults.add(sentence)
    index = np.flatnonzero(good)
    return (images if good.all() else images[index]), index


def too_large(data: bytes) -> str | None:
    """Return in words that the header of a picture speaks of more than MOST_PIXELS, if it does."""
    from PIL import Image

    try:
        with open_lazily(data) as file:
            pixels = file.width * file.height
    except Image.DecompressionBombError:  # twice Pillow's own bound, which is above ours
        pixels = MOST_PIXELS + 1
    except (OSError, ValueError, SyntaxError):
        return None
    most = f"{MOST_PIXELS / 1e6:.0f} megapixels"
    return f"it has more than the {most} that are read: make it smaller" if pixels > MOST_PIXELS else None


def open_lazily(data: bytes) -> "Image.Image":
    """Open a picture with Pillow, which reads its header only, and without the warning of Pillow's own lower bound."""
    from PIL import Image

    with warnings.catch_warnings(action="ignore"):
        return Image.open(io.BytesIO(data))


def read_image(path: Path, size: int) -> np.ndarray:
    """Read one image file as (size, size) uint8 gray levels, cropped to the square in its middle.

    Area averaging makes it smaller, bilinear interpolation larger.

    Raises:
        ValueError: saying what was expected and what was found.
    """
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread fails on non-ASCII paths on Windows
    except OSError as error:
        raise ValueError(f"expected an image file, but got: {error.strerror}") from None
    try:
        image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None  # (H, W)
    except cv2.error:  # more pixels than fit into memory, or than MOST_PIXELS
        image = None
    if image is None:
        problem = too_large(data.tobytes()) or f"got {data.size} bytes that cannot be decoded"
        raise ValueError(f"expected an image file, but {problem}")
    height, width = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top : top + side, left : left + side]
    if side == size:
        return image
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if size < side else cv2.INTER_LINEAR)
