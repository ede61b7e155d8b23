"""Photos in and out: which files an input means, and where pictures and cut-out faces go."""

import glob
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from fer.atomic import atomic_file
from fer.counting import counted
from fer.data.decoding import JPEG, SUFFIXES, WRITTEN
from fer.data.image_files import is_clutter
from fer.errors import UserError, reason, unwritable
from fer.progress import said_if_slow

QUALITY = 95  # of JPEG files
NAMED = 5  # of a list that may be long


class Found(NamedTuple):
    """The files that an input means.

    Attributes:
        photos: image files, by their suffix, sorted.
        others: files of other kinds among them.
    """

    photos: list[Path]
    others: list[Path]


def find_photos(input: str, key: str = "input=") -> Found:
    """Return the image files that `input` means: one file, a folder and all below it, or a glob.

    A file or folder of exactly this name is taken, whatever glob characters are in it. Hidden files and folders,
    and those of network disks (`is_clutter`), are left out. Where the pattern ends in a suffix (`*.data`), all files
    are taken for images.

    Args:
        input: the name.
        key: what stands before it in an error; nothing for a user of Python.

    Raises:
        UserError: if there is none.
    """
    path = _expanded(input)
    try:
        if path.is_file():
            return Found([path], [])
        with said_if_slow(f"searching for {input} ..."):
            photos, others = list_files(input, SUFFIXES)
    except OSError as error:
        raise UserError(f"{key}{input}: expected a place that can be read, but {reason(error)}") from None
    if not photos:
        what = "the folder holds no image" if path.is_dir() else "there is no image of that name"
        what += f", only {other_files(others)}" if others else ""
        raise UserError(
            f"{key}{input}: {what}; expected an image, a folder of images or a pattern such as photos/*.jpg; check the "
            f"name{', or use mode=video for clips' if others and key else ''} (images: {', '.join(sorted(SUFFIXES))})"
        )
    return Found(photos, others)


def other_files(paths: Sequence[Path]) -> str:
    """Return in words how many files of which kinds there are: "3 other files (2 .mp4, 1 .txt)"."""
    kinds = Counter(path.suffix.lower() or "without a suffix" for path in paths).most_common()
    named = [f"{count} {kind}" for kind, count in kinds[:NAMED]] + ["..."] * (len(kinds) > NAMED)
    return f"{counted(len(paths), 'other file')} ({', '.join(named)})"


def list_files(input: str, suffixes: Collection[str]) -> tuple[list[Path], list[Path]]:
    """Return the files below a folder, or that a glob means, sorted: those of the suffixes, and the others.

    Raises:
        OSError: if a folder cannot be read.
    """
    path = _expanded(input)
    found = sorted(each_file(input))
    named = path.suffix and not path.is_dir() and not set(path.suffix) & set("*?[")
    chosen = [file for file in found if named or file.suffix.lower() in suffixes]
    return chosen, sorted({*found} - {*chosen})


def root_of(input: str) -> Path:
    """Return the folder that outputs keep their relative place to: the folder itself, or the last one before a glob."""
    path = _expanded(input)
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _expanded(input: str) -> Path:
    return Path(os.path.expanduser(input))  # noqa: PTH111 (pathlib's fails for ~nobody)


def each_file(input: str) -> Iterator[Path]:
    """Yield the files below a folder, or that a glob means, in any order, without hidden ones and clutter.

    Raises:
        OSError: if a folder cannot be read.
    """
    path = _expanded(input)
    yield from _below(path) if path.is_dir() else _matching(path)


def _below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not is_clutter(name)]
        yield from (Path(place, name) for name in names if not is_clutter(name))


def _matching(path: Path) -> list[Path]:
    root = root_of(str(path))  # no pattern, even with brackets in its name
    names = glob.glob(str(path.relative_to(root)), root_dir=root, recursive=True)  # noqa: PTH207 (pathlib's takes hidden files)
    asked = set(path.parts)
    names = [name for name in names if not any(is_clutter(part) for part in {*Path(name).parts} - asked)]
    return [root / name for name in names if (root / name).is_file()]


def save_photo(path: Path, image: np.ndarray) -> Path:
    """Write a picture (H, W, 3) uint8 in the format that the suffix names; beside first, then renamed.

    Returns:
        `path`.

    Raises:
        UserError: for an unknown suffix, a picture too large for the format, a folder that is missing or read-only.
        RunError: if the disk is full.
    """
    known = ", ".join(sorted(WRITTEN))
    if path.suffix.lower() not in WRITTEN:
        raise UserError(f'{path}: expected a picture\'s name that ends in {known}, but got "{path.suffix}"')
    data = _encode(path, image)
    try:
        with atomic_file(path, "wb") as file:
            file.write(data)
    except OSError as error:
        sentence = f"{path}: expected a place to write a picture to, but {reason(error)}"
        raise unwritable(sentence, error) from None
    return path


def _encode(path: Path, image: np.ndarray) -> bytes:
    kind = ".jpg" if path.suffix.lower() in JPEG else path.suffix.lower()
    good, data = cv2.imencode(kind, image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not good:
        height, width = image.shape[:2]
        raise UserError(f"{path}: {width}x{height} pixels do not fit into {path.suffix}: choose .png")
    return data.tobytes()


def picture_names(photos: Sequence[Path], root: Path) -> dict[Path, Path]:
    """Return where each drawn photo goes below the output folder: its own place, as PNG where its kind is only read.

    Of `a.gif` and `a.png` the first becomes `a.gif.png`.
    """
    own = {path: path.relative_to(root) for path in photos if path.suffix.lower() in WRITTEN}
    taken = {name.as_posix().lower() for name in own.values()}
    return own | {path: crop_names(path, root, 1, taken)[0] for path in photos if path not in own}


def crop_names(path: Path, root: Path, faces: int, taken: set[str]) -> list[Path]:
    """Return for each face of a photo where its crop goes below the output folder: class folders stay.

    `happy/a.jpg` gives `happy/a.png`, with several faces `happy/a_1.png`, `happy/a_2.png`. A name that another photo
    has taken (`happy/a.webp`, or `happy/a_1.jpg`) keeps its suffix: `happy/a.webp.png`.

    Args:
        path: the photo.
        root: the folder of all photos, `root_of(input)`.
        faces: how many it has.
        taken: the names given so far, which grows; lower case, as most systems see no difference.
    """
    place = path.relative_to(root)
    endings = [f"_{number}" for number in range(1, faces + 1)] if faces > 1 else [""] * faces
    for name in (place.stem, place.name, *(f"{place.name}-{again}" for again in range(2, 1000))):
        names = [place.with_name(f"{name}{ending}.png") for ending in endings]
        lower = {name.as_posix().lower() for name in names}
        if not lower & taken:
            break
    taken |= lower
    return names
