"""What kind of input a word means, and so which mode is for it."""

import os
from pathlib import Path

from fer.paths import is_live


def mode_of(input: str | None) -> str:
    """Return "webcam" for a camera or an address, "video" for a clip, "image" for photos: one, a folder, a pattern.

    A file is known by its suffix or, if that is no photo's, by its first bytes; one that is not there by its suffix.
    """
    if not input or is_live(input):
        return "webcam"
    from fer.data.images import SUFFIXES  # OpenCV's import takes as long as all else here

    name = os.path.expanduser(input)  # noqa: PTH111 (pathlib's fails for ~nobody)
    suffix = Path(name).suffix.lower()
    if suffix in SUFFIXES or os.path.isdir(name):  # noqa: PTH112 (pathlib's fails in a folder where one may not look)
        return "image"
    if os.path.isfile(name):  # noqa: PTH113
        return "image" if _is_picture(name) else "video"
    return "video" if suffix and set(suffix).isdisjoint("*?[") else "image"


def _is_picture(name: str) -> bool:
    import cv2

    return cv2.haveImageReader(name)
