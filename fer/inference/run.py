"""What `infer.py` runs: the net, the detector, and one of the modes, `run` of the file in `modes/` of its name."""

import os
from importlib import import_module

import cv2

from fer.errors import UserError
from fer.faces.detectors import make_detector
from fer.inference.draw.annotate import Style
from fer.inference.pipeline import Pipeline
from fer.inference.predictor import Predictor
from fer.inference.schema import InferConfig
from fer.paths import is_live, is_onnx, resolve_weights
from fer.processes import cores

MOST_THREADS = 4  # of the net; it is small, and more were not tried


def run(config: InferConfig) -> None:
    """Look at the input by a checked configuration, and leave the results.

    Raises:
        UserError: if weights, detector or input cannot be used.
        RunError: if a result could not be written.
    """
    _require_input(config)
    predictor = load_predictor(config)
    _require_target(config.heatmap.target, predictor.classes)
    if config.mode != "crop" and config.explainer.name != "none":
        predictor.require(config.explainer.name, config.explainer.layer)
    pipeline = Pipeline(config, predictor, make_detector(config.detector, print))
    if pipeline.not_sure and config.mode != "crop":
        print(f'answers below {pipeline.not_sure:.1%} are "not sure" (not_sure=0: every face has an answer)')
    style = make_style(config)
    pipeline.heatmaps = style.heatmap
    if config.heatmap.target and config.mode != "crop":
        print(f"heatmaps show what speaks for {config.heatmap.target}, whatever the label says")
    mode = import_module(f"fer.inference.modes.{config.mode}")  # this one alone: video's libraries cost photos time
    mode.run(config, pipeline, style)


def _require_input(config: InferConfig) -> None:
    """Check that a file is there before a detector is fetched for it. Of patterns and live sources, the modes tell."""
    name = config.input
    if not name or config.mode == "webcam" or is_live(name) or not set("*?[").isdisjoint(name):
        return
    try:
        os.stat(os.path.expanduser(name))  # noqa: PTH111, PTH116 (pathlib's fails for ~nobody)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(
            f"input={name}: expected photos or clips, but there is nothing of that name: check it"
        ) from None
    except (OSError, ValueError):
        return  # the modes tell what cannot be read


def _require_target(target: str | None, classes: tuple[str, ...]) -> None:
    if target not in (None, *classes):
        raise UserError(
            f"heatmap.target={target}: expected an emotion that the net predicts ({', '.join(classes)}): take "
            "another, or a net that predicts it, such as weights=ferplus"
        )


def load_predictor(config: InferConfig) -> Predictor:
    """Return the net, and let the libraries use one thread each.

    Decoding, search, net and encoding each run in one of their own already, as several photos do. With two in each,
    OpenCV and PyTorch waited for each other: 26 ms instead of 17 to search and classify a frame on two cores. ONNX
    Runtime's threads do not spin: with two, frames of clips with one face take 7.8 ms instead of 8.2, with three 16.9
    instead of 19.4, and two faces that somebody watches 6 instead of 11.
    """
    cv2.setNumThreads(1)
    several = config.mode in ("video", "webcam") and is_onnx(resolve_weights(config.weights, ".onnx"))
    return Predictor.load(config.weights, config.device, threads=min(cores(), MOST_THREADS) if several else 1)


def make_style(config: InferConfig) -> Style:
    """Return how faces are drawn."""
    return Style(
        heatmap=config.explainer.name != "none" and config.draw.heatmap is not False,
        faint=config.draw.heatmap == "auto",
        bars=config.draw.bars,
        labels=config.draw.labels,
        alpha=config.heatmap.alpha,
        colormap=config.heatmap.colormap,
        strip=config.mode == "image" and config.detector.name == "none",
    )
