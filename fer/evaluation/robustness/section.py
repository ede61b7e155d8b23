"""What a net withstands, as a section of the model card beside its weights, one for each split."""

import re
from collections.abc import Iterable
from pathlib import Path

from fer.atomic import whole_file
from fer.errors import RunError, UserError

HEADING = "## What it withstands"


def card_of(weights: Path) -> Path:
    """Return the model card beside a weights file.

    Raises:
        UserError: if there is none.
    """
    card = weights.with_suffix(".md")
    if not card.is_file():
        raise UserError(f"--card: expected a model card beside the weights, but there is no {card}")
    return card


def put_section(text: str, split: str, lines: str) -> str:
    """Return a card with a section on a split, in the place of the one that it has, or before the limitations."""
    section = f"{HEADING} ({split})\n\n{lines}"
    start = text.find(f"{HEADING} ({split})\n")
    if start < 0:
        place = text.find("## Limitations\n")
        place = len(text) if place < 0 else place
        return text[:place] + section + text[place:]
    following = re.compile(r"^## ", re.MULTILINE).search(text, start + 1)
    return text[:start] + section + text[following.start() if following else len(text) :]


def kept(text: str, earlier: Path, weights: str) -> str:
    """Return a new card with the sections of the one that it replaces, if that is of the same weights (their SHA-256).

    Raises:
        RunError: if that one cannot be read.
    """
    try:
        old = earlier.read_text(encoding="utf-8") if earlier.is_file() else ""
    except (OSError, ValueError) as error:
        raise RunError(f"{earlier} could not be read ({error})") from error
    found = re.findall(rf"^{HEADING} \((\w+)\)\n\n(.*?)(?=^## |\Z)", old, re.MULTILINE | re.DOTALL)
    for split, lines in found if weights in old else ():
        text = put_section(text, split, lines)
    return text


def write_section(card: Path, split: str, lines: Iterable[str]) -> None:
    """Write a section into a card, which stays as it is if that fails.

    Raises:
        RunError: if it cannot be read or written.
    """
    try:
        text = put_section(card.read_text(encoding="utf-8"), split, "\n".join(lines) + "\n")
    except (OSError, ValueError) as error:
        raise RunError(f"{card} could not be read ({error})") from error
    with whole_file(card) as file:
        file.write(text)
