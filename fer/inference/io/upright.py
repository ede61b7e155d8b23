"""From a decoded frame to the picture that a player shows, for files and streams alike.

Upright by its display matrix, with square pixels, in full range, by the right matrix also where none is named, HDR and
wide colours as a usual screen shows them, and what is transparent over white, as in photos.
"""

from fractions import Fraction

import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from fer.inference.io.colour import BT2020, HLG, PQ, UNKNOWN, is_plain, to_screen
from fer.inference.results import too_large

HD = 1280, 576  # pictures without a matrix that are as wide, or higher, have BT.709's, smaller ones BT.601's, as in mpv
SQUARE = Fraction(1, 4), Fraction(4)  # widths over heights of a pixel that are believed
FLIPS = {(False, False): None, (True, False): 1, (False, True): 0, (True, True): -1}  # across, down -> cv2.flip's code


def size_of(picture: VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
    """Return width and height of a frame as `Upright` returns it."""
    width, height = _stretched(picture, aspect)
    return (height, width) if _turns(picture)[0] else (width, height)


class Upright:
    """Turn decoded frames into pictures; called from one thread at a time."""

    def __init__(self) -> None:
        self._convert = VideoReformatter()

    def __call__(self, picture: VideoFrame, aspect: Fraction | None) -> np.ndarray:
        """Return a frame as it is to be shown.

        Args:
            picture: as decoded.
            aspect: width over height of one of its pixels; None if unknown.

        Returns:
            (H, W, 3) uint8, blue-green-red.
        """
        turned, code = _turns(picture)
        image = self._coloured(picture, *_stretched(picture, aspect))
        image = cv2.transpose(image) if turned else image
        return image if code is None else cv2.flip(image, code)

    def _coloured(self, picture: VideoFrame, width: int, height: int) -> np.ndarray:
        def converted(kind: str) -> np.ndarray:
            new = self._convert.reformat(
                picture,
                width,
                height,
                format=kind,
                src_colorspace=_matrix(picture),
                dst_color_range="JPEG",  # full range, whatever the video has
                threads=1,  # waking more costs more than it saves
            )
            return new.to_ndarray()

        transfer, primaries = picture.color_trc, picture.color_primaries
        if not is_plain(transfer, primaries):
            return to_screen(converted("rgb48le"), transfer, primaries)
        if picture.format.has_palette or any(part.is_alpha for part in picture.format.components):
            return _on_white(converted("bgra"))
        return converted("bgr24")


def _on_white(image: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) of a picture (H, W, 4) uint8 with opacity."""
    opacity = cv2.merge([image[..., 3]] * 3)
    return cv2.add(cv2.multiply(image[..., :3], opacity, scale=1 / 255), cv2.bitwise_not(opacity))


def _stretched(picture: VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
    """Return width and height, not turned, with which a frame has square pixels and loses none."""
    width, height = picture.width, picture.height
    if not aspect or not SQUARE[0] <= aspect <= SQUARE[1]:
        return width, height
    size = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
    return (width, height) if too_large(*size) else size


def _matrix(picture: VideoFrame) -> str | None:
    """Return the name of a frame's matrix if it names none itself; None: its own, or BT.601."""
    if picture.colorspace != UNKNOWN:
        return None
    if picture.color_primaries == BT2020 or picture.color_trc in (PQ, HLG):
        return "BT2020"
    return "ITU709" if picture.width >= HD[0] or picture.height > HD[1] else None


def _turns(picture: VideoFrame) -> tuple[bool, int | None]:
    """Return whether width and height change places, and cv2.flip's code after that, by the display matrix."""
    matrix = SideDataContainer(picture).get("DISPLAYMATRIX")  # picture.side_data: a circle that keeps it in memory
    if matrix is None:
        return False, None
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5]  # x' = a x + c y, y' = b x + d y
    turned = abs(b) > abs(a)
    mirrored, overturned = (c < 0, b < 0) if turned else (a < 0, d < 0)
    return bool(turned), FLIPS[bool(mirrored), bool(overturned)]
