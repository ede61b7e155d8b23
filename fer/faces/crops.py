"""From a face's box to the square that the net looks at, cut out the way in which training images are made."""

import math

import cv2
import numpy as np

from fer.data import decoding
from fer.data.decoding import gray, resize
from fer.faces.detection import CropRegion, Detection


def region(face: Detection, margin: float, shift: float, rotate: bool) -> CropRegion:
    """Return the square around a face; with the right margin and shift the face lies in it as in FER2013's images.

    Measured on 2,000 of FER2013's training images, medians, quartiles (`python -m fer.evaluation.crop_margins DIR`):

        YuNet  96 % found  margin 0.98 (0.88 to 1.07)  shift -0.01 (-0.04 to 0.02)
        Haar   78 % found  margin 0.95 (0.89 to 1.03)  shift -0.02 (-0.03 to 0.00)

    FER2013's crops are that uneven: no margin fits all. Scored with `--weights weights/fer2013.safetensors` on the
    2,882 images of PublicTest in which YuNet finds a face, 74.1 % became 72.4 at the median, 72.9 at 0.88, 71.5 at 1.08
    and 69.2 at 1.18: rather too tight than too loose. (Of a net trained on whole faces instead of windows: from 72.0 to
    69.0, 69.3, 67.6 and 63.8.)

    Args:
        face: a box, with landmarks if it is to be turned.
        margin: side of the square over the longer side of the box.
        shift: how far the square's middle lies below the box's, in heights of the box.
        rotate: turn the square with the head, as far as there are landmarks.
    """
    x, y, width, height = face.box
    angle = _tilt(face.landmarks) if rotate and face.landmarks is not None else float(face.turn)
    down, turn = shift * (width if face.turn % 180 else height), math.radians(angle)
    centre = (x + width / 2 - down * math.sin(turn), y + height / 2 + down * math.cos(turn))
    return CropRegion(centre, margin * max(width, height), angle)


def centre_square(image: np.ndarray) -> CropRegion:
    """Return the square in the middle of an image (H, W) or (H, W, 3): what training takes of an image file."""
    left, top, side = decoding.centre_square(*image.shape[:2])
    return CropRegion((left + side / 2, top + side / 2), float(side))


def cut(image: np.ndarray, region: CropRegion, size: int) -> np.ndarray:
    """Cut a square out of an image and resize it as training does: averaging makes it smaller, bilinear larger.

    A square that is not turned is taken at whole pixels. Beyond the image's border its last pixels are repeated.

    Args:
        image: (H, W, 3) uint8 blue-green-red, or (H, W) uint8 gray.
        region: the square.
        size: side of the result, in pixels.

    Returns:
        (size, size) uint8 gray.
    """
    left, top, side = _square(region)
    if region.angle:
        side = max(side, size)  # turned at full resolution: shrinking comes after it, by averaging
        patch = _turned(image, region, side)
    else:
        patch = _gray(image, left, top, side)
    return resize(patch, size)


def matrix(region: CropRegion, size: int) -> np.ndarray:
    """Return the affine map from pixels of `cut(image, region, size)` to pixels of the image.

    Returns:
        (2, 3) float32, for x and y of pixel centres as `cv2.warpAffine` counts them: the first pixel is at (0, 0).
    """
    if region.angle:
        (x, y), side = region.centre, region.side
    else:
        left, top, side = _square(region)
        x, y = left + side / 2, top + side / 2
    scale, turn = side / size, math.radians(region.angle)
    linear = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    middle = (size - 1) / 2
    offset = np.array([x, y]) - 0.5 - linear @ (middle, middle)
    return np.column_stack((linear, offset)).astype(np.float32)


def _tilt(landmarks: np.ndarray) -> float:
    """Return by how many degrees a head with landmarks (5, 2) is turned clockwise.

    The line between the eyes decides, helped by the one from the mouth up to the eyes: in a frontal face they agree
    mostly within 3 degrees, but in a profile the eyes nearly coincide and their line alone was seen to be wrong by 60.
    """
    right, left = landmarks[:2]
    x, y = left - right
    up_x, up_y = landmarks[:2].mean(0) - landmarks[3:].mean(0)
    return math.degrees(math.atan2(y + up_x, x - up_y))


def _square(region: CropRegion) -> tuple[int, int, int]:
    """Return left, top and side of a region, in whole pixels."""
    side = max(round(region.side), 1)
    return round(region.centre[0] - side / 2), round(region.centre[1] - side / 2), side


def _turned(image: np.ndarray, region: CropRegion, side: int) -> np.ndarray:
    """Return a turned region, upright, as (side, side) uint8 gray."""
    turn = math.radians(region.angle)
    reach = region.side * (abs(math.cos(turn)) + abs(math.sin(turn))) / 2 + 1  # the next pixel, for interpolation
    left, top = (math.floor(middle - reach) for middle in region.centre)
    around = _gray(image, left, top, math.ceil(2 * reach) + 1)
    inward = matrix(region, side) - np.float32([[0, 0, left], [0, 0, top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(around, inward, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _gray(image: np.ndarray, left: int, top: int, side: int) -> np.ndarray:
    """Return a square as (side, side) uint8 gray, the image's border repeated beyond it."""
    height, width = image.shape[:2]
    x, right_of_x, before, after = _overlap(left, side, width)
    y, below_y, above, below = _overlap(top, side, height)
    levels = gray(image[y:below_y, x:right_of_x])
    if (above, below, before, after) == (0, 0, 0, 0):
        return levels
    return cv2.copyMakeBorder(levels, above, below, before, after, cv2.BORDER_REPLICATE)


def _overlap(start: int, length: int, limit: int) -> tuple[int, int, int, int]:
    """Return which pixels [first, last) of `limit` are nearest to a span, and how many lack before and after them."""
    first = min(max(start, 0), limit - 1)
    last = max(min(start + length, limit), first + 1)
    before = min(max(-start, 0), length - 1)
    return first, last, before, length - (last - first) - before
