"""Look at a dataset before training on it: what it holds, and which of it would spoil or flatter a net.

    python -m fer.data.inspect dataset.root=DIR
    python -m fer.data.inspect dataset=folder dataset.root=DIR --output REPORT_DIR

Takes the words of train.py. Counts of each class and split, gray levels, sizes of the files, blank images, faces that
occur more than once (equal in every pixel, or nearly), within and across splits, and those with different labels.
Writes inspect.md with figures, inspect.json and duplicates.csv. What cannot be read is left out and listed, as by
dataset.on_error=skip.
"""

import argparse
import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fer.errors import UserError, ending
from fer.extras import require

if TYPE_CHECKING:  # they are imported late: --help needs none of it
    from fer.data.table import Table
    from fer.schema import TrainConfig


def inspect(words: Sequence[str], output: Path | None = None) -> Path:
    """Look at a dataset, print what was found, and write the report.

    Args:
        words: key=value and group=option, as for train.py.
        output: folder of the report; left out: a new one in runs/.

    Returns:
        The report's path.

    Raises:
        UserError: if the words are wrong, the data cannot be used, or the folder cannot be made.
        RunError: if a file cannot be written.
    """
    config = configure(words)
    print(f"reading {config.dataset.name}", flush=True)
    table = read_all(config)
    from fer.data.findings import find
    from fer.evaluation.console import relative_path
    from fer.evaluation.inspection import REPORT, print_inspection, write_inspection
    from fer.run_folder import make_folder, new_folder

    moment = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    folder = make_folder(output) if output else new_folder(Path(f"runs/{moment}_inspect_{config.dataset.name}"))
    print(f"comparing every two of {len(table):,} faces", flush=True)
    found = find(table, getattr(config.dataset, "root", None))
    print_inspection(found)
    command = ["python", "-m", "fer.data.inspect", *words, *(["--output", str(output)] if output else [])]
    write_inspection(folder, found, config.dataset.name, shlex.join(command), config.seed)
    print(f"\nreport: {relative_path(folder / REPORT)}", flush=True)
    return folder / REPORT


def configure(words: Sequence[str]) -> "TrainConfig":
    """Return the configuration that train.py makes of these words.

    Raises:
        UserError: with all that is wrong with them.
    """
    from fer.config.jobs import one_config
    from fer.schema import TrainConfig

    if places := [word for word in words if word.lstrip("+").startswith("hydra")]:
        raise UserError(f"{places[0]}: expected the folder of the report as --output DIR")
    return one_config("train", words, TrainConfig)


def read_all(config: "TrainConfig") -> "Table":
    """Read the faces of a dataset, without what cannot be read, in FER2013's size, so that no net's matters.

    Raises:
        UserError: if there are none.
    """
    from fer.data.official import SIDE
    from fer.data.readers import read
    from fer.data.table import Split, require_one

    dataset = config.dataset
    if hasattr(dataset, "on_error"):
        dataset = dataset.model_copy(update={"on_error": "skip"})
    table = read(dataset, SIDE, fit=False)
    if not len(table) and table.skipped:
        raise UserError(f"{table.skipped[0]} (not read: {len(table.skipped)}; no face is left)")
    return require_one(table, list(Split), str(getattr(dataset, "root", dataset.name)))


def main(words: Sequence[str] | None = None) -> None:
    """Look, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m fer.data.inspect",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the report; left out: a new one in runs/")
    parser.add_argument("words", nargs="*", help="key=value and group=option, as for train.py")
    asked = parser.parse_intermixed_args(words)
    with ending(parser):
        require("train")
        inspect(asked.words, asked.output)


if __name__ == "__main__":
    main()
