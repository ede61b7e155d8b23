"""What a net withstands, as a section of the model card beside its weights, one for each split."""

import re
from collections.abc import Iterable
from pathlib import Path

from fer.atomic import whole_file
from fer.errors import RunError, UserError
from fer.weights import digest

HEADING = "## What it withstands"


def card_of(weights: Path) -> Path:
    """Return the model card beside a weights file.

    Raises:
        UserError: if there is none, or it is of other weights, with which it would be replaced, and its sections lost.
        RunError: if it cannot be read.
    """
    card = weights.with_suffix(".md")
    if not card.is_file():
        raise UserError(f"--card: expected a model card beside the weights, but there is no {card}")
    if digest(weights) not in _read(card):
        raise UserError(
            f"--card: expected the card of {weights} as it is now, but {card} is of another file: write it anew first, "
            "by python -m fer.evaluation.card"
        )
    return card


def _read(card: Path) -> str:
    try:
        return card.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RunError(f"{card} could not be read ({error})") from error


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
    old = _read(earlier) if earlier.is_file() else ""
    found = re.findall(rf"^{HEADING} \((\w+)\)\n\n(.*?)(?=^## |\Z)", old, re.MULTILINE | re.DOTALL)
    for split, lines in found if weights in old else ():
        text = put_section(text, split, lines)
    return text


def write_section(card: Path, split: str, lines: Iterable[str]) -> None:
    """Write a section into a card, which stays as it is if that fails.

    Raises:
        RunError: if it cannot be read or written.
    """
    text = put_section(_read(card), split, "\n".join(lines) + "\n")
    with whole_file(card) as file:
        file.write(text)
