"""mode=image: what is seen in photos is drawn and recorded."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np

from fer.counting import counted
from fer.data.decoding import WRITTEN, read_photo
from fer.errors import UserError
from fer.faces.detection import Detection
from fer.inference.draw.annotate import Style, annotate
from fer.inference.io.images import NAMED, find_photos, other_files, picture_names, root_of, save_photo
from fer.inference.io.input_kind import CLIPS
from fer.inference.io.output_paths import claimed, make_folder, new_folder, output_file, records_of
from fer.inference.io.records import Records
from fer.inference.parallel import on_all_cores, one_large_at_a_time
from fer.inference.pipeline import Pipeline
from fer.inference.results import FaceResult
from fer.inference.schema import InferConfig
from fer.progress import progress

SMALL = 256  # pixels: squares of less are often faces that somebody has cut out
SQUARE = 1.25  # the longer side over the shorter one, at most

Result = TypeVar("Result")


def run(config: InferConfig, pipeline: Pipeline, style: Style) -> None:
    """Draw what is seen in one photo or in many, and record it.

    Raises:
        UserError: if there is no photo, the only one cannot be read, or the drawn ones would take their places.
    """
    photos = Photos(config.input)
    names = picture_names(photos.paths, photos.root)
    if photos.one:
        path = output_file(config, names[photos.paths[0]].name)
        folder, records = path.parent, records_of(path, config.format)
    else:
        path = folder = config.output or new_folder(config.mode)
        records = folder / f"records.{config.format}"
        make_folder(folder)
    if os.path.realpath(path) == os.path.realpath(photos.paths[0] if photos.one else photos.root):
        raise UserError(
            f"output={config.output}: expected another place than the input, which would be lost: choose a new name"
        )
    places = {photo: path if photos.one else folder / names[photo] for photo in photos.paths}

    def look(photo: Path, image: np.ndarray) -> tuple[list[FaceResult], list[Detection]]:
        seen = pipeline.photo(image)
        make_folder(places[photo].parent)
        save_photo(places[photo], annotate(image, seen, pipeline.predictor.classes, style))
        return seen, [one.face for one in seen]

    faces, png = 0, []
    with claimed(path), Records(records, pipeline.predictor.classes, config.format) as writer:
        for photo, seen in photos.each(look):
            writer.photo(places[photo].relative_to(folder).as_posix() if not photos.one else photo.name, seen)
            faces += len(seen)
            png += [] if photo.suffix.lower() in WRITTEN else [photo]
    photos.report(f"{counted(faces, 'face')}; pictures in {path}, records in {records}")
    if png and (path != config.output or not photos.one):
        print(f"written as PNG, since pictures of their kind are only read: {_some(png)}")


class Photos:
    """The readable ones of the photos that an input means; in a folder the others are counted and named.

    Attributes:
        paths: all of them.
        one: whether the input is one file, which then has to be readable.
        root: the folder that their places are relative to.
        others: files of other kinds in the same place.
        skipped: why some could not be read.
        empty: those without a face.
        small: how many of them are small squares.
        turned: those that lie turned, with how.
    """

    def __init__(self, source: str) -> None:
        self.paths, self.others = find_photos(source)
        self.root = root_of(source)
        self.one = self.paths == [Path(source).expanduser()]
        self.skipped: list[str] = []
        self.empty: list[Path] = []
        self.small = 0
        self.turned: list[str] = []

    def each(self, work: Callable[[Path, np.ndarray], tuple[Result, list[Detection]]]) -> Iterator[tuple[Path, Result]]:
        """Yield each readable photo with what `work` makes of it, in order; several are worked on at once.

        Args:
            work: is given path and picture (H, W, 3) uint8 blue-green-red, and also returns the faces that it found.
        """

        def read(path: Path) -> tuple[tuple[int, int], Result, list[Detection]] | UserError:
            try:
                image = read_photo(path)
            except UserError as error:
                return error
            with one_large_at_a_time(image):
                return image.shape[:2], *work(path, image)

        with closing(on_all_cores(read, self.paths)) as done:
            for path, found in zip(self.paths, progress(done, len(self.paths), "photos"), strict=True):
                if not isinstance(found, UserError):
                    size, result, faces = found
                    self._note(path, size, faces)
                    yield path, result
                elif not self.one:
                    self.skipped.append(str(found))
                elif _is_clip(path):
                    raise UserError(f"input={path}: expected an image, but this is a clip: use mode=video")
                else:
                    raise found

    def _note(self, photo: Path, size: tuple[int, int], faces: list[Detection]) -> None:
        """Take note of a photo in which nothing was found, or which lies turned."""
        if not faces:
            self.empty.append(photo)
            short, long = sorted(size)
            self.small += long < min(SMALL, SQUARE * short)
        elif turn := faces[0].turn:
            self.turned.append(f"{photo} ({turn} degrees clockwise)")

    def report(self, found: str) -> None:
        """Say what came of them, and which were left out."""
        print(f"{counted(len(self.paths) - len(self.skipped), 'photo')}, {found}")
        if self.skipped:
            print(f"skipped {len(self.skipped)}:", *self.skipped[:10], sep="\n  ")
        if self.others:
            clips = any(path.suffix.lower() in CLIPS for path in self.others)
            print(f"left out: {other_files(self.others)}{'; for the clips: mode=video' * clips}")
        if self.empty:
            print(f"no face found in {len(self.empty)}: {_some(self.empty)}")
        if 2 * self.small > len(self.empty):
            print("if these are faces that are cut out already, add detector=none")
        if self.turned:
            print(f"lying turned, and looked at upright: {_some(self.turned)}")
        if len(self.skipped) == len(self.paths):
            raise UserError("expected at least one image that can be read, but there was none: see above")


def _is_clip(path: Path) -> bool:
    from fer.inference.io.video_reader import VideoReader  # video's libraries cost photos time

    try:
        with VideoReader(path):
            return True
    except UserError:
        return False


def _some(photos: Sequence[Path | str]) -> str:
    """Return the first names of a list, and whether there are more."""
    return ", ".join(map(str, photos[:NAMED])) + ", ..." * (len(photos) > NAMED)
