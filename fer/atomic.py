"""Files that nobody may take for whole before they are: written beside their place first, then renamed.

What is written beside has a random name of its own (`.fer-3f9a1c2e7b40d856.partial`), so that two processes with one
output never share a file and nothing is written through a link. A killed process leaves its piece under that name: it
is hidden, is never read, and may be deleted.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from fer.errors import RunError


@contextmanager
def atomic_file(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Open a file (text as UTF-8, its line ends untouched) that appears under its name at the end of the block.

    It is on the disk by then. After any error, an interruption too, what was there before stays as it was. A link is
    replaced, and not what it leads to.

    Raises:
        OSError: if the file cannot be written; before the block, if its name is too long or taken by a folder or a
            device, which a rename would replace.
    """
    _check(path)
    partial = path.parent / f".fer-{os.urandom(8).hex()}.partial"
    text = {} if mode == "wb" else {"encoding": "utf-8", "newline": ""}
    try:
        with _named(path):
            file = partial.open(mode.replace("w", "x"), **text)
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with _named(path):
            partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


@contextmanager
def whole_file(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Open a file that appears under its name only when it is whole, as `atomic_file`.

    Raises:
        RunError: if it cannot be written.
    """
    try:
        with atomic_file(path, mode) as file:
            yield file
    except OSError as error:
        raise RunError(f"{path} could not be written ({error})") from error


def growing_file(path: Path) -> Path:
    """Make the empty file `b.partial.mp4` for a `b.mp4` that is of use before it is whole, and return its path.

    Its name is one to be found again. A file or link of that name, as a killed process leaves it, is replaced: whoever
    calls this keeps other processes away.

    Raises:
        OSError: if it cannot be made.
    """
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    partial.unlink(missing_ok=True)
    partial.touch(exist_ok=False)
    return partial


def _check(path: Path) -> None:
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    if not stat.S_ISREG(kind):
        raise FileExistsError(errno.EEXIST, "Not an ordinary file", str(path))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an error tell the file's name, and not the one that it has until it is whole."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
