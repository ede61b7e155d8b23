"""Streams that a full disk, or a reader who has gone, does not break: a run is worth more than what it says."""

import io
import os
import sys
from pathlib import Path
from typing import Any


class Lasting(io.FileIO):
    """A file whose bytes go nowhere from the first that cannot be written.

    Attributes:
        error: why that one could not.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int | None:
        """Write, or take note of the error; other processes that share the descriptor are spared it, too."""
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno(), inheritable=self.fileno() < 3)
            os.close(nowhere)
            return memoryview(data).nbytes


def log_file(path: Path) -> io.TextIOWrapper:
    """Open a log to write behind what it holds, a line at a time."""
    return io.TextIOWrapper(io.BufferedWriter(Lasting(path, "a")), encoding="utf-8", line_buffering=True)


def outlast() -> None:
    """Make this process's stdout and stderr lasting ones; what stands in their place, and Windows' console, stay."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed: the next file to be opened would take its place
            setattr(sys, name, log_file(Path(os.devnull)))
        raw = _raw(stream)
        if stream is getattr(sys, f"__{name}__") and type(raw) is io.FileIO:
            lasting = Lasting(raw.fileno(), "w", closefd=False)
            buffer = lasting if stream.buffer is raw else io.BufferedWriter(lasting)  # python -u has none
            modes = {mode: getattr(stream, mode) for mode in ("encoding", "errors", "line_buffering", "write_through")}
            setattr(sys, name, io.TextIOWrapper(buffer, **modes))


def lost() -> OSError | None:
    """Return why a part of what was said on stdout is lost; None if nothing is."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return getattr(_raw(sys.stdout), "error", None)


def _raw(stream: Any) -> Any:
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)
