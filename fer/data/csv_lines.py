"""The lines of a CSV file, none of them longer than the memory of a small machine bears, and what is no such file."""

from collections.abc import Iterator
from pathlib import Path

from fer.errors import UserError

LONGEST = 100_000  # characters; a row of FER2013 has 9,239 at most
START = 512  # bytes that tell a file's kind; a TAR has its sign behind a name
KINDS = {  # what people have under a CSV's name, and what to do
    b"\x1f\x8b": "an archive (gzip): unpack it",
    b"PK\x03\x04": "an archive (ZIP, of which Excel's files are a kind): unpack it, or save the table as CSV",
    b"7z\xbc\xaf": "an archive (7z): unpack it",
    b"Rar!": "an archive (RAR): unpack it",
    b"BZh": "an archive (bzip2): unpack it",
    b"\xfd7zXZ": "an archive (xz): unpack it",
    b"version https://git-lfs": "a pointer of Git LFS, in place of the file: git lfs pull fetches it",
    b"\x89PNG": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"PAR1": "a Parquet file: name it .parquet, and give the folder",
    b"<": "a web page, perhaps one that asks for a login: download the file itself",
}
TAR = slice(257, 262)
ARCHIVES = (".tar", ".gz", ".tgz", ".zip", ".7z", ".rar", ".bz2", ".xz")


def require_text(path: Path) -> Path:
    """Return the path of a file that is not plainly something else than CSV.

    Raises:
        UserError: saying what it is.
    """
    with path.open("rb") as file:
        start = file.read(START)
    kind = next((kind for sign, kind in KINDS.items() if start.startswith(sign)), None if start else "empty")
    if start[TAR] == b"ustar":
        kind = "an archive (TAR): unpack it"
    if kind:
        raise UserError(f"{path}: expected a CSV file, but this is {kind}")
    return path


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file; bytes that are none become U+FFFD.

    Raises:
        UserError: for a line that is too long, or another encoding.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        number = 0
        while line := file.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                raise UserError(
                    f"{path}, line {number}: expected at most {LONGEST:,} characters, but the line is longer: take the "
                    "file as published"
                )
            if number == 1 and "\0" in line:
                raise UserError(
                    f"{path}, line 1: expected text in UTF-8, but got bytes of 0, as UTF-16 has them: save the file as "
                    "CSV in UTF-8, or take it as published"
                )
            yield line
