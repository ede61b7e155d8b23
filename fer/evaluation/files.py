"""Files that appear under their name only when they are whole."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from fer.errors import RunError


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """Open a text file that appears under its name only when it is whole.

    Raises:
        RunError: if it cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise RunError(f"{path} could not be written ({error})") from error
    finally:
        with suppress(OSError):
            partial.unlink()
