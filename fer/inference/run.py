"""What `infer.py` runs: the net, the detector, and one of the modes, `run` of the file in `modes/` of its name."""

from importlib import import_module

import cv2

from fer.errors import UserError
from fer.faces.detectors import make_detector
from fer.inference.draw.annotate import Style
from fer.inference.pipeline import Pipeline
from fer.inference.predictor import Predictor
from fer.inference.schema import InferConfig
from fer.processes import cores


def run(config: InferConfig) -> None:
    """Look at the input by a checked configuration, and leave the results.

    Raises:
        UserError: if weights, detector or input cannot be used.
        RunError: if a result could not be written.
    """
    predictor = load_predictor(config)
    _require_target(config.heatmap.target, predictor.classes)
    if config.mode != "crop" and config.explainer != "none":
        predictor.require(config.explainer)
    pipeline = Pipeline(config, predictor, make_detector(config.detector, print))
    style = make_style(config)
    pipeline.heatmaps = style.heatmap
    if config.heatmap.target and config.mode != "crop":
        print(f"heatmaps show what speaks for {config.heatmap.target}, whatever the label says")
    mode = import_module(f"fer.inference.modes.{config.mode}")  # this one alone: video's libraries cost photos time
    mode.run(config, pipeline, style)


def _require_target(target: str | None, classes: tuple[str, ...]) -> None:
    if target not in (None, *classes):
        raise UserError(
            f"heatmap.target={target}: expected an emotion that the net predicts ({', '.join(classes)}): take "
            "another, or a net that predicts it, such as weights=ferplus"
        )


def load_predictor(config: InferConfig) -> Predictor:
    """Return the net, and let the libraries use one thread each.

    Decoding, search, net and encoding each run in one of their own already. With two in each they waited for each
    other: 26 ms instead of 17 to search and classify a frame on two cores. Who watches waits for one frame at a time,
    though: the net takes all cores, 6 ms instead of 11 for two faces.
    """
    cv2.setNumThreads(1)
    is_watched = config.mode == "webcam" and config.show
    return Predictor.load(config.weights, config.device, threads=cores() if is_watched else 1)


def make_style(config: InferConfig) -> Style:
    """Return how faces are drawn."""
    return Style(
        heatmap=config.explainer != "none" and config.draw.heatmap is not False,
        faint=config.draw.heatmap == "auto",
        bars=config.draw.bars,
        labels=config.draw.labels,
        alpha=config.heatmap.alpha,
        colormap=config.heatmap.colormap,
        strip=config.mode == "image" and config.detector.name == "none",
    )
