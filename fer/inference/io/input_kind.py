"""What kind of input a word means, and so which mode is for it."""

import os
from pathlib import Path

from fer.paths import is_live

# Names of clips in a folder; .webp and .png are not, as they may be photos.
CLIPS = {".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".ogv", ".avi", ".wmv", ".asf", ".flv", ".mxf"}
CLIPS |= {".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".gif", ".apng"}


def mode_of(input: str | None) -> str:
    """Return "webcam" for a camera or an address, "video" for clips, "image" for photos: one, a folder, a pattern.

    A file is known by its suffix or, if that is no photo's, by its first bytes; one that is not there by its suffix.
    Where a folder or a pattern means both photos and clips, it is the photos'.
    """
    if not input or is_live(input):
        return "webcam"
    from fer.data.image_files import SUFFIXES  # OpenCV's import takes as long as all else here

    name = os.path.expanduser(input)  # noqa: PTH111 (pathlib's fails for ~nobody)
    suffix = Path(name).suffix.lower()
    is_folder = os.path.isdir(name)  # noqa: PTH112 (pathlib's fails in a folder where one may not look)
    if os.path.isfile(name) and suffix not in SUFFIXES:  # noqa: PTH113
        return "image" if _is_picture(name) else "video"
    if not is_folder and suffix and set(suffix).isdisjoint("*?["):
        return "image" if suffix in SUFFIXES else "video"
    return _mode_of_many(name, SUFFIXES)


def _mode_of_many(name: str, photos: set[str]) -> str:
    from fer.inference.io.images import each_file

    found = "image"  # also where there is nothing, of which that mode tells
    try:
        for file in each_file(name):
            suffix = file.suffix.lower()
            if suffix in photos:
                return "image"
            found = "video" if suffix in CLIPS else found
    except OSError:
        return "image"
    return found


def _is_picture(name: str) -> bool:
    import cv2

    return cv2.haveImageReader(name)
