"""What `infer.py` runs: the net, the detector, and one of the four modes."""

import cv2
import numpy as np
import torch

from fer.inference.checks import place_of
from fer.inference.detectors import make_detector
from fer.inference.drawing import Style
from fer.inference.pipeline import Pipeline
from fer.inference.predictor import Predictor
from fer.inference.schema import InferConfig
from fer.inference.stills import cut_faces, draw_photos


def run(config: InferConfig) -> None:
    """Look at the input by a checked configuration, and leave the results.

    Raises:
        UserError: if weights, detector or input cannot be used.
        RunError: if a result could not be written.
    """
    one_thread_each()
    predictor = Predictor.load(place_of(config.weights), config.device)
    nobody = np.empty((0, predictor.input_size, predictor.input_size), np.uint8)
    predictor.look(nobody, config.explainer, config.heatmap.target)  # finds a wrong target before any work
    pipeline = Pipeline(config, predictor, make_detector(config.detector, print))
    style = make_style(config)
    pipeline.heatmaps = style.heatmap
    if config.heatmap.target and config.mode != "crop":
        print(f"heatmaps show what speaks for {config.heatmap.target}, whatever the label says")
    if config.mode == "image":
        draw_photos(config, pipeline, style)
    elif config.mode == "crop":
        cut_faces(config, pipeline)
    elif config.mode == "webcam" and config.show:
        from fer.inference.watching import watch

        watch(config, pipeline, style)
    else:
        from fer.inference.moving import record  # video's libraries cost photos time

        record(config, pipeline, style)


def one_thread_each() -> None:
    """Let the libraries use one thread: decoding, search, net and encoding each run in one of their own already.

    With two in each they waited for each other: 26 ms instead of 17 to search and classify a frame on two cores.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


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
