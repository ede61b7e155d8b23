"""Whole photos, clips and cameras from Python: what infer.py does, as objects."""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from fer.config.messages import sentences
from fer.errors import UserError
from fer.faces.detectors import IN_PYTHON, Detector, make_detector
from fer.inference.parallel import on_all_cores, one_large_at_a_time
from fer.inference.pipeline import Pipeline
from fer.inference.predictor import Predictor, pixels_of, require_no_address
from fer.inference.recognition import Recognition, make_face
from fer.inference.results import FaceResult, Frame
from fer.inference.schema import PipelineConfig, default_options
from fer.paths import is_onnx, resolve_weights

LOG = logging.getLogger("fer")
say_once = cache(LOG.warning)  # in a process, however many recognizers it loads
Source = Any  # a path, a Pillow image or an array; Recognizer.image says more


class Recognizer:
    """Finds the faces of photos, clips and cameras, and says what each expresses.

    Threads may share one. It prints nothing, opens no window and writes no file.

    Args:
        predictor: the net.
        detector: finds the faces.
        config: how faces are cut out, answered and explained.
        heatmaps: make them in the same pass; otherwise each when it is first read.

    Attributes:
        classes: the emotions that the net knows, in the order of the probabilities.
        predictor: the net, for faces that are cut out already.

    Examples:
        >>> import numpy as np
        >>> from fer import Recognizer
        >>> from fer.data.synthetic import draw_faces
        >>> recognizer = Recognizer.load("ferplus", detector="haar")
        >>> recognizer
        <Recognizer: angry, disgust, fear, happy, sad, surprise, neutral, contempt; detector haar>
        >>> faces, _ = draw_faces(6, size=160, seed=18)  # (6, 160, 160) uint8
        >>> photo = recognizer.image(np.hstack(faces[3:]))  # a path such as "party.jpg" does as well
        >>> photo
        <Recognition of photo: sad, surprise, happy>
        >>> [face.emotion for face in photo.faces]
        ['sad', 'surprise', 'happy']
        >>> [one.width for one in recognizer.images(faces)]
        [160, 160, 160, 160, 160, 160]
    """

    def __init__(self, predictor: Predictor, detector: Detector, config: PipelineConfig, heatmaps: bool) -> None:
        self.predictor, self.detector, self.config, self.heatmaps = predictor, detector, config, heatmaps
        self.classes = predictor.classes

    def __repr__(self) -> str:
        return f"<Recognizer: {', '.join(self.classes)}; detector {self.detector.name}>"

    @classmethod
    def load(
        cls,
        weights: str | os.PathLike[str] = "ferplus",
        *,
        detector: str = "auto",
        detector_model: str | os.PathLike[str] | None = None,
        explainer: str | None = None,
        layer: int | None = None,
        not_sure: float | None = None,
        smoothing: float | None = None,
        heatmaps: bool = False,
        device: str = "auto",
    ) -> "Recognizer":
        """Load a net and a detector. What is None is as conf/infer.yaml has it.

        Args:
            weights: the name of a net that comes with the project, "ferplus" or "fer2013", or a .onnx or .safetensors
                file.
            detector: "auto", "yunet", "haar", or "none": each picture is a face already. "auto" is YuNet if its model
                file is in the cache or beside the weights, else Haar, which the log says: nothing is downloaded.
            detector_model: YuNet's model file, if it lies elsewhere.
            explainer: "auto", "gatedcam", "gradcam" or "none"; of a .safetensors file also "gradcam++", "layercam" and
                "eigencam".
            layer: of a .safetensors file, which of the net's layers is explained, 1 for the finest maps.
            not_sure: least probability of an answer; faces below it have the emotion "not sure". None takes the weights
                file's, which was chosen on validation; 0 always answers.
            smoothing: seconds, time constant of each track's probabilities in a clip; 0 for none.
            heatmaps: make them in the same pass; otherwise each when it is first read.
            device: as for `Predictor.load`.

        Raises:
            UserError: if the file is missing, damaged or not one of ours, or a word is none of those.
        """
        options, asked = default_options(detector, explainer), {"not_sure": not_sure, "smoothing": smoothing}
        options |= {key: value for key, value in asked.items() if value is not None}
        if layer is not None:
            options["explainer"] = options["explainer"] | {"layer": layer}
        if detector_model is not None:
            options["detector"] = options["detector"] | {"model": os.fspath(detector_model)}
        try:
            config = PipelineConfig.model_validate(options)
        except ValidationError as error:
            raise UserError("; ".join(sentences(error, options))) from None
        # One: several photos, or steps of a clip, at once pay more. PyTorch's are the whole process's, and left alone.
        threads = 1 if is_onnx(resolve_weights(weights, ".onnx")) else None
        predictor = Predictor.load(weights, device, threads)
        if config.explainer.name != "none":
            predictor.require(config.explainer.name, config.explainer.layer)
        found = make_detector(config.detector, say_once, download=False, options=IN_PYTHON)
        return cls(predictor, found, config, heatmaps)

    def image(self, source: Source) -> Recognition:
        """Return what is seen in a photo.

        Args:
            source: a path, a Pillow image, or a uint8 array (H, W) gray or (H, W, 3) red-green-blue (OpenCV's
                blue-green-red is `image[..., ::-1]`).

        Returns:
            The picture, upright, with its faces from left to right.

        Raises:
            UserError: if it cannot be read, or is no image or an array of another kind.
        """
        try:
            picture = pixels_of(source)
        except ValueError as error:
            raise UserError(str(error)) from None
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=2)
        file = str(source) if isinstance(source, str | os.PathLike) else None
        with one_large_at_a_time(picture):
            return self._recognition(picture, self._pipeline().photo(picture), file=file)

    def images(self, sources: str | Iterable[Source]) -> Iterator[Recognition]:
        """Yield what is seen in many photos, in their order, a few of which are looked at ahead on all cores.

        Args:
            sources: a folder or a pattern such as "album/*.jpg", or any sources of `image`. A file that cannot be read
                comes with an `error`, and the others go on.

        Returns:
            A `Recognition` for each, made as it is asked for.

        Raises:
            UserError: if a folder or pattern holds no photo.
        """
        if isinstance(sources, str | os.PathLike):
            from fer.inference.io.images import find_photos

            require_no_address(sources)
            sources = find_photos(os.fspath(sources), key="").photos
        return on_all_cores(self._try, sources)

    def _try(self, source: Source) -> Recognition:
        try:
            return self.image(source)
        except UserError as error:
            file = str(source) if isinstance(source, str | os.PathLike) else None
            return Recognition((), 0, 0, file=file, error=str(error), classes=self.classes)

    def video(self, source: str | os.PathLike[str]) -> Iterator[Recognition]:
        """Yield what is seen in each frame of a clip, with or without faces, in constant memory.

        Args:
            source: the path of the file.

        Returns:
            A `Recognition` for each frame, with its `index`, its `time` in seconds and a `track` for each face; with an
            `error` if it cannot be decoded.

        Raises:
            UserError: at once, if it cannot be read.
        """
        from fer.inference.io.video_reader import VideoReader

        if not isinstance(source, str | os.PathLike):
            found = type(source).__name__
            raise UserError(f"expected the path of a clip, but got {found}: for a camera use recognizer.camera(0)")
        require_no_address(source)
        clip = VideoReader(Path(source).expanduser())
        return self._frames(clip, (clip.width, clip.height))

    def _frames(self, source: Any, size: tuple[int, int]) -> Iterator[Recognition]:
        from fer.inference.modes.video import seen_in

        with source, seen_in(source, size, self._pipeline()) as frames:
            for frame, seen in frames:
                yield self._of_frame(frame, seen)

    @contextmanager
    def camera(self, source: int | str = 0) -> Iterator[Iterator[Recognition]]:
        """Give, within a `with` block, what a camera or a stream shows, frame by frame; the block's end lets it go.

        So it is used as `with recognizer.camera(0) as frames:`, and `for frame in frames:` below that. Only the latest
        frame is looked at: what comes meanwhile is passed over, so that answers are never late.

        Args:
            source: the camera's number, or an address such as "rtsp://HOST/PATH".

        Raises:
            UserError: if there is no such camera or stream, or no picture comes.
        """
        from fer.inference.io.live import Live

        pipeline = self._pipeline()
        with Live(str(source), drop_stale=True, say=LOG.warning) as live:
            frames = (self._of_frame(frame, pipeline.look(frame, pipeline.find(frame))) for frame in live)
            with closing(frames):
                yield frames

    def _pipeline(self) -> Pipeline:
        """Return a pipeline that knows no face yet."""
        pipeline = Pipeline(self.config, self.predictor, self.detector)
        pipeline.heatmaps = self.heatmaps and self.config.explainer.name != "none"
        return pipeline

    def _of_frame(self, frame: Frame, seen: list[FaceResult]) -> Recognition:
        from fer.inference.io.records import UNREADABLE

        error = UNREADABLE if frame.image is None else None
        return self._recognition(frame.image, seen, index=frame.index, time=frame.time, error=error)

    def _recognition(self, picture: np.ndarray | None, seen: list[FaceResult], **place: Any) -> Recognition:
        faces = tuple(make_face(one, self.classes, self._explain) for one in seen)
        height, width = (0, 0) if picture is None else picture.shape[:2]
        return Recognition(faces, width, height, classes=self.classes, _picture=picture, **place)

    def _explain(self, crop: np.ndarray, emotion: str) -> np.ndarray:
        explainer = self.config.explainer
        if explainer.name == "none":
            raise UserError("expected an explainer for heatmaps, but got none: Recognizer.load(explainer='auto')")
        return self.predictor.explain(crop, emotion, explainer.name, explainer.layer)[0]
