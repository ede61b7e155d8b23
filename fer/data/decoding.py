"""From an image file to its pixels: one way for training, evaluation and inference, so that a net sees what it knows.

OpenCV decodes nearly all that people have (tried with 4.14: 16 bits, 1 bit, palettes, CMYK, the first picture of an
animation, turned upright by EXIF). It drops transparency, though, and what lies under it comes to light: those pictures
are for Pillow. So are AVIF, which OpenCV does not turn upright, TGA, and a phone's HEIC, for which Pillow needs
pillow-heif. And OpenCV refuses float TIFF in 8 bits.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fer import MOST_PIXELS
from fer.errors import UserError, reason

if TYPE_CHECKING:
    from PIL import Image

JPEG = {".jpg", ".jpeg", ".jpe", ".jfif"}
WRITTEN = JPEG | {".png", ".bmp", ".webp", ".tif", ".tiff"}
PHONES = {".heic", ".heif", ".hif"}  # here also if they cannot be read: they are meant, and have to be named
OTHERS = {".gif", ".avif", ".jp2", ".j2k", ".mpo", ".pbm", ".pgm", ".ppm", ".pnm", ".tga"}
SUFFIXES = WRITTEN | PHONES | OTHERS  # of still pictures

HEIC = {b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")}
KINDS = {  # how files begin; those of ISO's box format behind four bytes
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"RIFF": "WebP",
    b"BM": "BMP",
    b"II*": "TIFF",
    b"MM\0": "TIFF",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    **dict.fromkeys((b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"), "PNM"),
    **dict.fromkeys((b"ftypavif", b"ftypavis"), "AVIF"),
    **dict.fromkeys(HEIC, "HEIC"),
}
FOR_PILLOW = {"AVIF", "HEIF", "TGA"}  # as Pillow calls them
BLANK = rb"(?:\s|#[^\n]*\n)+"
PNM = re.compile(BLANK.join((b"P[2356]", rb"\d+", rb"\d+", rb"(\d+)\s")))  # width, height, and the level of white


def read_photo(path: Path) -> np.ndarray:
    """Read an image file; see `decode_photo`."""
    try:
        data = path.read_bytes()  # cv2.imread fails on non-ASCII paths on Windows
    except OSError as error:
        raise UserError(f"{path}: expected an image, but {reason(error)}") from None
    return decode_photo(data, path)


def decode_photo(data: bytes, source: object) -> np.ndarray:
    """Return the picture in an image file's bytes, upright, transparency over white as viewers show it.

    Args:
        data: of the file, whole.
        source: names it in an error: a path, or "line 7 of faces.jsonl".

    Returns:
        (H, W, 3) uint8, blue-green-red.

    Raises:
        UserError: if it is no image, has more than MOST_PIXELS, or is cut short (half a picture would pass for a whole
            one); of a file, also if it cannot be read.
    """
    if problem := too_large(data):
        raise UserError(f"{source}: expected an image, but {problem}")
    with silence():
        for decoded in (_by_pillow, _of_other_white, _eight_bits, _float):
            if (image := decoded(data)) is not None:
                return image
    raise UserError(f"{source}: expected an image, but {_what_is(data)}")


def too_large(data: bytes) -> str | None:
    """Return in words that the header of a picture speaks of more than MOST_PIXELS, if it does."""
    from PIL import Image

    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR") and len(data) >= 24:  # a third of the time of a small face
            pixels = int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")
        else:
            with open_lazily(data) as file:
                pixels = file.width * file.height
    except Image.DecompressionBombError:  # twice Pillow's own bound, which is above ours
        pixels = MOST_PIXELS + 1
    except (OSError, ValueError, SyntaxError):
        return None
    most = f"{MOST_PIXELS / 1e6:.0f} megapixels"
    return f"it has more than the {most} that are read: make it smaller" if pixels > MOST_PIXELS else None


def open_lazily(data: bytes) -> "Image.Image":
    """Open a picture with Pillow, which reads its header only, and without the warning of Pillow's own lower bound."""
    from PIL import Image

    if data[4:12] in HEIC:
        _has_heic()
    with warnings.catch_warnings(action="ignore"):
        return Image.open(io.BytesIO(data))


def over_white(picture: Any) -> np.ndarray:
    """Return a Pillow image as (H, W, 3) uint8 blue-green-red, what is transparent in it over white."""
    if picture.has_transparency_data:
        from PIL import Image

        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[..., ::-1])


def centre_square(height: int, width: int) -> tuple[int, int, int]:
    """Return left, top and side, in pixels, of the square in the middle of an image."""
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Return a square image (S, S) in another size: smaller by area averaging, larger by bilinear interpolation."""
    if len(image) == size:
        return image
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if size < len(image) else cv2.INTER_LINEAR)


def gray(image: np.ndarray) -> np.ndarray:
    """Return an image (H, W, 3) uint8 blue-green-red, or (H, W) as it is, in (H, W) levels of gray."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image


def _by_pillow(data: bytes) -> np.ndarray | None:
    """Return a picture that has transparency or is of a kind for Pillow, (H, W, 3); None for all others."""
    if _is_opaque(data):
        return None
    from PIL import Image, ImageOps

    try:
        with open_lazily(data) as file:
            if file.format not in FOR_PILLOW and not file.has_transparency_data:
                return None
            if file.mode.startswith("I"):  # Pillow clips 16 bits of gray
                return None
            return over_white(ImageOps.exif_transpose(file))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _has_heic() -> bool:
    """Tell whether HEIC can be read, and let Pillow do it: a library of its own, as not everybody has such photos."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _is_opaque(data: bytes) -> bool:
    """Tell cheaply that a file has no transparency: a JPEG, or a PNG of a kind without; saves Pillow's import."""
    if data.startswith(b"\x89PNG"):
        return data[25:26] in (b"\0", b"\2", b"\3") and b"tRNS" not in data  # kinds 4 and 6 have alpha
    return data.startswith(b"\xff\xd8")


def _of_other_white(data: bytes) -> np.ndarray | None:
    """Return a PGM or PPM whose white is another level than 255 or 65535, as of cameras with 12 bits, in 8 bits."""
    found = PNM.match(data)
    if not found or (white := int(found[1])) in (0, 255, 65535):
        return None
    values = _decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    return None if values is None else (values * (255 / white)).clip(0, 255).round().astype(np.uint8)


def _eight_bits(data: bytes) -> np.ndarray | None:
    return _decode(data, cv2.IMREAD_COLOR)


class _Silence:
    """Keeps OpenCV from lines of its own, as what is wrong is said in a sentence of ours; several threads may read."""

    def __init__(self) -> None:
        self.lock, self.readers, self.level = Lock(), 0, 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self.lock:
            self.readers += 1
            if self.readers == 1:
                self.level = cv2.utils.logging.setLogLevel(0)
        try:
            yield
        finally:
            with self.lock:
                self.readers -= 1
                if not self.readers:
                    cv2.utils.logging.setLogLevel(self.level)


silence = _Silence()


def _decode(data: bytes, flags: int) -> np.ndarray | None:
    if not data or (data.startswith(b"\x89PNG") and b"IEND" not in data):  # libpng would write to the console itself
        return None
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # more than MOST_PIXELS, or than fit into memory
        return None


def _float(data: bytes) -> np.ndarray | None:
    """Return a float TIFF in 8 bits; white is 1, 255 or 65535, the first that no value exceeds."""
    values = _decode(data, cv2.IMREAD_UNCHANGED)  # (H, W) or (H, W, 3)
    if values is None or values.dtype.kind != "f" or values.shape[2:] not in ((), (3,)):
        return None
    values = np.nan_to_num(values, posinf=0, neginf=0)
    peak = values.max()
    white = next((white for white in (1, 255, 65535) if peak <= white), peak)
    image = (values * (255 / white)).clip(0, 255).round().astype(np.uint8)
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)


def _what_is(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if data[4:12] in HEIC and not _has_heic():
        return "this is HEIC: convert it to JPEG, or pip install pillow-heif"
    kind = KINDS.get(data[4:12]) or next((kind for start, kind in KINDS.items() if data.startswith(start)), None)
    return f"this {kind} file is cut short, damaged or too large" if kind else "this file is of another type"
