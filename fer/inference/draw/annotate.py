"""What is seen in a frame, drawn onto it: heatmap, box, label and probability bars of every face."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np

from fer.emotions import NOT_SURE
from fer.faces.crops import matrix
from fer.faces.detection import Rectangle, covered
from fer.inference.draw import blend
from fer.inference.draw.bars import draw_bars, percent, place_bars
from fer.inference.draw.layout import Card, Size, label_spot, letter_sizes
from fer.inference.draw.strip import add_strip
from fer.inference.results import FaceResult
from fer.palette import colours

COLORMAPS = {
    "turbo": cv2.COLORMAP_TURBO,
    "jet": cv2.COLORMAP_JET,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "inferno": cv2.COLORMAP_INFERNO,
    "magma": cv2.COLORMAP_MAGMA,
}


SMALL, LARGE = 64, 224  # sides of a face, in pixels, up to which a heatmap is not drawn, and from which in full
BRIGHT = 64  # mean level of a face from which on a heatmap is drawn in full: on a darker one it would be all one sees


@dataclass(frozen=True)
class Style:
    """How faces are drawn.

    Attributes:
        heatmap: draw the explanations.
        faint: draw them the fainter the smaller or darker the face is, and none on a small one, of which nothing would
            be seen.
        bars: draw each face's probabilities, where there is room.
        labels: write each face's answer, where there is room.
        alpha: opacity of a heatmap where it is hottest, in [0, 1].
        colormap: a key of `COLORMAPS`.
        strip: the picture is a face as a whole: put bars and label into a strip beside it.
        mirror: exchange left and right, but not in the text.
        fps: what to write into the corner; None for nothing.
    """

    heatmap: bool = True
    faint: bool = True
    bars: bool = True
    labels: bool = True
    alpha: float = 0.5
    colormap: str = "turbo"
    strip: bool = False
    mirror: bool = False
    fps: str | None = None


def annotate(image: np.ndarray, seen: Sequence[FaceResult], classes: Sequence[str], style: Style) -> np.ndarray:
    """Draw what is seen in a picture.

    Args:
        image: (H, W, 3) uint8 blue-green-red; stays as it is.
        seen: the faces.
        classes: the classes that `FaceResult.probabilities` are of.
        style: what to draw.

    Returns:
        (H, W, 3) uint8, a new picture; larger, to the right or below, with a strip.
    """
    canvas = image.copy()
    for one in seen:
        if style.heatmap and one.heatmap is not None and (alpha := _opacity(one, image, style)):
            overlay = blend.heat(one.heatmap, alpha, COLORMAPS[style.colormap])
            blend.stretch(canvas, overlay, matrix(one.region, len(one.heatmap)))
    if style.mirror:
        canvas = cv2.flip(canvas, 1)
    if style.strip:
        return _with_strip(canvas, seen, classes, style)
    corner = [_corner(canvas, style.fps)] if style.fps else []
    cards = _cards(seen, classes, canvas, style, corner)
    if style.bars:
        cards = place_bars(cards, classes, canvas.shape[1::-1], corner)
    for card in cards:
        _outline(canvas, card)
    for card in cards:
        if card.bars:
            draw_bars(canvas, card.bars, card.size, classes, card.probabilities)
        if card.label:
            blend.tag(canvas, card.label, card.words, card.size, card.colour)
    return canvas


def _opacity(one: FaceResult, image: np.ndarray, style: Style) -> float:
    """Return the opacity of a face's heatmap where it is hottest."""
    if not style.faint:
        return style.alpha
    share = min(max((one.region.side - SMALL) / (LARGE - SMALL), 0.0), 1.0)
    x, y, width, height = _pixels(one, image, mirror=False)
    face = image[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    level = sum(cv2.mean(face)[:3]) / 3 if face.size else 0.0
    return style.alpha * share * min(level / BRIGHT, 1.0)


def _with_strip(image: np.ndarray, seen: Sequence[FaceResult], classes: Sequence[str], style: Style) -> np.ndarray:
    for one in seen if style.labels or style.bars else ():
        words = _label_texts(one, classes)[0] if style.labels else None
        colour = colours(classes)[one.emotion][::-1]
        image = add_strip(image, words, colour, classes, one.probabilities if style.bars else None)
    return image


def _corner(image: np.ndarray, words: str) -> Rectangle:
    """Write into the upper left corner, and return where."""
    size = letter_sizes(image.shape[1::-1], len(image))[0]
    place = (size // 2, size // 2, *blend.tag_size(words, size))
    blend.tag(image, place, words, size, blend.DARK, 0.7)
    return place


def _cards(
    seen: Sequence[FaceResult], classes: Sequence[str], image: np.ndarray, style: Style, taken: Sequence[Rectangle]
) -> list[Card]:
    """Return the cards of the faces that reach into the picture, in the order of their tracks, without bars."""
    ordered = sorted(seen, key=lambda one: one.track or 0)
    boxes = [_pixels(one, image, style.mirror) for one in ordered]
    picture, cards = image.shape[1::-1], []
    for index, (one, box) in enumerate(zip(ordered, boxes, strict=True)):
        if covered([box], [(0, 0, *picture)]).any():
            labels = [card.label for card in cards if card.label]
            forms = _label_texts(one, classes) if style.labels else ()
            label = _label(forms, box, picture, [*taken, *boxes[:index], *boxes[index + 1 :], *labels])
            cards.append(Card(box, *label, colours(classes)[one.emotion][::-1], one.probabilities))
    return cards


def _label(
    forms: Sequence[str], box: Rectangle, picture: Size, taken: Sequence[Rectangle]
) -> tuple[int, str, Rectangle | None]:
    """Return size, words and place of the best label for which there is room: the long form in the largest letters."""
    sizes = letter_sizes(picture, box[3])
    for own, words, size in product((False, True), forms, sizes):
        if place := label_spot(box, blend.tag_size(words, size), picture, taken, own):
            return size, words, place
    return sizes[0], "", None


def _pixels(one: FaceResult, image: np.ndarray, mirror: bool) -> Rectangle:
    """Return a face's box in whole pixels of the drawn picture."""
    x, y, width, height = one.face.box
    x = image.shape[1] - x - width if mirror else x
    left, top, right, bottom = (round(value) for value in (x, y, x + width, y + height))
    return left, top, max(right - left, 1), max(bottom - top, 1)


def _label_texts(one: FaceResult, classes: Sequence[str]) -> tuple[str, str]:
    """Return a face's label, and a short form for where many faces leave no room."""
    number = "" if one.track is None else f"#{one.track}  "
    if one.emotion == NOT_SURE:
        return number + NOT_SURE, NOT_SURE
    return f"{number}{one.emotion}  {percent(one.probabilities[classes.index(one.emotion)])}", one.emotion


def _outline(image: np.ndarray, card: Card) -> None:
    """Draw a face's box, with a dark rim that shows it on a bright picture."""
    x, y, width, height = card.box
    thickness = max(round(letter_sizes(image.shape[1::-1], height)[0] / 8), 2)
    points = blend.outline(x, y, width, height, min(width, height) / 12)
    for colour, wide in ((blend.BLACK, thickness + 1 + thickness // 3), (card.colour, thickness)):
        cv2.polylines(image, [points], True, colour, wide, cv2.LINE_AA, blend.SHIFT)
