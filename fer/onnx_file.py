"""The metadata of an ONNX file, read by hand: the net itself is passed over, and no library is imported.

An ONNX file is one message of Protocol Buffers: a row of fields, each a number, a wire type and a value. The entries of
the metadata are fields of their own, behind the net. (ONNX Runtime tells them, too, but only once it has loaded it.)
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

METADATA = 14  # the field of onnx.proto's ModelProto; of each entry, 1 is the key and 2 the value
VARINT, TEXT = 0, 2  # wire types: a number, bytes behind their length
FIXED = {1: 8, 5: 4}  # those of numbers of so many bytes
FIELDS = 1_000  # at most; train.py's files have some twenty
WRONG = "expected an ONNX file, but this one is of another type or cut short"


def read_metadata(path: Path, most: int) -> dict[str, str]:
    """Return the entries of text that an ONNX file has.

    Args:
        path: the file.
        most: bytes of all entries together.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no ONNX file, or is cut short, or has more bytes of entries.
    """
    texts: dict[str, str] = {}
    with path.open("rb") as file:
        for number, length in _fields(file, path.stat().st_size):
            if number != METADATA:
                continue
            if (most := most - length) < 0:
                raise ValueError("expected metadata that fits in memory, but it is too large")
            parts = _fields(file, file.tell() + length)
            entry = {part: file.read(size).decode("utf-8") for part, size in parts}
            texts[entry.get(1, "")] = entry.get(2, "")
    return texts


def _fields(file: IO[bytes], end: int) -> Iterator[tuple[int, int]]:
    """Yield number and length of each field of bytes up to a place in the file, at its value, which may be read.

    Raises:
        ValueError: if there is something else, or too much.
    """
    for _ in range(FIELDS):
        if file.tell() == end:
            return
        tag = _varint(file)
        kind = tag & 7
        if kind == VARINT:
            _varint(file)
        length = _varint(file) if kind == TEXT else FIXED.get(kind, 0)
        start = file.tell()
        if kind not in (VARINT, TEXT, *FIXED) or start + length > end:
            break
        if kind == TEXT:
            yield tag >> 3, length
        file.seek(start + length)
    raise ValueError(WRONG)


def _varint(file: IO[bytes]) -> int:
    """Read a whole number, seven bits a byte, the lowest first."""
    value = 0
    for shift in range(0, 70, 7):
        if not (byte := file.read(1)):
            break
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError(WRONG)
