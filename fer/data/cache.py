"""A cache of parsed sources, because FER2013's 300 MB of digits take seconds to read and its pixels a moment.

One safetensors file per source, a file or a folder, in FER_CACHE or the user's cache folder. It is only ever a
shortcut: a cache that is missing, outdated, damaged, another user's or impossible to write costs time and is never an
error. Its header holds the source's state and a checksum of the arrays, which costs a tenth of a second where parsing
costs several.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as as_bytes

from fer.atomic import atomic_file

FORMAT = "2"  # raise it when the meaning of the arrays changes
FAILURES = (OSError, SafetensorError, RuntimeError)  # RuntimeError: a user without a home folder
OTHERS = 0o002  # the permission of all to write


def folder() -> Path:
    """Return the cache folder: FER_CACHE, or `fer` in the place that the system has for caches."""
    if chosen := os.environ.get("FER_CACHE"):
        return Path(chosen).expanduser()
    place = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return (Path(place) if place else Path.home() / ".cache") / "fer"


def stamp(source: Path) -> dict[str, str]:
    """Return what tells one state of a file from another; take it before the file is read."""
    stat = source.stat()
    moments = {"mtime_ns": str(stat.st_mtime_ns), "ctime_ns": str(stat.st_ctime_ns)}  # copying tools restore the first
    return {"format": FORMAT, "size": str(stat.st_size), **moments}


def stamp_files(paths: Iterable[Path], **facts: Any) -> dict[str, str]:
    """Return what tells one state of many files, and of further facts, from another."""
    found = hashlib.sha256()
    for path in paths:
        stat = os.stat(path)  # noqa: PTH116 (36,000 of them)
        found.update(
            f"{path}\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\n".encode("utf-8", "surrogateescape")
        )
    return {"format": FORMAT, "files": found.hexdigest(), **{name: str(fact) for name, fact in facts.items()}}


def load(source: Path, expected: dict[str, str]) -> dict[str, np.ndarray] | None:
    """Return the arrays that were saved for a source in the state `expected`, or None."""
    path = _file(source)
    with contextlib.suppress(Exception):  # whatever a damaged file makes its reader raise
        if not _is_own(path):
            return None
        with safe_open(path, framework="numpy") as saved:
            arrays = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118 (not a mapping)
            if saved.metadata() == expected | {"sha256": _checksum(arrays)}:
                return arrays
    return None


def save(source: Path, state: dict[str, str], arrays: dict[str, np.ndarray]) -> None:
    """Save the arrays read from a source that was in `state`, if the cache folder can be written."""
    with contextlib.suppress(*FAILURES):
        target = _file(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target, "wb") as file:  # other processes may read or write the same cache
            file.write(as_bytes(arrays, state | {"sha256": _checksum(arrays)}))


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    """Return a hash of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _is_own(path: Path) -> bool:
    """Tell whether a file is this user's and not everybody's to write: in a shared folder it may be anyone's."""
    stat = path.stat()
    return os.name == "nt" or (stat.st_uid == os.geteuid() and not stat.st_mode & OTHERS)


def _file(source: Path) -> Path:
    name = hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:16]
    return folder() / f"{name}.safetensors"
