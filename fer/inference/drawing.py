"""What is seen in a frame, drawn onto it: heatmap, box, label and probability bars of every face."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fer.inference import stamps
from fer.inference.bars import draw_bars, percent
from fer.inference.crops import matrix
from fer.inference.faces import NOT_SURE, Seen
from fer.inference.layout import Card, Rectangle, covered, label_spot
from fer.inference.palette import COLOURS

COLORMAPS = {
    "turbo": cv2.COLORMAP_TURBO,
    "jet": cv2.COLORMAP_JET,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "inferno": cv2.COLORMAP_INFERNO,
    "magma": cv2.COLORMAP_MAGMA,
}


@dataclass(frozen=True)
class Style:
    """How faces are drawn.

    Attributes:
        heatmap: draw the explanations.
        bars: draw each face's probabilities.
        alpha: opacity of a heatmap where it is hottest, in [0, 1].
        colormap: a key of `COLORMAPS`.
        mirror: exchange left and right, but not in the text.
        fps: what to write into the corner; None for nothing.
    """

    heatmap: bool = True
    bars: bool = True
    alpha: float = 0.5
    colormap: str = "turbo"
    mirror: bool = False
    fps: str | None = None


def draw(image: np.ndarray, seen: Sequence[Seen], classes: Sequence[str], style: Style) -> np.ndarray:
    """Draw what is seen in a picture.

    Args:
        image: (H, W, 3) uint8 blue-green-red; stays as it is.
        seen: the faces.
        classes: the emotions that `Seen.probabilities` are of.
        style: what to draw.

    Returns:
        (H, W, 3) uint8, a new picture.
    """
    canvas = image.copy()
    for one in seen:
        if style.heatmap and one.heatmap is not None:
            stamp = stamps.heat(one.heatmap, style.alpha, COLORMAPS[style.colormap])
            stamps.stretch(canvas, stamp, matrix(one.region, len(one.heatmap)))
    if style.mirror:
        canvas = cv2.flip(canvas, 1)
    corner = [_corner(canvas, style.fps)] if style.fps else []
    cards = _cards(seen, classes, canvas, style.mirror, corner)
    for card in cards:
        _outline(canvas, card)
    if style.bars:
        draw_bars(canvas, cards, classes, corner)
    for card in cards:
        stamps.tag(canvas, card.label, card.words, card.size, card.colour)
    return canvas


def _corner(image: np.ndarray, words: str) -> Rectangle:
    """Write into the upper left corner, and return where."""
    size = _letters(image, len(image))
    place = (size // 2, size // 2, *stamps.tag_size(words, size))
    stamps.tag(image, place, words, size, stamps.DARK, 0.7)
    return place


def _cards(
    seen: Sequence[Seen], classes: Sequence[str], image: np.ndarray, mirror: bool, taken: Sequence[Rectangle]
) -> list[Card]:
    """Return the cards of the faces that reach into the picture, in the order of their tracks."""
    ordered = sorted(seen, key=lambda one: one.track or 0)
    boxes = [_pixels(one, image, mirror) for one in ordered]
    picture, cards = image.shape[1::-1], []
    for index, (one, box) in enumerate(zip(ordered, boxes, strict=True)):
        if covered([box], [(0, 0, *picture)]).any():
            size = _letters(image, box[3])
            others = [*taken, *boxes[:index], *boxes[index + 1 :], *(card.label for card in cards)]
            words = _words(one, classes)
            form, label = label_spot(box, [stamps.tag_size(form, size) for form in words], picture, others)
            cards.append(Card(box, label, words[form], size, COLOURS[one.emotion][::-1], one.probabilities))
    return cards


def _pixels(one: Seen, image: np.ndarray, mirror: bool) -> Rectangle:
    """Return a face's box in whole pixels of the drawn picture."""
    x, y, width, height = one.face.box
    x = image.shape[1] - x - width if mirror else x
    left, top, right, bottom = (round(value) for value in (x, y, x + width, y + height))
    return left, top, max(right - left, 1), max(bottom - top, 1)


def _letters(image: np.ndarray, height: float) -> int:
    """Return the size of the letters, in pixels, at a face of that height: both the picture and the face count."""
    largest = 0.03 * min(image.shape[:2])
    steps = round(math.log(largest / (0.1 * height), 1.25))  # of a quarter: the text must not tremble with the box
    return max(round(largest / 1.25 ** min(max(steps, 0), 3)), stamps.SMALLEST)


def _words(one: Seen, classes: Sequence[str]) -> tuple[str, str]:
    """Return a face's label, and a short form for where many faces leave no room."""
    number = "" if one.track is None else f"#{one.track}  "
    if one.emotion == NOT_SURE:
        return number + NOT_SURE, NOT_SURE
    return f"{number}{one.emotion}  {percent(one.probabilities[classes.index(one.emotion)])}", one.emotion


def _outline(image: np.ndarray, card: Card) -> None:
    """Draw a face's box, with a dark rim that shows it on a bright picture."""
    x, y, width, height = card.box
    thickness = max(round(card.size / 8), 2)
    points = stamps.outline(x, y, width, height, min(width, height) / 12)
    for colour, wide in ((stamps.BLACK, thickness + 1 + thickness // 3), (card.colour, thickness)):
        cv2.polylines(image, [points], True, colour, wide, cv2.LINE_AA, stamps.SHIFT)
