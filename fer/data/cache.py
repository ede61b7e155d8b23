"""A cache of parsed CSV files, because FER2013's 300 MB of digits take seconds to read and its pixels a moment.

One safetensors file per source, in FER_CACHE or the user's cache folder. It is only ever a shortcut: a cache that is
missing, outdated, damaged or impossible to write costs time and is never an error.
"""

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as as_bytes

from fer.atomic import atomic_file

FORMAT = "1"  # raise it when the meaning of the arrays changes
FAILURES = (OSError, SafetensorError, RuntimeError)  # RuntimeError: a user without a home folder


def folder() -> Path:
    """Return the cache folder: FER_CACHE, or `fer` in the place that the system has for caches."""
    if chosen := os.environ.get("FER_CACHE"):
        return Path(chosen).expanduser()
    place = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return (Path(place) if place else Path.home() / ".cache") / "fer"


def stamp(source: Path) -> dict[str, str]:
    """Return what tells one state of a file from another; take it before the file is read."""
    stat = source.stat()
    return {"format": FORMAT, "size": str(stat.st_size), "mtime_ns": str(stat.st_mtime_ns)}


def load(source: Path, expected: dict[str, str]) -> dict[str, np.ndarray] | None:
    """Return the arrays that were saved for a source in the state `expected`, or None."""
    with contextlib.suppress(*FAILURES), safe_open(_file(source), framework="numpy") as saved:
        if saved.metadata() == expected:
            return {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118 (not a mapping)
    return None


def save(source: Path, state: dict[str, str], arrays: dict[str, np.ndarray]) -> None:
    """Save the arrays read from a source that was in `state`, if the cache folder can be written."""
    with contextlib.suppress(*FAILURES):
        target = _file(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target, "wb") as file:  # other processes may read or write the same cache
            file.write(as_bytes(arrays, state))


def _file(source: Path) -> Path:
    name = hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:16]
    return folder() / f"{name}.safetensors"
