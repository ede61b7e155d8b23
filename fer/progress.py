"""What is at work: a bar with the remaining time, where somebody looks, or a sentence if it takes long."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import TypeVar

PATIENCE = 2.0  # seconds without a word
Item = TypeVar("Item")


def progress(items: Iterable[Item], count: int | None, unit: str) -> Iterator[Item]:
    """Yield items, with a bar on a terminal.

    Args:
        items: what to go through.
        count: how many there will be; None if nobody knows.
        unit: their name, in the plural.
    """
    if not sys.stderr.isatty() or count == 1:
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, unit, total=count, transient=True, console=Console(stderr=True))


@contextmanager
def said_if_slow(sentence: str) -> Iterator[None]:
    """Say what is done in the block, if it takes long."""
    timer = Timer(PATIENCE, print, (sentence,), {"flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
