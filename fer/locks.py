"""Locks between processes that leave no file behind."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process holds a lock, and hold it.

    Raises:
        OSError: if its file cannot be made.
    """
    from filelock import FileLock

    lock = FileLock(path)
    lock.acquire()
    try:
        yield
    finally:
        let_go(lock)


def let_go(lock: "FileLock") -> None:
    """Release a held lock and remove its file.

    The file goes first: whoever has opened it by then notices that, and opens a new one.
    """
    with suppress(OSError):  # some systems remove no open file: there the lock removes it
        Path(lock.lock_file).unlink()
    lock.release()
