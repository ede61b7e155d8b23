"""The probability bars of each face: where there is room for them beside it, and how they look."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from fer.faces.detection import Rectangle
from fer.inference.draw import blend
from fer.inference.draw.blend import DARK, WHITE, Colour
from fer.inference.draw.layout import Card, Size, bars_spot, letter_sizes
from fer.palette import colours

LENGTHS = (5, 3)  # of a bar for 1 over the size of the letters; the shorter one where there is no room for the longer
GROOVE, PALE = (106, 98, 98), (205, 200, 200)


class BarMetrics(NamedTuple):
    """The measures of one face's bars, in pixels.

    Attributes:
        row: from one class to the next.
        left, right: from the edges to the bars.
        size: of the whole.
    """

    row: int
    left: int
    right: int
    size: Size


@lru_cache(64)
def bar_metrics(classes: tuple[str, ...], letters: int, length: float = LENGTHS[0]) -> BarMetrics:
    """Return the measures of bars for some classes: in letters of a size, a bar for 1 being so many of them long."""
    names = max(blend.text(name, letters, PALE).width for name in classes)
    column = blend.text(percent(1), letters, PALE).width
    row, edge = round(1.4 * letters), letters // 2
    left, right = edge + names + edge, edge + column + edge
    return BarMetrics(row, left, right, (left + round(length * letters) + right, row * len(classes) + 2 * edge))


def place_bars(cards: Sequence[Card], classes: Sequence[str], picture: Size, taken: Sequence[Rectangle]) -> list[Card]:
    """Give each face, one after the other, bars in the largest letters for which there is room; its label shrinks too.

    Args:
        cards: the faces, with their labels.
        classes: the emotions that `Card.probabilities` are of.
        picture: its size.
        taken: what else must stay free.
    """
    placed = list(cards)
    for index, card in enumerate(placed):
        others = placed[:index] + placed[index + 1 :]
        faces = [_grown(other.box, card.size // 2) for other in others]  # nearer than to its own they would mislead
        texts = [text for other in others for text in (other.label, other.bars) if text]
        placed[index] = _with_bars(card, tuple(classes), picture, [*taken, *faces, *texts])
    return placed


def _with_bars(card: Card, classes: tuple[str, ...], picture: Size, taken: Sequence[Rectangle]) -> Card:
    sizes = [size for size in letter_sizes(picture, card.box[3]) if size <= card.size]
    for length, size in product(LENGTHS, sizes):
        smaller, metrics = _shrunk(card, size), bar_metrics(classes, size, length)
        if spot := bars_spot(card.box, smaller.label, metrics.size, picture, taken, max(size // 3, 2)):
            return smaller._replace(bars=spot)
    return card


def _grown(box: Rectangle, by: int) -> Rectangle:
    x, y, width, height = box
    return x - by, y - by, width + 2 * by, height + 2 * by


def _shrunk(card: Card, size: int) -> Card:
    """Return a card whose label, in smaller letters, lies within its former place and touches the face as before."""
    if not card.label or size == card.size:
        return card._replace(size=size)
    x, y, _, height = card.label
    wide, high = blend.tag_size(card.words, size)
    top = y + height - high if y < card.box[1] else y
    return card._replace(size=size, label=(x, top, wide, high))


def draw_bars(image: np.ndarray, spot: Rectangle, letters: int, classes: Sequence[str], values: np.ndarray) -> None:
    """Draw one face's bars on a dark plate.

    Args:
        image: (H, W, 3) uint8, drawn onto in place.
        spot: where; its size is one that `bar_metrics` gives.
        letters: their size, in pixels.
        classes: C names.
        values: (C,) float32, their probabilities.
    """
    (x, y, width, height), edge, metrics = spot, letters // 2, bar_metrics(tuple(classes), letters)
    blend.over(image, blend.plate(width, height, edge, DARK, 0.78), x, y)
    inks = colours(classes)
    for index, (name, value) in enumerate(zip(classes, values.tolist(), strict=True)):
        ink, top = WHITE if index == values.argmax() else PALE, y + edge + index * metrics.row
        word, share = (blend.text(words, letters, ink) for words in (name, percent(value)))
        down = top + (metrics.row - word.height) // 2
        blend.over(image, word, x + edge, down)
        middle = top + metrics.row // 2
        long = width - metrics.left - metrics.right
        _bar(image, (x + metrics.left, middle), long, letters // 4, GROOVE)
        _bar(image, (x + metrics.left, middle), round(long * value), letters // 4, inks[name][::-1])
        blend.over(image, share, x + width - edge - share.width, down)


def percent(probability: float) -> str:
    """Return a probability as it is written."""
    return f"{100 * probability:.0f}%"


def _bar(image: np.ndarray, start: tuple[int, int], long: int, half: int, colour: Colour) -> None:
    """Draw a bar of a length and a half height, in pixels; nothing for the length 0."""
    x, y = start
    image[y - half : y + half + 1, x : x + long] = colour
