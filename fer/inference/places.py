"""Where results go: what the user named, or a new folder in results/ whose name is printed."""

from datetime import datetime
from pathlib import Path

from fer.inference.schema import InferConfig


def new_folder(mode: str) -> Path:
    """Make a folder in results/ that is named after the time and the mode, and is no other's, and say so.

    Raises:
        UserError: if it cannot be made.
        RunError: if the disk is full.
    """
    from fer.run_folder import new_folder as made  # not imported where the output has a name

    folder = made(Path("results") / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{mode}")
    print(f"results go to {folder}", flush=True)
    return folder


def output_file(config: InferConfig, name: str) -> Path:
    """Return where one result goes.

    Args:
        config: names the output: a file, or a folder that exists; None makes a new folder.
        name: of the file, if only the folder is known.
    """
    if config.output is None:
        return new_folder(config.mode) / name
    return config.output / name if config.output.is_dir() else config.output


def records_of(path: Path, kind: str) -> Path:
    """Return the name of the records beside a result: the same stem."""
    return path.with_suffix(f".{kind}")
