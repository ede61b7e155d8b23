"""From one picture to what is seen in it: find, cut, classify and explain all faces at once, and follow them."""

from collections.abc import Sequence

import numpy as np

from fer.inference.crops import cut, region, whole
from fer.inference.detectors import Detector
from fer.inference.faces import NOT_SURE, Face, Frame, Region, Seen
from fer.inference.following import Follower
from fer.inference.predictor import Predictor
from fer.inference.schema import InferConfig, NoDetector
from fer.inference.tracks import Smoother, Tracker


class Pipeline:
    """Look at photos one by one, or at the frames of one clip in their order.

    Args:
        config: the checked configuration.
        predictor: the net.
        detector: finds the faces.

    Attributes:
        smoother: knows how much the answers of a clip flicker.
        heatmaps: whether faces are explained; may change from frame to frame.
    """

    def __init__(self, config: InferConfig, predictor: Predictor, detector: Detector) -> None:
        self.config, self.predictor, self.detector = config, predictor, detector
        self.follower = Follower(detector.find, getattr(config.detector, "every", 1))
        self.tracker, self.smoother = Tracker(), Smoother(config.smoothing)
        self.heatmaps = True

    def photo(self, image: np.ndarray) -> list[Seen]:
        """Return what is seen in a picture (H, W, 3) that has no neighbours in time."""
        faces = self.detector.find(image)
        regions = self.regions(image, faces)
        return self._seen(faces, regions, [None] * len(faces), *self._look(image, regions))

    def frame(self, frame: Frame) -> list[Seen]:
        """Return what is seen in the next frame of a clip; nothing in one that could not be decoded."""
        if frame.image is None:
            return []
        faces = self.follower.find(frame.image)
        tracks = self.tracker.update(faces, frame.time)
        regions = self.regions(frame.image, faces)
        raw, heatmaps = self._look(frame.image, regions)
        smooth = [self.smoother(track, values, frame.time) for track, values in zip(tracks, raw, strict=True)]
        return self._seen(faces, regions, tracks, smooth, heatmaps)

    def regions(self, image: np.ndarray, faces: list[Face]) -> list[Region]:
        """Return the square to be cut out for each face."""
        if isinstance(self.config.detector, NoDetector):
            return [whole(image)]
        crop = self.config.crop
        return [region(face, crop.margin, crop.shift, crop.rotate) for face in faces]

    def _look(self, image: np.ndarray, regions: list[Region]) -> tuple[np.ndarray, np.ndarray | None]:
        size = self.predictor.input_size
        crops = [cut(image, region, size) for region in regions]
        stacked = np.stack(crops) if crops else np.empty((0, size, size), np.uint8)
        explainer = self.config.explainer if self.heatmaps else "none"
        return self.predictor.look(stacked, explainer, self.config.heatmap.target)

    def _seen(
        self,
        faces: list[Face],
        regions: list[Region],
        tracks: Sequence[int | None],
        probabilities: Sequence[np.ndarray],
        heatmaps: np.ndarray | None,
    ) -> list[Seen]:
        seen = []
        for index, values in enumerate(probabilities):
            sure = values.max() >= self.config.not_sure
            emotion = self.predictor.classes[int(values.argmax())] if sure else NOT_SURE
            heatmap = None if heatmaps is None else heatmaps[index]
            seen.append(Seen(faces[index], regions[index], tracks[index], values, emotion, heatmap))
        return seen
