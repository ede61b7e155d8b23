"""From one picture to what is seen in it: find, cut, classify and explain all faces at once, and follow them."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from fer.emotions import NOT_SURE
from fer.faces.area import search_in
from fer.faces.crops import centre_square, cut, region
from fer.faces.detection import CropRegion, Detection
from fer.faces.detectors import Detector
from fer.faces.schema import NoDetector
from fer.faces.search import search
from fer.inference.predictor import Predictor
from fer.inference.results import FaceResult, Frame
from fer.inference.schema import PipelineConfig
from fer.inference.tracking.optical_flow import FlowTracker
from fer.inference.tracking.smoothing import Smoother
from fer.inference.tracking.tracker import Tracker


class Pipeline:
    """Look at photos one by one, or at the frames of one clip in their order.

    `find` may run in a thread ahead of `look`: it has the detector and the follower for itself, `look` all the rest.

    Args:
        config: the checked configuration.
        predictor: the net.
        detector: finds the faces.

    Attributes:
        not_sure: the least probability of an answer.
        area: the part of each picture in which faces are searched; None is all of it.
        smoother: knows how much the answers of a clip flicker.
        heatmaps: whether faces are explained; may change from frame to frame.
    """

    def __init__(self, config: PipelineConfig, predictor: Predictor, detector: Detector) -> None:
        self.config, self.predictor, self.detector = config, predictor, detector
        self.not_sure = predictor.header.not_sure if config.not_sure == "auto" else config.not_sure
        self.area = getattr(config.detector, "area", None)
        self.follower = FlowTracker(partial(search_in, self.area, detector.find), getattr(config.detector, "every", 1))
        self.tracker, self.smoother = Tracker(), Smoother(config.smoothing)
        self.heatmaps = True

    def photo(self, image: np.ndarray) -> list[FaceResult]:
        """Return what is seen in a picture (H, W, 3) that has no neighbours in time, from left to right."""
        faces = self.search(image)
        return self._look(image, faces, [None] * len(faces))

    def search(self, image: np.ndarray) -> list[Detection]:
        """Return the faces of a picture (H, W, 3) that has no neighbours in time."""
        return search_in(self.area, partial(search, self.detector), image)

    def find(self, frame: Frame) -> list[Detection]:
        """Return the faces of the next frame of a clip; none in one that could not be decoded."""
        return [] if frame.image is None else self.follower.find(frame.image)

    def look(self, frame: Frame, faces: list[Detection]) -> list[FaceResult]:
        """Return what is seen in the next frame of a clip, whose faces `find` has found, from left to right."""
        if frame.image is None:
            return []
        tracks = self.tracker.update(faces, frame.time, frame.image)
        names = iter(tracks)

        def smooth(answers: np.ndarray) -> np.ndarray:  # (B, C)
            return np.stack([self.smoother(next(names), values, frame.time) for values in answers])

        return self._look(frame.image, faces, tracks, smooth)

    def regions(self, image: np.ndarray, faces: list[Detection]) -> list[CropRegion]:
        """Return the square to be cut out for each face."""
        if isinstance(self.config.detector, NoDetector):
            return [centre_square(image)]
        crop = self.config.crop
        return [region(face, crop.margin, crop.shift, crop.rotate) for face in faces]

    def _look(
        self,
        image: np.ndarray,
        faces: list[Detection],
        tracks: Sequence[int | None],
        settle: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> list[FaceResult]:
        regions, size = self.regions(image, faces), self.predictor.input_size
        crops = [cut(image, region, size) for region in regions]
        stacked = np.stack(crops) if crops else np.empty((0, size, size), np.uint8)
        explainer, target = self.config.explainer, self.config.heatmap.target
        name = explainer.name if self.heatmaps else "none"
        answers, heatmaps = self.predictor.look(stacked, name, target, settle, explainer.layer)
        seen = []
        for index, values in enumerate(answers):
            sure = values.max() >= self.not_sure
            emotion = self.predictor.classes[int(values.argmax())] if sure else NOT_SURE
            heatmap = None if heatmaps is None else heatmaps[index]
            seen.append(FaceResult(faces[index], regions[index], tracks[index], values, emotion, heatmap, crops[index]))
        return sorted(seen, key=lambda one: one.face.box[0])
