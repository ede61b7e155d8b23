"""Photos: faces drawn and recorded (mode=image), or cut out for a dataset of one's own (mode=crop)."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fer.counting import counted
from fer.data.images import SUFFIXES
from fer.data.pictures import read_photo
from fer.errors import UserError
from fer.inference.checks import not_empty
from fer.inference.crops import cut
from fer.inference.drawing import Style, draw
from fer.inference.photos import crop_names, list_photos, root_of, save_photo
from fer.inference.pipeline import Pipeline
from fer.inference.places import claimed, make_folder, new_folder, output_file, records_of
from fer.inference.progress import progress
from fer.inference.records import Records
from fer.inference.schema import InferConfig


def draw_photos(config: InferConfig, pipeline: Pipeline, style: Style) -> None:
    """Draw what is seen in one photo or in many, and record it.

    Raises:
        UserError: if there is no photo, the only one cannot be read, or the drawn ones would take their places.
    """
    photos = Photos(config.input)
    if photos.one:
        path = output_file(config, _writable(Path(photos.paths[0].name)).name)
        folder, records = path.parent, records_of(path, config.format)
    else:
        path = folder = config.output or new_folder(config.mode)
        records = folder / f"records.{config.format}"
        make_folder(folder)
    if os.path.realpath(path) == os.path.realpath(photos.paths[0] if photos.one else photos.root):
        raise UserError(
            f"output={config.output}: expected another place than the input, which would be lost: choose a new name"
        )
    faces = 0
    with claimed(path), Records(records, pipeline.predictor.classes, config.format) as writer:
        for photo, image in photos:
            seen = pipeline.photo(image)
            place = path if photos.one else folder / _writable(photo.relative_to(photos.root))
            make_folder(place.parent)
            save_photo(place, draw(image, seen, pipeline.predictor.classes, style))
            writer.photo(place.relative_to(folder).as_posix() if not photos.one else photo.name, seen)
            faces += len(seen)
    photos.report(f"{counted(faces, 'face')}; pictures in {path}, records in {records}")


def cut_faces(config: InferConfig, pipeline: Pipeline) -> None:
    """Cut the faces out of photos, each into a gray PNG of its own, in the folders that the photos lie in.

    Raises:
        UserError: if there is no photo, or the only one cannot be read.
    """
    photos = Photos(config.input)
    folder = config.output or new_folder(config.mode)
    make_folder(folder)
    faces, empty, taken = 0, [], set()
    with claimed(folder):
        if problem := not_empty(folder):  # by now: another process may have begun with the same words
            raise UserError(problem)
        for photo, image in photos:
            regions = pipeline.regions(image, pipeline.detector.find(image))
            for region, name in zip(regions, crop_names(photo, photos.root, len(regions), taken), strict=True):
                make_folder((folder / name).parent)
                save_photo(folder / name, cut(image, region, max(round(region.side), 1)))
            faces += len(regions)
            empty += [] if regions else [photo]
    photos.report(f"{counted(faces, 'face')} in {folder}")
    if empty:
        print(
            f"no face found in {len(empty)}: {', '.join(str(path) for path in empty[:5])}{', ...' * (len(empty) > 5)}"
        )


class Photos:
    """The readable ones of the photos that an input means; in a folder the others are counted and named.

    Attributes:
        paths: all of them.
        one: whether the input is one file, which then has to be readable.
        root: the folder that their places are relative to.
        skipped: why some could not be read.
    """

    def __init__(self, source: str) -> None:
        self.paths = list_photos(source)
        self.root = root_of(source)
        self.one = self.paths == [Path(source).expanduser()]
        self.skipped: list[str] = []

    def __iter__(self) -> Iterator[tuple[Path, np.ndarray]]:
        for path in progress(self.paths, len(self.paths), "photos"):
            try:
                image = read_photo(path)
            except UserError as error:
                if self.one:
                    raise
                self.skipped.append(str(error))
                continue
            yield path, image

    def report(self, found: str) -> None:
        """Say what came of them, and which were left out."""
        print(f"{counted(len(self.paths) - len(self.skipped), 'photo')}, {found}")
        if self.skipped:
            print(f"skipped {len(self.skipped)}:", *self.skipped[:10], sep="\n  ")
        if len(self.skipped) == len(self.paths):
            raise UserError("expected at least one image that can be read, but there was none: see above")


def _writable(path: Path) -> Path:
    """Return a name whose format can be written: PNG for those that can only be read."""
    return path if path.suffix.lower() in SUFFIXES else path.with_suffix(".png")
