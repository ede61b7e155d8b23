"""The lines of a CSV file, none of them longer than the memory of a small machine bears."""

from collections.abc import Iterator
from pathlib import Path

from fer.errors import UserError

LONGEST = 100_000  # characters; a row of FER2013 has 9,239 at most


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
