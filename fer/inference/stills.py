"""Photos: faces drawn and recorded (mode=image), or cut out for a dataset of one's own (mode=crop)."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fer.counting import counted
from fer.data.pictures import WRITTEN, read_photo
from fer.errors import UserError
from fer.inference.checks import not_empty
from fer.inference.crops import cut
from fer.inference.drawing import Style, draw
from fer.inference.faces import Face
from fer.inference.kinds import CLIPS
from fer.inference.photos import NAMED, crop_names, find_photos, other_files, picture_names, root_of, save_photo
from fer.inference.pipeline import Pipeline
from fer.inference.places import claimed, make_folder, new_folder, output_file, records_of
from fer.inference.progress import progress
from fer.inference.records import Records
from fer.inference.schema import InferConfig

SMALL = 256  # pixels: squares of less are often faces that somebody has cut out
SQUARE = 1.25  # the longer side over the shorter one, at most


def draw_photos(config: InferConfig, pipeline: Pipeline, style: Style) -> None:
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
    faces, png = 0, []
    with claimed(path), Records(records, pipeline.predictor.classes, config.format) as writer:
        for photo, image in photos:
            seen = pipeline.photo(image)
            place = path if photos.one else folder / names[photo]
            make_folder(place.parent)
            save_photo(place, draw(image, seen, pipeline.predictor.classes, style))
            writer.photo(place.relative_to(folder).as_posix() if not photos.one else photo.name, seen)
            faces += len(seen)
            png += [] if photo.suffix.lower() in WRITTEN else [photo]
            photos.note(photo, image, [one.face for one in seen])
    photos.report(f"{counted(faces, 'face')}; pictures in {path}, records in {records}")
    if png and (path != config.output or not photos.one):
        print(f"written as PNG, since pictures of their kind are only read: {_some(png)}")


def cut_faces(config: InferConfig, pipeline: Pipeline) -> None:
    """Cut the faces out of photos, each into a gray PNG of its own, in the folders that the photos lie in.

    Raises:
        UserError: if there is no photo, or the only one cannot be read.
    """
    photos = Photos(config.input)
    folder = config.output or new_folder(config.mode)
    make_folder(folder)
    faces, taken = 0, set()
    with claimed(folder):
        if problem := not_empty(folder):  # by now: another process may have begun with the same words
            raise UserError(problem)
        for photo, image in photos:
            found = pipeline.search(image)
            regions = pipeline.regions(image, found)
            for region, name in zip(regions, crop_names(photo, photos.root, len(regions), taken), strict=True):
                make_folder((folder / name).parent)
                save_photo(folder / name, cut(image, region, max(round(region.side), 1)))
            faces += len(regions)
            photos.note(photo, image, found)
    photos.report(f"{counted(faces, 'face')} in {folder}")


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

    def __iter__(self) -> Iterator[tuple[Path, np.ndarray]]:
        for path in progress(self.paths, len(self.paths), "photos"):
            try:
                image = read_photo(path)
            except UserError as error:
                if self.one and _is_clip(path):
                    raise UserError(f"input={path}: expected an image, but this is a clip: use mode=video") from None
                if self.one:
                    raise
                self.skipped.append(str(error))
                continue
            yield path, image

    def note(self, photo: Path, image: np.ndarray, faces: list[Face]) -> None:
        """Take note of a photo in which nothing was found, or which lies turned."""
        if not faces:
            self.empty.append(photo)
            short, long = sorted(image.shape[:2])
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
    from fer.inference.clip_source import Clip  # video's libraries cost photos time

    try:
        with Clip(path):
            return True
    except UserError:
        return False


def _some(photos: Sequence[Path | str]) -> str:
    """Return the first names of a list, and whether there are more."""
    return ", ".join(map(str, photos[:NAMED])) + ", ..." * (len(photos) > NAMED)
