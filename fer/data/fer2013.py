"""FER2013 (Goodfellow et al. 2013, https://arxiv.org/abs/1307.0414), from whichever copy people have.

Validation is PublicTest and test is PrivateTest, as in the challenge, told by the images (`fer.data.copies`).
"""

from pathlib import Path

import numpy as np

from fer.data.bad_rows import Faults
from fer.data.copies import Copy, restore
from fer.data.image_files import unread_folders
from fer.data.layouts import locate
from fer.data.table import Origin, Table
from fer.emotions import EMOTIONS, class_names


def read_fer2013(root: Path, size: int, classes: int = 6, on_error: str = "raise", split: str = "official") -> Table:
    """Read FER2013 from any of the layouts of `fer.data.layouts`.

    Args:
        root: the folder that holds the data, or a CSV file.
        size: side of the images, in pixels.
        classes: 6 leaves neutral out, 7 keeps it.
        on_error: "raise" stops at rows and images that cannot be read, "skip" leaves them out.
        split: "official", or "as_is" for that of the copy's own folders or files.

    Raises:
        UserError: if files are missing, rows or images cannot be read, or the official split cannot be told.
    """
    place, faults = locate(root), Faults(on_error)
    copy, origin = restore(place.read(faults), split, f"dataset.root={root}")
    unread = unread_folders(place.root) if copy.files else ()
    return _one_hot(copy, class_names(classes), origin, (*unread, *faults.close())).resized(size)


def _one_hot(copy: Copy, names: tuple[str, ...], origin: Origin, skipped: tuple[str, ...]) -> Table:
    """Return the faces whose emotion is one of `names`, with one-hot targets."""
    table = Table(
        images=copy.images,
        targets=np.eye(len(EMOTIONS), dtype=np.float32)[copy.emotions],
        splits=copy.splits,
        rows=copy.index,
        classes=EMOTIONS,
        files=copy.files,
        skipped=skipped,
        origin=origin,
    )
    return table.with_classes(names)
