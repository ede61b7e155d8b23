"""What the detector and the crop cost: accuracy on the test faces as they are, and re-detected after upscaling.

    python -m fer.evaluation.detector_cost WEIGHTS DIR
    python -m fer.evaluation.detector_cost WEIGHTS DIR --output weights/NAME.crops.json

Each image is enlarged, framed in gray so that a box may reach beyond it, searched with conf/detector, and cut out with
the margin and the shift of conf/infer.yaml. The model card takes the figures from --output.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from fer.data.fer2013 import read_fer2013
from fer.data.ferplus import read_ferplus
from fer.data.official import SIDE
from fer.data.table import Split, Table
from fer.emotions import class_names
from fer.errors import UserError, ending
from fer.extras import require
from fer.faces.crops import cut, region
from fer.faces.detection import Detection
from fer.faces.detectors import IN_COMMANDS, Detector, make_detector
from fer.faces.schema import Crop, DetectorConfig, usual_crop
from fer.header import Header
from fer.paths import CONF

if TYPE_CHECKING:  # it is imported late: --help needs no torch
    from torch import nn

ENLARGED = 4 * SIDE
FRAME = ENLARGED // 2  # pixels of gray on each side
# Those of conf/detector that search, by one way each.
DETECTORS = sorted({path.stem for path in (CONF / "detector").glob("*.yaml")} - {"auto", "none"}, reverse=True)


def framed(image: np.ndarray) -> np.ndarray:
    """Return a gray image (48, 48) enlarged within a gray frame, (384, 384, 3)."""
    large = cv2.resize(image, (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
    large = cv2.copyMakeBorder(large, *(FRAME,) * 4, cv2.BORDER_CONSTANT, value=128)
    return cv2.cvtColor(large, cv2.COLOR_GRAY2BGR)


def find_faces(images: Iterable[np.ndarray], detector: Detector) -> list[Detection | None]:
    """Return the face of highest score of each image (48, 48), in pixels of the framed image."""
    found = (detector.find(framed(image)) for image in images)
    return [max(faces, key=lambda face: face.score, default=None) for faces in found]


def detector_settings(name: str, model: Path | None) -> DetectorConfig:
    """Return the settings of conf/detector that find faces in framed images.

    Raises:
        UserError: if there is a model file, but not for YuNet.
    """
    if model and name != "yunet":
        raise UserError(f"--model={model}: expected --detector=yunet, but {name} needs no model file")
    values: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(CONF / "detector" / f"{name}.yaml"))
    return TypeAdapter(DetectorConfig).validate_python(values | ({"model": model} if model else {}))


def recrop(images: np.ndarray, faces: Sequence[Detection], crop: Crop, size: int) -> np.ndarray:
    """Cut found faces out of their framed images.

    Args:
        images: (N, 48, 48) uint8.
        faces: N boxes, in pixels of the framed images.
        crop: how a box becomes a square.
        size: side of the result, in pixels.

    Returns:
        (N, size, size) uint8.
    """
    squares = (region(face, crop.margin, crop.shift, crop.rotate) for face in faces)
    return np.stack([cut(framed(image), square, size) for image, square in zip(images, squares, strict=True)])


def accuracy(net: "nn.Module", header: Header, faces: Table, crops: np.ndarray) -> float:
    """Return the share of faces that a net classifies as they are labelled, from crops (N, S, S) of them."""
    from fer.evaluation.predict import classifier, predict

    outputs = predict(classifier(net, header), replace(faces, images=crops))
    return float((outputs.logits.argmax(1) == outputs.targets).float().mean())


def read_faces_of(header: Header, folder: Path) -> Table:
    """Read the dataset that a weights file was trained on, at its own resolution.

    Raises:
        UserError: if it is no dataset with FER2013's images, or its files are missing.
    """
    name = header.training.get("dataset")
    count = next((count for count in (6, 7, 8) if class_names(count) == header.classes), 0)
    if name == "fer2013" and count in (6, 7):
        return read_fer2013(folder, SIDE, count)
    if name == "ferplus" and count:
        return read_ferplus(folder, SIDE, count)
    raise UserError(f"expected weights of fer2013 or ferplus, but these were trained on {name}")


def check(weights: Path, folder: Path, config: DetectorConfig, split: Split) -> dict[str, float | int | str]:
    """Return the figures, by name.

    Raises:
        UserError: if the weights or the data cannot be used, or no face is found.
    """
    from fer.weights import digest, load_net

    net, header = load_net(weights)
    table = read_faces_of(header, folder).part(split)
    faces = find_faces(table.images, make_detector(config, print, options=IN_COMMANDS))
    found = np.array([face is not None for face in faces])
    if not found.any():
        raise UserError(f"{folder}: expected images of faces, but in {len(faces)} of them none was found")
    kept = table.select(found)
    recropped = recrop(kept.images, [face for face in faces if face is not None], usual_crop(), header.input_size)
    return {
        "weights_sha256": digest(weights),
        "detector": config.name,
        "split": split.name.lower(),
        "n": len(faces),
        "found": int(found.sum()),
        "accuracy_as_they_are": accuracy(net, header, kept, kept.resized(header.input_size).images),
        "accuracy_found_anew": accuracy(net, header, kept, recropped),
    }


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m fer.evaluation.detector_cost", description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="a .safetensors file")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with the dataset's files, as downloaded")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--detector", choices=DETECTORS, default="yunet")
    parser.add_argument("--model", type=Path, metavar="FILE", help="YuNet's; left out: looked for, and fetched once")
    parser.add_argument("--output", type=Path, metavar="FILE", help="a .json file for the figures")
    asked = parser.parse_args(words)
    with ending(parser):
        require("train")
        config = detector_settings(asked.detector, asked.model)
        if asked.output and not asked.output.parent.is_dir():
            raise UserError(f"--output={asked.output}: expected a file in a folder, but there is no such folder")
        figures = check(asked.weights, asked.folder, config, Split[asked.split.upper()])
        for name, value in figures.items():
            print(f"{name:24}{value if not isinstance(value, float) else f'{100 * value:.1f} %'}")
        if asked.output:
            from fer.evaluation.results import write_json

            write_json(asked.output, figures)


if __name__ == "__main__":
    main()
