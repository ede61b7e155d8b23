"""mode=crop: faces are cut out of photos, for a dataset of one's own."""

from pathlib import Path

import numpy as np

from fer.counting import counted
from fer.errors import UserError
from fer.faces.crops import cut
from fer.faces.detection import Detection
from fer.inference.checks import not_empty
from fer.inference.draw.annotate import Style
from fer.inference.io.images import crop_names, save_photo
from fer.inference.io.output_paths import claimed, make_folder, new_folder
from fer.inference.modes.image import Photos
from fer.inference.pipeline import Pipeline
from fer.inference.schema import InferConfig


def run(config: InferConfig, pipeline: Pipeline, style: Style) -> None:
    """Cut the faces out of photos, each into a gray PNG of its own, in the folders that the photos lie in.

    Raises:
        UserError: if there is no photo, or the only one cannot be read.
    """
    photos = Photos(config.input)
    folder = config.output or new_folder(config.mode)
    make_folder(folder)

    def look(photo: Path, image: np.ndarray) -> tuple[list[np.ndarray], list[Detection]]:
        found = pipeline.search(image)
        regions = pipeline.regions(image, found)
        return [cut(image, region, max(round(region.side), 1)) for region in regions], found

    faces, taken = 0, set()
    with claimed(folder):
        if problem := not_empty(folder):  # by now: another process may have begun with the same command
            raise UserError(problem)
        for photo, crops in photos.each(look):
            for crop, name in zip(crops, crop_names(photo, photos.root, len(crops), taken), strict=True):
                make_folder((folder / name).parent)
                save_photo(folder / name, crop)
            faces += len(crops)
    photos.report(f"{counted(faces, 'face')} in {folder}")
