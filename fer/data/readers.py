"""From a dataset's configuration to its reader."""

from functools import lru_cache

from fer.data.bad_rows import readable
from fer.data.fer2013 import locate_fer2013, read_fer2013
from fer.data.ferplus import locate_ferplus, read_ferplus
from fer.data.image_folder import locate_folder, read_folder
from fer.data.synthetic import read_synthetic
from fer.data.table import Table, require_splits
from fer.schema import Dataset, Fer2013, FerPlus, Synthetic


@readable()
def locate(config: Dataset, fit: bool = True) -> None:
    """Look for a dataset's files, without reading them.

    Args:
        config: of the dataset.
        fit: for a training, not only an evaluation.

    Raises:
        UserError: if they are not there.
    """
    if isinstance(config, Fer2013):
        locate_fer2013(config.root)
    elif isinstance(config, FerPlus):
        locate_ferplus(config.root)
    elif not isinstance(config, Synthetic):
        locate_folder(config.root, config.classes, config.split, fit)


@lru_cache(maxsize=1)  # for the jobs of a sweep
@readable()
def read(config: Dataset, size: int, fit: bool = True) -> Table:
    """Read a dataset into a table of square faces with `size` pixels a side.

    Args:
        config: of the dataset.
        size: in pixels.
        fit: for a training, which needs all splits.

    Raises:
        UserError: if files are missing or cannot be read, or a split that is needed is empty.
    """
    table = _read(config, size, fit)
    return require_splits(table, str(getattr(config, "root", config.name))) if fit else table


def _read(config: Dataset, size: int, fit: bool) -> Table:
    if isinstance(config, Fer2013):
        return read_fer2013(config.root, size, config.classes, config.on_error)
    if isinstance(config, FerPlus):
        return read_ferplus(config.root, size, config.classes, config.labels, config.on_error)
    if isinstance(config, Synthetic):
        return read_synthetic(size, config.classes, config.train, config.val, config.test, config.seed)
    return read_folder(config.root, size, config.classes, config.on_error, config.split, config.seed, fit)
