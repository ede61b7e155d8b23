"""A bar with the remaining time, where somebody looks."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

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
