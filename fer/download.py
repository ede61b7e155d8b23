"""Files from the network: with limits of time and size, and under their names only when they are whole.

What has come of a file lies beside its place, under its name with `.part` behind, and the next attempt goes on from
there (HTTP's Range), if the server can.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from http.client import HTTPResponse

TIMEOUT = 15  # seconds without an answer
PART = ".part"
PIECE = 1 << 16  # bytes at once
REST, BEYOND = 206, 416  # HTTP: here is the rest; there is none


class _Foreign(OSError):
    """Something else lies there."""


def read_url(url: str, most: int, timeout: float = TIMEOUT) -> bytes:
    """Return what lies at an address.

    Args:
        url: the address.
        most: bytes; more are refused.
        timeout: seconds without an answer.

    Raises:
        OSError: if it does not come, or not whole, or is larger.
    """
    with _answer(url, timeout) as answer:
        return b"".join(_pieces(answer, most))


def download(url: str, path: Path, most: int, begins: bytes = b"", timeout: float = TIMEOUT) -> None:
    """Write what lies at an address to a file, with a bar on a terminal; an earlier attempt is continued.

    Args:
        url: the address.
        path: of the file.
        most: bytes; more are refused.
        begins: what it starts with; anything else, as the page of a hotel's network, is thrown away.
        timeout: seconds without an answer.

    Raises:
        OSError: if it does not come, or not whole, or is something else; what has come stays for the next attempt.
    """
    from urllib.error import HTTPError

    part = path.with_name(path.name + PART)
    try:
        try:
            _fill(part, url, most, timeout)
        except HTTPError as error:
            if error.code != BEYOND or not part.exists():
                raise
            part.unlink()  # whole already, or of another file: nobody knows
            _fill(part, url, most, timeout)
        _require_start(part, begins)
    except _Foreign:
        part.unlink()
        raise
    part.replace(path)


def why(error: Exception) -> str:
    """Return the reason of a failed download in a few words: "Not Found (404)", "Connection refused"."""
    reason = getattr(error, "reason", None) or error  # of urllib's errors, which wrap those of the system
    code = getattr(error, "code", None)
    return f"{reason} ({code})" if code else str(getattr(reason, "strerror", None) or reason)


def _require_start(part: Path, begins: bytes) -> None:
    with part.open("rb") as file:
        if file.read(len(begins)) != begins:
            raise _Foreign("something else comes from there")


def _fill(part: Path, url: str, most: int, timeout: float) -> None:
    """Write to a file what it lacks; all of it, if the server sends all."""
    there = part.stat().st_size if part.exists() else 0
    with _answer(url, timeout, there) as answer:
        start = there if answer.status == REST else 0
        total = None if answer.length is None else start + answer.length
        with part.open("ab" if start else "wb") as file, _bar(part.stem, start, total) as advance:
            for piece in _pieces(answer, most - start):
                file.write(piece)
                advance(len(piece))
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _answer(url: str, timeout: float, start: int = 0) -> Iterator["HTTPResponse"]:
    """Open an address, from a byte on; what breaks while it is read is an OSError, too."""
    from http.client import HTTPException  # here, because most starts need no network
    from urllib.request import Request, urlopen

    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urlopen(request, timeout=timeout) as answer:
            yield answer
    except HTTPException as error:
        raise OSError(f"the connection broke: {error!r}") from error


def _pieces(answer: "HTTPResponse", most: int) -> Iterator[bytes]:
    """Yield what comes.

    Raises:
        OSError: if that is more than `most` bytes, or less than announced.
    """
    while piece := answer.read(PIECE):
        if (most := most - len(piece)) < 0:
            raise _Foreign("what comes from there is too large to be it")
        yield piece
    if answer.length:  # of what was announced and has not come; http.client says nothing
        raise OSError("the connection broke")


@contextmanager
def _bar(name: str, start: int, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show how much has come, where somebody looks; yield what is to be told the bytes of each piece."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn(escape(name)), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=total, completed=start)
        yield lambda count: progress.advance(task, count)
