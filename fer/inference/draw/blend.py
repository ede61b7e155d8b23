"""Text, plates and heatmaps as overlays: small pictures with an opacity, blended over a frame.

Pillow sets the text, since OpenCV's own letters can hardly be read at ten pixels. What the next frame needs again is
kept. Colours are (blue, green, red).
"""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
BLACK, DARK, WHITE = (0, 0, 0), (26, 20, 20), (255, 255, 255)
SMALLEST = 9  # size of letters, in pixels, that can still be read
SHIFT = 3  # binary places of the coordinates that `outline` returns
FEATHER = 0.3  # share of the way from the heatmap's middle to its edge on which it fades


class Overlay(NamedTuple):
    """A picture that lets the frame shine through.

    Attributes:
        ink: (h, w, 3) uint8, the picture times its opacity.
        transmittance: (h, w, 3) uint8, how much of the frame stays, of 255.
    """

    ink: np.ndarray
    transmittance: np.ndarray

    @property
    def width(self) -> int:
        """In pixels."""
        return self.ink.shape[1]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.ink.shape[0]


def over(image: np.ndarray, overlay: Overlay, x: int, y: int) -> None:
    """Press a overlay onto an image (H, W, 3), in place, its first pixel at (x, y); parts of it may lie outside."""
    left, top = max(-x, 0), max(-y, 0)
    right, bottom = min(overlay.width, image.shape[1] - x), min(overlay.height, image.shape[0] - y)
    if left < right and top < bottom:
        below, part = image[y + top : y + bottom, x + left : x + right], np.s_[top:bottom, left:right]
        cv2.multiply(below, overlay.transmittance[part], dst=below, scale=1 / 255)
        cv2.add(below, overlay.ink[part], dst=below)


@lru_cache(512)
def text(words: str, size: int, colour: Colour) -> Overlay:
    """Return one line of text in letters of `size` pixels; its capitals and digits are in the middle of its height."""
    fine = max(40 // size, 1)  # small letters are set larger and averaged: set on whole pixels, words run together
    font = ImageFont.load_default(size * fine)
    width, height = int(font.getlength(words)) // fine + 1, round(1.2 * size)
    mask = Image.new("L", (width * fine, height * fine))
    ImageDraw.Draw(mask).text((0, round(fine * (height / 2 + 0.36 * size))), words, fill=255, font=font, anchor="ls")
    mask = cv2.resize(np.asarray(mask), (width, height), interpolation=cv2.INTER_AREA)
    return _stamp(np.full((height, width, 3), colour, np.uint8), cv2.LUT(mask, _BOLDER))


@lru_cache(128)
def plate(width: int, height: int, radius: int, colour: Colour, opacity: float = 1.0) -> Overlay:
    """Return a rectangle with round corners, in pixels."""
    mask = np.zeros((height, width), np.uint8)
    points = outline(0, 0, width - 1, height - 1, radius)
    cv2.fillPoly(mask, [points], round(255 * opacity), cv2.LINE_AA, SHIFT)
    return _stamp(np.full((height, width, 3), colour, np.uint8), mask)


def heat(values: np.ndarray, alpha: float, colormap: int) -> Overlay:
    """Return a heatmap that fades towards its edge, and is the fainter the colder it is: where it is 0, nothing.

    Args:
        values: (S, S) float32 in [0, 1].
        alpha: opacity where it is hottest.
        colormap: one of OpenCV's COLORMAP_ constants.
    """
    colours = _table(colormap)[np.rint(255 * values).astype(np.uint8)]
    opacity = (255 * alpha) * _fading(len(values)) * values
    return _stamp(colours, np.rint(opacity).astype(np.uint8))


def stretch(image: np.ndarray, overlay: Overlay, matrix: np.ndarray) -> None:
    """Press a overlay onto an image (H, W, 3), in place, its pixels moved, scaled and turned by a matrix (2, 3)."""
    if matrix[0, 1]:
        _warp(image, overlay, matrix)
    else:  # not turned: several times as fast
        left, top = np.rint(matrix[:, 2] + (1 - matrix[0, 0]) / 2).astype(int).tolist()
        size = round(matrix[0, 0] * overlay.width), round(matrix[1, 1] * overlay.height)
        over(image, Overlay(*(cv2.resize(part, size) for part in overlay)), left, top)


def _warp(image: np.ndarray, overlay: Overlay, matrix: np.ndarray) -> None:
    corners = np.array([[0, 0], [overlay.width, 0], [0, overlay.height], [overlay.width, overlay.height]]) - 0.5
    reached = corners @ matrix[:, :2].T + matrix[:, 2]
    left, top = np.maximum(np.floor(reached.min(0)), 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(reached.max(0)) + 1, image.shape[1::-1]).astype(int).tolist()
    if left < right and top < bottom:
        moved, size = matrix - np.float32([[0, 0, left], [0, 0, top]]), (right - left, bottom - top)
        ink = cv2.warpAffine(overlay.ink, moved, size)
        transmittance = cv2.warpAffine(overlay.transmittance[..., 0], moved, size, borderValue=255)
        over(image, Overlay(ink, cv2.merge([transmittance] * 3)), left, top)


def tag_size(words: str, size: int) -> tuple[int, int]:
    """Return width and height, in pixels, of words on a plate, in letters of `size` pixels."""
    return text(words, size, WHITE).width + size, round(1.5 * size)


def tag(
    image: np.ndarray, place: tuple[int, int, int, int], words: str, size: int, colour: Colour, opacity: float = 1.0
) -> None:
    """Write words on a plate onto an image (H, W, 3), in place; the letters are black or white, as the plate needs.

    Args:
        image: (H, W, 3) uint8.
        place: x, y, width, height of the plate, in pixels.
        words: one line.
        size: of the letters, in pixels.
        colour: of the plate.
        opacity: of the plate, in [0, 1].
    """
    x, y, width, height = place
    bright = np.dot(colour, (0.114, 0.587, 0.299)) > 140
    letters = text(words, size, BLACK if bright else WHITE)
    over(image, plate(width, height, size // 3, colour, opacity), x, y)
    over(image, letters, x + (width - letters.width + 1) // 2, y + (height - letters.height) // 2)


def outline(x: float, y: float, width: float, height: float, radius: float) -> np.ndarray:
    """Return the corner points (N, 2) int32 of a rectangle with round corners, for OpenCV with `shift=SHIFT`."""
    middle, reach = np.array([x + width / 2, y + height / 2]), np.array([width, height]) / 2 - radius
    points = middle + _ARC * radius + np.sign(_ARC) * reach
    return np.rint(points * 2**SHIFT).astype(np.int32)


def _stamp(colours: np.ndarray, opacity: np.ndarray) -> Overlay:
    """Return colours (h, w, 3) uint8 with an opacity (h, w) uint8."""
    opacity = cv2.merge([opacity] * 3)
    return Overlay(cv2.multiply(colours, opacity, scale=1 / 255), cv2.bitwise_not(opacity))


@lru_cache(8)
def _table(colormap: int) -> np.ndarray:
    """Return the 256 colours (256, 3) uint8 of a map, which OpenCV works out anew in every call."""
    return cv2.applyColorMap(np.arange(256, dtype=np.uint8), colormap)[:, 0]


@lru_cache(8)
def _fading(side: int) -> np.ndarray:
    """Return a mask (S, S) float32: 1 in the middle, smoothly falling to 0 at the edge of a rounded square."""
    place = np.abs((np.arange(side, dtype=np.float32) + 0.5) * 2 / side - 1)
    distance = (place[:, None] ** 3 + place[None] ** 3) ** (1 / 3)
    rise = np.clip((1 - distance) / FEATHER, 0, 1)
    return rise * rise * (3 - 2 * rise)


_TURNS = (np.arange(4)[:, None] * 90 + np.linspace(1, 89, 7)).ravel() * np.pi / 180
_ARC = np.column_stack((np.cos(_TURNS), np.sin(_TURNS)))  # (28, 2), a circle as four arcs
_BOLDER = np.rint(255 * (np.arange(256) / 255) ** 0.7).astype(np.uint8)  # thin letters are faint otherwise
