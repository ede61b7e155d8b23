"""Files that appear under their name only when they are whole, whatever ends the process that writes them."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any


@contextmanager
def atomic_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that takes its place when it is whole and on the disk; until then, what lies there stays.

    Args:
        path: its name.
        mode: "w" for text in UTF-8, "wb" for bytes.

    Raises:
        OSError: as it comes; nothing is left behind.
    """
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with partial.open(mode.replace("w", "x"), **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()
