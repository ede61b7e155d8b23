"""Where results go: what the user named, or a new folder in results/ whose name is printed; one process at a time."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from fer.errors import UserError, reason, unwritable
from fer.inference.schema import InferConfig
from fer.locks import let_go


def new_folder(mode: str) -> Path:
    """Make a folder in results/ that is named after the time and the mode, and is no other's, and say so.

    Raises:
        UserError: if it cannot be made.
        RunError: if the disk is full.
    """
    from fer.run_folder import new_folder as made  # not imported where the output has a name

    make_folder(results := Path("results"), "add output=NAME, or work in a folder that you may write to")
    folder = made(results / f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{mode}")
    print(f"results go to {folder}", flush=True)
    return folder


def make_folder(folder: Path, advice: str = "choose another output") -> None:
    """Make a folder for results, and those above it, if it is not there.

    Raises:
        UserError: if that cannot be done.
        RunError: if the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        found = "it is a file" if isinstance(error, FileExistsError) else reason(error)
        sentence = f"{folder}: expected a folder to write results into, but {found}: {advice}"
        raise unwritable(sentence, error) from None


def output_file(config: InferConfig, name: str) -> Path:
    """Return where one result goes.

    Args:
        config: names the output: a file, or a folder, which exists or has no suffix; None makes a new folder.
        name: of the file, if only the folder is known.
    """
    if config.output is None:
        return new_folder(config.mode) / name
    if config.output.suffix and not config.output.is_dir():
        return config.output
    make_folder(config.output)
    return config.output / name


def records_of(path: Path, kind: str) -> Path:
    """Return the name of the records beside a result: the same stem."""
    return path.with_suffix(f".{kind}")


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Keep other processes from writing the same results.

    Args:
        path: a folder that takes them all, or a file: then all of its stem, as a clip and its records belong together.

    Raises:
        UserError: if one is at work there.
    """
    from filelock import FileLock, Timeout

    folder, stem = (path, "") if path.is_dir() else (path.parent, path.stem)
    code = hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]  # the stem may be too long for one more suffix
    lock = FileLock(folder / f".fer-{code}.lock", mode=0o666)  # a killed user's is in nobody's way
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"output={path}: expected a place of its own, but another process writes there: wait for its end, or "
            "choose another name"
        ) from None
    except OSError as error:
        sentence = f"{path}: expected a folder to write results into, but {reason(error)}: choose another output"
        raise unwritable(sentence, error) from None
    try:
        yield
    finally:
        let_go(lock)
