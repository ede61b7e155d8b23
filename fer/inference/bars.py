"""The probability bars beside each face."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fer.inference import stamps
from fer.inference.layout import Card, Rectangle, Size, bars_spot
from fer.inference.palette import COLOURS
from fer.inference.stamps import DARK, SMALLEST, WHITE, Colour

FORMS = (  # tried in turn: letters as large as the label's or the smallest, with per cents, share of the face to cover
    (1.0, True, 0.0),
    (0.0, True, 0.0),
    (0.0, False, 0.0),
    (0.0, False, 0.25),
)
GROOVE, PALE = (106, 98, 98), (205, 200, 200)


class Table(NamedTuple):
    """The measures of one face's bars, in pixels.

    Attributes:
        letters: their size.
        row: from one class to the next.
        bar: from the left edge to the bars.
        long: length of a bar for 1.
        size: of the whole.
        percents: with a column of per cents.
    """

    letters: int
    row: int
    bar: int
    long: int
    size: Size
    percents: bool


def draw_bars(image: np.ndarray, cards: Sequence[Card], classes: Sequence[str], taken: Sequence[Rectangle]) -> None:
    """Draw bars in the first of `FORMS` that leaves room for all faces, or in the last for those that have room.

    Args:
        image: (H, W, 3) uint8, drawn onto in place.
        cards: the faces.
        classes: the emotions that `Card.probabilities` are of.
        taken: what else must stay free.
    """
    for share, percents, own in FORMS:
        tables = [_table(classes, max(round(share * card.size), SMALLEST), percents) for card in cards]
        spots = _spots(cards, tables, image.shape[1::-1], taken, own)
        if all(spots):
            break
    for card, table, spot in zip(cards, tables, spots, strict=True):
        if spot:
            _draw(image, spot, table, classes, card.probabilities)


def percent(probability: float) -> str:
    """Return a probability as it is written."""
    return f"{100 * probability:.0f}%"


def _table(classes: Sequence[str], letters: int, percents: bool) -> Table:
    names = max(stamps.text(name, letters, PALE).width for name in classes)
    column = stamps.text(percent(1), letters, PALE).width + letters // 2 if percents else 0
    row, edge, long = round(1.4 * letters), letters // 2, 5 * letters
    size = edge + names + edge + long + column + edge, row * len(classes) + 2 * edge
    return Table(letters, row, edge + names + edge, long, size, percents)


def _spots(
    cards: Sequence[Card], tables: Sequence[Table], picture: Size, taken: Sequence[Rectangle], own: float
) -> list[Rectangle | None]:
    """Return where each face's bars go; they are placed one after the other."""
    spots: list[Rectangle | None] = []
    for index, (card, table) in enumerate(zip(cards, tables, strict=True)):
        faces = [other.box for place, other in enumerate(cards) if place != index]
        others = [*taken, *faces, *(other.label for other in cards), *filter(None, spots)]
        spots.append(bars_spot(card, table.size, picture, others, own))
    return spots


def _draw(image: np.ndarray, spot: Rectangle, table: Table, classes: Sequence[str], values: np.ndarray) -> None:
    """Draw one face's bars on a dark plate."""
    (x, y, width, height), edge = spot, table.letters // 2
    stamps.press(image, stamps.plate(width, height, edge, DARK, 0.78), x, y)
    for index, (name, value) in enumerate(zip(classes, values.tolist(), strict=True)):
        ink, top = WHITE if index == values.argmax() else PALE, y + edge + index * table.row
        word = stamps.text(name, table.letters, ink)
        down = top + (table.row - word.height) // 2
        stamps.press(image, word, x + edge, down)
        middle = top + table.row // 2
        _bar(image, (x + table.bar, middle), table.long, table.letters // 4, GROOVE)
        _bar(image, (x + table.bar, middle), round(table.long * value), table.letters // 4, COLOURS[name][::-1])
        if table.percents:
            share = stamps.text(percent(value), table.letters, ink)
            stamps.press(image, share, x + width - edge - share.width, down)


def _bar(image: np.ndarray, start: tuple[int, int], long: int, half: int, colour: Colour) -> None:
    """Draw a bar of a length and a half height, in pixels; nothing for the length 0."""
    x, y = start
    image[y - half : y + half + 1, x : x + long] = colour
