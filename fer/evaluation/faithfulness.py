"""Whether heatmaps point at what a net looks at: every explainer, in every layer, beside maps that know nothing.

    python -m fer.evaluation.faithfulness WEIGHTS dataset.root=DIR
    python -m fer.evaluation.faithfulness WEIGHTS dataset=ferplus dataset.root=DIR --explainers gradcam layercam:3

Takes the words of train.py for the dataset. Deletion, insertion and ROAD (fer/evaluation/perturbation.py says what they
are) for the predicted class of some faces, each explainer compared on the same faces with Grad-CAM of the last layer.
Beside them stand a blob in the middle, which scores well, as faces are centred, and random maps as fine as theirs.
Then the net's weights are shuffled from its end on, after which a map of what it has learned has to be another (Adebayo
et al., Sanity Checks for Saliency Maps, 2018). Writes faithfulness.md with figures, and faithfulness.csv.
"""

import argparse
import copy
import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from fer.data.inspect import configure
from fer.errors import UserError, ending
from fer.extras import require

if TYPE_CHECKING:  # they are imported late: --help needs none of it
    from torch import nn

    from fer.header import Header

BATCH = 16  # faces at a time: 64 take a fifth longer on a CPU, as they leave its cache
ROAD_FACES = 32  # it solves 256 systems of equations for them, which takes some seconds for each row
SHUFFLED_FACES = 64
BLOB = 4  # the face's side over the standard deviation of the centred blob


class Spec(NamedTuple):
    """What makes maps: an explainer and a layer from 1, or a control ("random", as fine as the layer, or "blob")."""

    name: str
    layer: int

    def __str__(self) -> str:
        return self.name if self.name == "blob" else f"{self.name}:{self.layer}"

    @property
    def is_control(self) -> bool:
        """Whether it knows nothing of the net."""
        return self.name in ("random", "blob")


class Score(NamedTuple):
    """How faithful some maps are.

    Attributes:
        spec: what made them.
        cells: on each side of a map before it is enlarged; 0 of the blob.
        curves: (N, 4, 6) probabilities, as `Perturbed.curves` returns them.
        road: (M,) of the first faces.
        shuffled: (L + 1,) mean rank correlation with the maps of the net whose head, and then each layer from the last
            on, has shuffled weights; empty for controls.
        maps: (9, S, S) of the first faces.
    """

    spec: Spec
    cells: int
    curves: np.ndarray
    road: np.ndarray
    shuffled: np.ndarray
    maps: np.ndarray


class Found(NamedTuple):
    """What was measured on faces (N, S, S) uint8, with the predicted labels and their probabilities."""

    scores: list[Score]
    images: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    classes: tuple[str, ...]


def specs_of(words: Sequence[str], layers: int) -> list[Spec]:
    """Return what to compare: Grad-CAM of the last layer, then what was asked for (all if nothing), then the controls.

    Args:
        words: "gradcam", for each of its layers, or "layercam:3".
        layers: the net's.

    Raises:
        UserError: for an unknown explainer or layer.
    """
    from fer.models.cam import EXPLAINERS

    asked: list[Spec] = []
    for word in words or EXPLAINERS:
        name, _, number = word.partition(":")
        if name not in EXPLAINERS:
            raise UserError(
                f"--explainers {word}: expected some of {', '.join(EXPLAINERS)}, each alone or as gradcam:1"
            )
        if number and not (number.isdecimal() and 1 <= int(number) <= layers):
            raise UserError(f"--explainers {word}: expected one of the net's layers, from 1 to {layers}")
        asked += [Spec(name, int(number))] if number else [Spec(name, layer) for layer in range(layers, 0, -1)]
    same = Spec("gatedcam", layers)  # gated by the last layer itself, it is Grad-CAM
    finest = (Spec("random", spec.layer) for spec in asked)
    found = dict.fromkeys([Spec("gradcam", layers), *asked, *finest, Spec("blob", layers)])
    return [spec for spec in found if spec != same]


def maps_of(spec: Spec, net: "nn.Module", header: "Header", images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return maps (B, h, w) float32 of faces (B, S, S) uint8 for their labels (B,), as an explainer makes them."""
    import torch

    from fer.models.cam import explain, features_of
    from fer.models.inputs import normalise

    with torch.inference_mode():
        inputs = normalise(torch.from_numpy(images), header.mean, header.std)
        name = "none" if spec.is_control else spec.name
        features = features_of(net, inputs, name, spec.layer)
        if spec.name == "random":
            seed = int(images.astype(np.int64).sum())  # of the faces, so that every batch has other maps
            return np.random.default_rng(seed).random((len(images), *features.chosen.shape[2:]), np.float32)
        if spec.name == "blob":
            y, x = np.mgrid[: images.shape[1], : images.shape[2]] - (images.shape[1] - 1) / 2
            blob = np.exp(-(x**2 + y**2) / (2 * (images.shape[1] / BLOB) ** 2))
            return np.repeat(blob[None], len(images), 0).astype(np.float32)
        return explain(spec.name, net, features, torch.from_numpy(labels))


def shuffled_nets(net: "nn.Module", seed: int) -> Iterator["nn.Module"]:
    """Yield the net with the weights of its head shuffled, then with those of the last layer too, and so on.

    Only what multiplies channels is shuffled, each tensor by itself: sizes and norms stay.
    """
    import torch

    from fer.models.cam import layer_count

    net = copy.deepcopy(net)
    layers = list(net.layers()) if layer_count(net) > 1 else []
    inside = {id(weight) for layer in layers for weight in layer.parameters()}
    head = [weight for weight in net.parameters() if id(weight) not in inside]
    generator = torch.Generator().manual_seed(seed)
    for part in (head, *(list(layer.parameters()) for layer in reversed(layers))):
        for weight in part:
            if weight.ndim > 1:
                order = torch.randperm(weight.numel(), generator=generator)
                weight.data = weight.data.flatten()[order].reshape(weight.shape)
        yield net


def measure(net: "nn.Module", header: "Header", images: np.ndarray, words: Sequence[str] = (), seed: int = 0) -> Found:
    """Measure explainers on faces.

    Args:
        net: in eval mode, its weights frozen.
        header: of its weights file.
        images: (N, S, S) uint8, S the net's input size.
        words: as for `specs_of`.
        seed: of chance in the controls and in the order of equal pixels.
    """
    from fer.evaluation.perturbation import Answering, Perturbed
    from fer.models.cam import layer_count
    from fer.models.maps import finish
    from fer.progress import progress

    specs, size = specs_of(words, layer_count(net)), header.input_size
    starts, answers = range(0, len(images), BATCH), Answering(net, header)
    parts = [Perturbed(answers, images[start : start + BATCH], 255 * header.mean, seed + start) for start in starts]
    few = Perturbed(answers, images[:ROAD_FACES], 255 * header.mean, seed)
    labels = np.concatenate([part.labels.numpy() for part in parts])

    def work() -> Iterator[tuple[Spec, int, np.ndarray, np.ndarray]]:
        for spec in specs:
            for start, part in zip(starts, parts, strict=True):
                maps = maps_of(spec, net, header, images[start : start + BATCH], part.labels.numpy())
                yield spec, maps.shape[1], finish(maps, size), part.curves(finish(maps, size))

    done = list(progress(work(), len(specs) * len(parts), "batches of faces"))
    scores = []
    for spec in progress(specs, len(specs), "explainers: ROAD and shuffled nets"):
        own = [item for item in done if item[0] == spec]
        maps = np.concatenate([item[2] for item in own])
        scores.append(
            Score(
                spec,
                0 if spec.name == "blob" else own[0][1],
                np.concatenate([item[3] for item in own]),
                few.road(maps[:ROAD_FACES]),
                _shuffled(spec, net, header, images[:SHUFFLED_FACES], labels, maps, seed),
                maps[:9],
            )
        )
    return Found(scores, images, labels, np.concatenate([part.whole.numpy() for part in parts]), header.classes)


def _shuffled(
    spec: Spec, net: "nn.Module", header: "Header", images: np.ndarray, labels: np.ndarray, maps: np.ndarray, seed: int
) -> np.ndarray:
    from fer.evaluation.perturbation import likeness
    from fer.models.maps import finish

    if spec.is_control:
        return np.empty(0)
    n, found = len(images), []
    for other in shuffled_nets(net, seed):
        others = finish(maps_of(spec, other, header, images, labels[:n]), header.input_size)
        found.append(likeness(maps[:n], others).mean())
    return np.array(found)


def run(weights: Path, words: Sequence[str], output: Path | None, faces: int, split: str, asked: Sequence[str]) -> Path:
    """Measure, print and write a report; return its path.

    Raises:
        UserError: if the words are wrong, the weights or the data cannot be used, or the folder cannot be made.
        RunError: if a file cannot be written.
    """
    config = configure(words)
    from fer.data.readers import read
    from fer.data.table import Split, require_one
    from fer.evaluation.console import relative_path
    from fer.evaluation.faithfulness_report import lines_of, write_report
    from fer.models.cam import layer_count
    from fer.provenance import without_places
    from fer.run_folder import make_folder, new_folder
    from fer.weights import load_net

    net, header = load_net(weights)
    net.requires_grad_(False)
    specs_of(asked, layer_count(net))  # a mistake is told before the data is read
    moment = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    folder = make_folder(output) if output else new_folder(Path(f"runs/{moment}_faithfulness_{weights.stem}"))
    print(f"reading {config.dataset.name}", flush=True)
    place = Split[split.upper()]
    table = read(config.dataset, header.input_size, fit=False)
    table = require_one(table, [place], str(getattr(config.dataset, "root", config.dataset.name))).part(place)
    chosen = np.random.default_rng(config.seed).permutation(len(table))[:faces]
    cv2.setNumThreads(1)  # torch has them
    found = measure(net, header, table.images[chosen], asked, config.seed)
    title = f"{weights.stem} on {config.dataset.name}, {split}"
    command = ["python", "-m", "fer.evaluation.faithfulness", str(weights), *without_places(words)]
    command += ["--faces", str(faces)]
    command += [*(["--split", split] if split != "val" else []), *(["--explainers", *asked] if asked else [])]
    lines = list(lines_of(found, title, shlex.join(command)))
    print("\n".join(lines))
    report = write_report(folder, found, lines, title)
    print(f"\nreport: {relative_path(report)}", flush=True)
    return report


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        prog="python -m fer.evaluation.faithfulness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="a .safetensors file, or ferplus or fer2013")
    parser.add_argument("words", nargs="*", help="dataset=NAME dataset.root=DIR seed=1, as for train.py")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the report; left out: a new one in runs/")
    parser.add_argument("--faces", type=int, default=500, metavar="N", help="how many, drawn by the seed (500)")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="val, by which explainers are chosen")
    parser.add_argument(
        "--explainers", nargs="+", default=(), metavar="NAME", help="gradcam, or layercam:3 for a layer"
    )
    asked = parser.parse_intermixed_args(words)
    if asked.faces < 2:
        parser.error(f"--faces={asked.faces}: expected at least two")
    with ending(parser):
        require("train")
        run(asked.weights, asked.words, asked.output, asked.faces, asked.split, asked.explainers)


if __name__ == "__main__":
    main()
