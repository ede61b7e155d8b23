"""Files of an evaluation, which appear under their name only when they are whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from fer.atomic import atomic_file
from fer.errors import RunError


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
