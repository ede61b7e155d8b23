"""How a detector's boxes lie in FER2013's images: what `crop.margin` and `crop.shift` have to be.

    python -m fer.evaluation.crop_margins DIR
    python -m fer.evaluation.crop_margins DIR --detector haar
    python -m fer.evaluation.crop_margins DIR --weights FILE

Each image is enlarged, framed in gray so that a box may reach beyond it, and searched. Margin is the image's side over
the longer side of the box; shift is how far the image's middle lies below, or to the right of, the box's, in heights of
the box. With --weights, PublicTest is scored as it is and after each of its faces was found and cut out anew.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer.data.fer2013 import read_fer2013
from fer.data.official import SIDE
from fer.data.table import Split, Table
from fer.errors import UserError, ending
from fer.evaluation.detector_cost import (
    DETECTORS,
    ENLARGED,
    FRAME,
    accuracy,
    detector_settings,
    find_faces,
    read_faces_of,
    recrop,
)
from fer.extras import require
from fer.faces.detection import Detection
from fer.faces.detectors import IN_COMMANDS, make_detector
from fer.faces.schema import Crop, DetectorConfig
from fer.header import Header

if TYPE_CHECKING:  # it is imported late: --help needs no torch
    from torch import nn


def measure(faces: Iterable[Detection]) -> np.ndarray:
    """Return margin, shift down and shift to the right for each of N faces, (N, 3)."""
    boxes = np.array([face.box for face in faces])
    size, height = boxes[:, 2:], boxes[:, 3:]
    off = (FRAME + ENLARGED / 2 - boxes[:, :2] - size / 2) / height  # (N, 2): x, y
    return np.column_stack((ENLARGED / size.max(1), off[:, 1], off[:, 0]))


def score(
    table: Table, faces: Sequence[Detection | None], margin: float, shift: float, net: "nn.Module", header: Header
) -> Iterable[str]:
    """Yield a line for each way of cutting the found faces out: the accuracy of the net."""
    chosen = np.array([face is not None for face in faces])
    kept, size = table.select(chosen), header.input_size
    found = [face for face in faces if face is not None]

    def line(name: str, crops: np.ndarray) -> str:
        return f"{name:24}{100 * accuracy(net, header, kept, crops):.1f} %"

    def anew(margin: float, rotate: bool) -> np.ndarray:
        return recrop(kept.images, found, Crop(margin=margin, shift=shift, rotate=rotate), size)

    yield f"accuracy on the {len(found):,} of {len(table):,} PublicTest images with a face, shift {shift:.2f}"
    yield line("as they are", kept.resized(size).images)
    for factor in (0.8, 0.9, 1, 1.1, 1.2):
        yield line(f"margin {factor * margin:.2f}", anew(factor * margin, rotate=False))
    yield line(f"margin {margin:.2f}, upright", anew(margin, rotate=True))


def report(folder: Path, config: DetectorConfig, n: int, weights: Path | None) -> None:
    """Print the figures.

    Raises:
        UserError: if files are missing or not as they should be, or no face is found.
    """
    from fer.weights import load_net

    loaded = load_net(weights) if weights else None
    table = read_faces_of(loaded[1], folder) if loaded else read_fer2013(folder, SIDE)
    detector = make_detector(config, print, options=IN_COMMANDS)
    train = table.part(Split.TRAIN)
    order = np.random.default_rng(0).permutation(len(train))[:n]
    faces = [face for face in find_faces(train.images[order], detector) if face]
    if not faces:
        raise UserError(f"{folder}: expected images of faces, but in {len(order)} of them none was found")
    values = measure(faces)
    print(f"{config.name}: a face in {len(faces)} of {len(order)} training images, {len(faces) / len(order):.1%}")
    for name, column in zip(("margin", "shift", "shift right"), values.T, strict=True):
        low, middle, high = np.percentile(column, (25, 50, 75))
        print(f"{name:12}{middle:6.3f} (quartiles {low:.3f} and {high:.3f})", flush=True)
    if loaded:
        public = table.part(Split.VAL)
        margin, shift, _ = np.median(values, 0)
        for line in score(public, find_faces(public.images, detector), margin, shift, *loaded):
            print(line, flush=True)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m fer.evaluation.crop_margins", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with fer2013.csv, as downloaded")
    parser.add_argument("--detector", choices=DETECTORS, default="yunet")
    parser.add_argument("--model", type=Path, metavar="FILE", help="YuNet's; left out: looked for, and fetched once")
    parser.add_argument("--n", type=int, default=2000, help="training images")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="score these weights, too")
    asked = parser.parse_args(words)
    if asked.n < 1:
        parser.error(f"--n={asked.n}: expected at least one image")
    with ending(parser):
        require("train")
        config = detector_settings(asked.detector, asked.model)
        report(asked.folder, config, asked.n, asked.weights)


if __name__ == "__main__":
    main()
