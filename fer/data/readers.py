"""From a dataset's configuration to its reader.

To add one: a file in conf/dataset, its section in `fer.schema`, a reader beside this file and its line in `READERS`.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, get_args

from fer.architectures import Section
from fer.data.bad_rows import readable
from fer.data.fer2013 import read_fer2013
from fer.data.ferplus import locate_ferplus, read_ferplus
from fer.data.image_folder import locate_folder, read_folder
from fer.data.layouts import locate as locate_copy
from fer.data.schema import Dataset, Fer2013, FerPlus, Folder, Synthetic
from fer.data.synthetic import read_synthetic
from fer.data.table import Table, require_splits
from fer.errors import UserError


class Reader(NamedTuple):
    """How the files of one kind of dataset are found and read.

    Attributes:
        locate: looks for the files that a section (and whether it is for a training) means, without reading them;
            raises a UserError if they are not there.
        read: makes a table of square faces of them: of the section, the side in pixels, and whether for a training.
    """

    locate: Callable[[Any, bool], object]
    read: Callable[[Any, int, bool], Table]


READERS: dict[type[Section], Reader] = {
    Fer2013: Reader(
        lambda config, fit: locate_copy(config.root),
        lambda config, size, fit: read_fer2013(config.root, size, config.classes, config.on_error, config.split),
    ),
    FerPlus: Reader(
        lambda config, fit: locate_ferplus(config.root),
        lambda config, size, fit: read_ferplus(
            config.root, size, config.classes, config.labels, config.on_error, config.split
        ),
    ),
    Folder: Reader(
        lambda config, fit: locate_folder(config.root, config.classes, config.split, fit),
        lambda config, size, fit: read_folder(
            config.root, size, config.classes, config.on_error, config.split, config.seed, fit, config.others
        ),
    ),
    Synthetic: Reader(
        lambda config, fit: None,
        lambda config, size, fit: read_synthetic(
            size, config.classes, config.train, config.val, config.test, config.seed
        ),
    ),
}


def _reader(config: Dataset) -> Reader:
    if type(config) not in READERS:
        raise UserError(
            f"dataset={config.name}: expected a line for {type(config).__name__} in READERS of fer/data/readers.py, "
            "but there is none: add it"
        )
    return READERS[type(config)]


@readable()
def locate(config: Dataset, fit: bool = True) -> None:
    """Look for a dataset's files, without reading them.

    Args:
        config: of the dataset.
        fit: for a training, not only an evaluation.

    Raises:
        UserError: if they are not there.
    """
    _reader(config).locate(config, fit)


@readable()
def load(config: Dataset, size: int, fit: bool = True) -> Table:
    """Read a dataset into a table of square faces with `size` pixels a side.

    Args:
        config: of the dataset.
        size: in pixels.
        fit: for a training, which needs all splits.

    Raises:
        UserError: if files are missing or cannot be read, or a split that is needed is empty.
    """
    table = _reader(config).read(config, size, fit)
    return require_splits(table, str(getattr(config, "root", config.name))) if fit else table


read = lru_cache(maxsize=1)(load)  # for the jobs of a sweep


def class_counts(config: Dataset) -> tuple[int, ...]:
    """Return how many emotions a dataset can be read with, the fewest first; none if its files tell its classes."""
    allowed = get_args(type(config).model_fields["classes"].annotation)  # of a Literal; elsewhere types
    return tuple(count for count in allowed if isinstance(count, int))
