"""A trained net for use from Python and in the pipeline: faces in, probabilities and heatmaps out."""

import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fer.config.messages import nearest
from fer.counting import counted
from fer.data.decoding import over_white, read_photo
from fer.emotions import class_name
from fer.errors import UserError
from fer.faces.crops import centre_square, cut
from fer.header import Header
from fer.inference.engines import Engine, load_engine, require_name
from fer.models.maps import finish
from fer.paths import is_address, redact_address

PHOTO = 1000  # pixels of a side; hardly a face is cut out as large
BATCH = 256  # faces in one forward pass, so that memory stays bounded

Image = Any  # a path, an array or a Pillow image; Predictor.predict says more


class Predictor:
    """A net of a weights file, its preprocessing and its calibration.

    Threads may share one, and so may spawned processes; in a forked one the libraries' own threads are missing, and it
    hangs.

    Args:
        engine: runs the net.
        header: what its weights file says about it.

    Attributes:
        classes: emotion names, in the order of the probabilities.
        input_size: side of the faces that the net looks at and of the heatmaps, in pixels.
        header: training data, metrics, normalisation and more, from the weights file.

    Examples:
        >>> from fer import Predictor
        >>> from fer.data.synthetic import draw_faces
        >>> predictor = Predictor.load("ferplus")
        >>> predictor.input_size, len(predictor.classes)
        (48, 8)
        >>> faces, _ = draw_faces(6, size=160, seed=18)  # (6, 160, 160) uint8
        >>> probabilities = predictor.predict(faces)  # paths, such as ["face.jpg"], do as well
        >>> probabilities.shape
        (6, 8)
        >>> [predictor.classes[best] for best in probabilities.argmax(1)[3:]]
        ['sad', 'surprise', 'happy']
        >>> predictor.explain(faces, "happy").shape
        (6, 48, 48)
    """

    def __init__(self, engine: Engine, header: Header) -> None:
        self.engine, self.header = engine, header
        self.classes, self.input_size = header.classes, header.input_size

    @property
    def device(self) -> Any:
        """Where the net runs: of an .onnx file "cpu", "cuda", "coreml" or "openvino", else a `torch.device`."""
        return self.engine.device

    def __repr__(self) -> str:
        emotions = f"{len(self.classes)} emotions ({', '.join(self.classes)})"
        return f"<Predictor: {emotions} on faces of {self.input_size} pixels, {self.device}>"

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: Any = "auto", threads: int | None = None) -> "Predictor":
        """Load a weights file, or an ONNX file of one: that needs no PyTorch, and answers sooner on CPUs.

        Args:
            path: a .onnx or .safetensors file that train.py or fer.export wrote, or the name of a net that comes with
                the project: "ferplus", "fer2013" (as .onnx).
            device: "cpu", "cuda" (or "cuda:1"), of .onnx also "coreml" and "openvino" where ONNX Runtime has them, of
                .safetensors "mps" or a `torch.device`; "auto" takes CUDA, else MPS, else the CPU.
            threads: on the CPU; None leaves them to the library. Those of PyTorch are the whole process's.

        Raises:
            UserError: if the file is missing, damaged or not one of ours, there is no such device, or PyTorch is needed
                and not installed.
        """
        return cls(*load_engine(path, device, threads))

    def predict(self, images: Image | Iterable[Image]) -> np.ndarray:
        """Return the probability of every emotion for each face.

        Args:
            images: one image or several, of any sizes: file paths, Pillow images, or uint8 arrays (H, W) gray or
                (H, W, 3) red-green-blue (OpenCV's blue-green-red is `image[..., ::-1]`); an array (N, H, W) or
                (N, H, W, 3) is a batch. Each is a face already: the square in its middle is taken, and resized as in
                training.

        Returns:
            (N, C) float32, each row of sum 1, in the order of `classes`; (0, C) for no images.

        Warns:
            UserWarning: of what looks like a whole photo, by its size and shape.

        Raises:
            UserError: for an image that cannot be read, or an array of another kind, by its number.
        """
        return self.look(self._faces(images))[0]

    def explain(
        self,
        images: Image | Iterable[Image],
        target: str | None = None,
        explainer: str = "auto",
        layer: int | None = None,
    ) -> np.ndarray:
        """Return where each face speaks for an emotion.

        Args:
            images: as for `predict`.
            target: an emotion; None for each face's most probable one.
            explainer: "gatedcam" or "gradcam"; of .safetensors also "gradcam++", "layercam" and "eigencam"; "auto" is
                gatedcam, or what an older .onnx file has.
            layer: of .safetensors, which of the net's layers is explained, 1 for the finest maps; None: its usual one.

        Returns:
            (N, S, S) float32 in [0, 1] over the square in each image's middle, S being `input_size`; all 0 where
            nothing speaks for the emotion.

        Raises:
            UserError: as for `predict`, and for an emotion that the net does not know or an unknown explainer.
        """
        self.require(explainer, layer)
        heatmaps = self.look(self._faces(images), explainer, target, layer=layer)[1]
        assert heatmaps is not None
        return heatmaps

    def require(self, explainer: str, layer: int | None = None) -> None:
        """Check that the net can be explained by this, in this layer.

        Raises:
            UserError: if it cannot, saying what can.
        """
        if explainer == "auto" and self.engine.explainers:
            explainer = self.engine.explainers[0]
        require_name("explainer", explainer, self.engine.explainers, self.engine.why_not)
        if layer is not None and not 1 <= layer <= self.engine.layers:
            raise UserError(f"explainer.layer={layer}: {self.engine.why_no_layer()}")

    def look(
        self,
        crops: np.ndarray,
        explainer: str = "none",
        target: str | None = None,
        settle: Callable[[np.ndarray], np.ndarray] | None = None,
        layer: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Answer and explain all faces of a frame in one pass.

        Args:
            crops: (N, S, S) uint8 gray, N from 0.
            explainer: as for `explain`, or "none".
            target: as for `explain`.
            settle: makes answers of probabilities (B, C), for some faces after the other, such as by smoothing over
                time; what is explained and returned are these.
            layer: as for `explain`.

        Returns:
            Probabilities (N, C) float32, and heatmaps (N, S, S) float32 in [0, 1], None without an explainer.

        Raises:
            UserError: for an emotion that the net does not know or an unknown explainer, and if the net's numbers are
                so large that no answers follow from them.
        """
        if explainer != "none":
            self.require(explainer, layer)
            explainer = self.engine.explainers[0] if explainer == "auto" else explainer
        chosen = None if target is None else self._label(target)
        probabilities = np.empty((len(crops), len(self.classes)), np.float32)
        heatmaps = None if explainer == "none" else np.empty((len(crops), *[self.input_size] * 2), np.float32)
        for start in range(0, len(crops), BATCH):
            part = slice(start, start + BATCH)
            if heatmaps is None:
                answers = self.engine.probabilities(crops[part])  # (B, C)
            else:
                answers, maps = self.engine.with_maps(crops[part], explainer, layer)
            _require_finite(answers)
            probabilities[part] = answers = settle(answers) if settle else answers
            if heatmaps is not None:
                labels = answers.argmax(1) if chosen is None else np.full(len(answers), chosen)
                heatmaps[part] = finish(maps(labels), self.input_size)
                _require_finite(heatmaps[part])
        return probabilities, heatmaps

    def _label(self, target: str) -> int:
        """Return the number of the class that a name means."""
        name = class_name(str(target))
        if name not in self.classes:
            expected = f"expected one of {', '.join(self.classes)}{nearest(name, self.classes)}"
            raise UserError(f"target={name}: {expected}")
        return self.classes.index(name)

    def _faces(self, images: Image | Iterable[Image]) -> np.ndarray:
        """Return images as (N, S, S) uint8 gray."""
        faces, photos = [], []
        for number, image in enumerate(_one_by_one(images)):
            try:
                pixels = pixels_of(image)
            except ValueError as error:
                raise UserError(f"images[{number}]: {error}") from None
            faces.append(cut(pixels, centre_square(pixels), self.input_size))
            photos += [(number, pixels.shape)] if _is_photo(*pixels.shape[:2]) else []
        if photos:
            number, (height, width, *_) = photos[0]
            warnings.warn(
                f"images[{number}]: expected a face that is cut out already, but {width}x{height} pixels look like a "
                f"whole photo, of which the square in the middle was taken ({counted(len(photos), 'such image')}): cut "
                "the faces out by infer.py mode=crop, or give infer.py the photo",
                stacklevel=3,
            )
        return np.stack(faces) if faces else np.empty((0, self.input_size, self.input_size), np.uint8)


def _is_photo(height: int, width: int) -> bool:
    short, long = sorted((height, width))
    return short >= PHOTO or (long >= PHOTO / 3 and long > 1.25 * short)


def _require_finite(answers: np.ndarray) -> None:
    """Raise a UserError unless all probabilities or heatmaps are numbers."""
    if not np.isfinite(answers).all():
        raise UserError(
            "weights: expected a net whose answers are numbers, but some of this one's are NaN, as its weights are too "
            "large: train again, or take another file"
        )


def _one_by_one(images: Image | Iterable[Image]) -> Iterable[Image]:
    is_file = isinstance(images, str | bytes | os.PathLike) or hasattr(images, "read")
    if is_file or _is_pillow(images) or not isinstance(images, Iterable):
        return [images]
    if hasattr(images, "__array__"):
        images = np.asarray(images)
        if images.ndim == 2 or (images.ndim == 3 and images.shape[2] <= 4):  # four: to be refused as one image
            return [images]
    return images


def pixels_of(image: Image) -> np.ndarray:
    """Return an image as (H, W) gray or (H, W, 3) blue-green-red, uint8.

    Raises:
        UserError: for a file that cannot be read.
        ValueError: for an array of another kind or no image, saying what was expected and what was found.
    """
    if isinstance(image, str | os.PathLike):
        require_no_address(image)
        return read_photo(Path(image).expanduser())
    if _is_pillow(image) and image.mode[0] not in "IF":  # Pillow would clip 16 and 32 bits
        return over_white(image)
    if not (_is_pillow(image) or hasattr(image, "__array__")):
        found = "None (cv2.imread gives None for a file that it cannot read)" if image is None else type(image).__name__
        raise ValueError(f"expected a path, a Pillow image or an array, but got {found}")
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise ValueError(
            f"expected uint8 values from 0 to 255, but got {array.dtype}: convert, values from 0 to 1 by "
            "(255 * image).round().astype(np.uint8)"
        )
    if array.size == 0 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3)):
        hint = ": leave the alpha channel out, image[..., :3]" if array.ndim == 3 and array.shape[2] == 4 else ""
        raise ValueError(f"expected an image (H, W) or (H, W, 3), but got one of shape {array.shape}{hint}")
    return cv2.cvtColor(array, cv2.COLOR_RGB2BGR) if array.shape[2:] == (3,) else array.reshape(array.shape[:2])


def require_no_address(file: str | os.PathLike[str]) -> None:
    """Check that a file is meant, as a path would lose a slash of an address.

    Raises:
        UserError: if it is an address.
    """
    if is_address(str(file)):
        raise UserError(
            f"{redact_address(str(file))}: expected a file, but got an address: download it first; a stream is for "
            "Recognizer.camera"
        )


def _is_pillow(image: Image) -> bool:
    return hasattr(image, "convert") and hasattr(image, "mode")  # without its import
