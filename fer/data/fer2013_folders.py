"""Copies of FER2013 as image files: class folders within train/, val/ and test/, or class folders alone.

The folders are named after emotions, or 0 to 6 in FER2013's order. The images tell the official split
(`fer.data.copies`); where they cannot, names of files that begin with Training_, PublicTest_ or PrivateTest_ do.
"""

from pathlib import Path

import numpy as np

from fer.data.bad_rows import Faults
from fer.data.copies import Copy
from fer.data.fer2013_csv import USAGES
from fer.data.image_files import ClassFolder, class_folders, decode_files, list_faces, split_folders, subfolders
from fer.data.image_folder import EXAMPLE
from fer.data.official import CODES, SIDE, UNKNOWN
from fer.data.table import SPLIT_NAMES, Split
from fer.emotions import EMOTIONS, canonical
from fer.errors import UserError

NUMBERS = {str(code): EMOTIONS[code] for code in range(CODES)}
IN_ORDER = ", ".join(f"{code} {name}" for code, name in NUMBERS.items())


def find_folders(root: Path) -> tuple[ClassFolder, ...]:
    """Return the class folders of a copy that lies in `root` itself; none if it does not.

    Raises:
        UserError: if a folder in train, val or test is not named after an emotion.
    """
    splits = split_folders(root)
    if Split.TRAIN in splits and len(splits) > 1:
        inside = {split: _inside(folder) for split, folder in splits.items()}
        return tuple(found for split in inside for found in class_folders(inside[split], split, numbers=NUMBERS))
    folders = subfolders(root)
    if len(folders) > 1 and all(folder.name in NUMBERS or canonical(folder.name) for folder in folders):
        return tuple(class_folders(root, UNKNOWN, numbers=NUMBERS))
    return ()


def lacking_split(root: Path) -> UserError | None:
    """Return what to say of a folder that holds train, or test, and nothing else to divide by."""
    if not (splits := split_folders(root)):
        return None
    names = " and ".join(path.name for path in splits.values())
    return UserError(
        f"dataset.root={root}: expected train and test, but found only {names}: make the other, or take dataset=folder "
        f"dataset.root={root} {EXAMPLE}, which takes what is missing from train"
    )


def _inside(folder: Path) -> Path:
    """Return the folder that holds the class folders: archives unpack as train/train.

    Raises:
        UserError: if there is none.
    """
    below = subfolders(folder)
    while len(below) == 1 and below[0].name.lower() in SPLIT_NAMES:
        folder, below = below[0], subfolders(below[0])
    if not below:
        raise UserError(
            f"{folder}: expected folders named after emotions ({', '.join(EMOTIONS)}), but it has none: make "
            "them, or move it away"
        )
    return folder


def read_folders(root: Path, folders: tuple[ClassFolder, ...], faults: Faults) -> Copy:
    """Read the image files of class folders below `root`; those that cannot be read go to `faults`."""
    numbered = bool({folder.path.name for folder in folders} & set(NUMBERS))
    faces = list_faces(root, folders)
    usages = [next((usage for usage in USAGES if face.path.name.startswith(usage)), None) for face in faces]
    splits = [USAGES[usage] if usage else face.split for usage, face in zip(usages, faces, strict=True)]
    named = all(usage or face.split == Split.TRAIN for usage, face in zip(usages, faces, strict=True))
    images, good = decode_files(root, [face.path for face in faces], SIDE, faults)
    return Copy(
        images=images,
        emotions=np.array([EMOTIONS.index(faces[i].emotion) for i in good], np.uint8),
        splits=np.array([splits[i] for i in good], np.uint8),
        index=good,
        total=len(faces),
        files=tuple(faces[i].path.relative_to(root).as_posix() for i in good),
        named=named and any(usages),
        notes=(f"the folders 0 to 6 are taken in FER2013's order: {IN_ORDER}",) if numbered else (),
    )
