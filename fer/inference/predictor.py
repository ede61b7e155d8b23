"""A trained net for use from Python and in the pipeline: faces in, probabilities and heatmaps out."""

import os
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from fer.config.messages import nearest
from fer.counting import counted
from fer.data.decoding import over_white, read_photo
from fer.emotions import class_name
from fer.errors import UserError
from fer.faces.crops import centre_square, cut
from fer.models.cam import EXPLAINERS, explain, finish
from fer.models.inputs import normalise
from fer.weights import Header, load_net

PHOTO = 1000  # pixels of a side; hardly a face is cut out as large
BATCH = 256  # faces in one forward pass, so that memory stays bounded
DEVICES = ("auto", "cpu", "cuda", "mps")

Image = Any  # a path, an array or a Pillow image; Predictor.predict says more


class Predictor:
    """A net of a weights file, its preprocessing and its calibration.

    Threads may share one, and so may spawned processes; in a forked one torch's own threads are missing, and it hangs.

    Args:
        net: in eval mode; becomes the predictor's own.
        header: what its weights file says about it.
        device: where it runs.

    Attributes:
        classes: emotion names, in the order of the probabilities.
        input_size: side of the faces that the net looks at and of the heatmaps, in pixels.
        header: training data, metrics, normalisation and more, from the weights file.
        device: where the net runs.
    """

    def __init__(self, net: nn.Module, header: Header, device: torch.device) -> None:
        # On CPUs channels_last saves most where it counts: on one thread a single face takes 3.4 ms instead of 6.1
        # (batches of 2 to 16 up to 15 % longer), on two threads batches of 1 to 16 take 15 to 20 % less.
        layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
        self.net = net.requires_grad_(False).to(device, memory_format=layout)
        self.header, self.device = header, device
        self.classes, self.input_size = header.classes, header.input_size

    def __repr__(self) -> str:
        emotions = f"{len(self.classes)} emotions ({', '.join(self.classes)})"
        return f"<Predictor: {emotions} on faces of {self.input_size} pixels, {self.device}>"

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str | torch.device = "auto") -> "Predictor":
        """Load a weights file.

        Args:
            path: a .safetensors file that train.py wrote, or the name of a net that comes with the project: "ferplus",
                "fer2013".
            device: "cpu", "cuda" (or "cuda:1"), "mps"; "auto" takes CUDA, else MPS, else the CPU.

        Raises:
            UserError: if the file is missing, damaged or not one of ours, or there is no such device.
        """
        with torch.inference_mode(False):  # tensors born in that mode have no gradients, which explainers need
            net, header = load_net(Path(path))
            return cls(net, header, _device(device))

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
        self, images: Image | Iterable[Image], target: str | None = None, explainer: str = "gradcam"
    ) -> np.ndarray:
        """Return where each face speaks for an emotion.

        Args:
            images: as for `predict`.
            target: an emotion; None for each face's most probable one.
            explainer: "gradcam", "gradcam++", "layercam" or "eigencam".

        Returns:
            (N, S, S) float32 in [0, 1] over the square in each image's middle, S being `input_size`; all 0 where
            nothing speaks for the emotion.

        Raises:
            UserError: as for `predict`, and for an emotion that the net does not know or an unknown explainer.
        """
        _check("explainer", explainer, EXPLAINERS)
        heatmaps = self.look(self._faces(images), explainer, target)[1]
        assert heatmaps is not None
        return heatmaps

    @torch.inference_mode()
    def look(
        self,
        crops: np.ndarray,
        explainer: str = "none",
        target: str | None = None,
        settle: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Answer and explain all faces of a frame in one pass.

        Args:
            crops: (N, S, S) uint8 gray, N from 0.
            explainer: as for `explain`, or "none".
            target: as for `explain`.
            settle: makes answers of probabilities (B, C), for some faces after the other, such as by smoothing over
                time; what is explained and returned are these.

        Returns:
            Probabilities (N, C) float32, and heatmaps (N, S, S) float32 in [0, 1], None without an explainer.

        Raises:
            UserError: for an emotion that the net does not know or an unknown explainer, and if the net's numbers are
                so large that no answers follow from them.
        """
        _check("explainer", explainer, (*EXPLAINERS, "none"))
        chosen = None if target is None else self._label(target)
        probabilities = np.empty((len(crops), len(self.classes)), np.float32)
        heatmaps = None if explainer == "none" else np.empty((len(crops), *[self.input_size] * 2), np.float32)
        for start in range(0, len(crops), BATCH):
            part = slice(start, start + BATCH)
            faces = torch.tensor(crops[part]).to(self.device)
            features = self.net.forward_features(normalise(faces, self.header.mean, self.header.std))
            logits = self.net.forward_head(features)  # (B, C)
            answers = (logits / self.header.temperature).softmax(1).cpu().numpy()
            _require_finite(answers)
            probabilities[part] = answers = settle(answers) if settle else answers
            if heatmaps is not None:
                labels = torch.from_numpy(answers.argmax(1)).to(self.device)
                if chosen is not None:
                    labels = torch.full_like(labels, chosen)
                heatmaps[part] = finish(explain(explainer, self.net, features, labels), self.input_size)
                _require_finite(heatmaps[part])
        return probabilities, heatmaps

    def _label(self, target: str) -> int:
        """Return the number of the class that a name means."""
        name = class_name(str(target))
        _check("target", name, self.classes)
        return self.classes.index(name)

    def _faces(self, images: Image | Iterable[Image]) -> np.ndarray:
        """Return images as (N, S, S) uint8 gray."""
        faces, photos = [], []
        for number, image in enumerate(_one_by_one(images)):
            try:
                pixels = _pixels(image)
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
    if isinstance(images, str | os.PathLike) or _is_pillow(images):
        return [images]
    if hasattr(images, "__array__"):
        images = np.asarray(images)
        if images.ndim == 2 or (images.ndim == 3 and images.shape[2] <= 4):  # four: to be refused as one image
            return [images]
    return images


def _pixels(image: Image) -> np.ndarray:
    """Return an image as (H, W) gray or (H, W, 3) blue-green-red, uint8.

    Raises:
        UserError: for a file that cannot be read.
        ValueError: for an array of another kind, saying what was expected and what was found.
    """
    if isinstance(image, str | os.PathLike):
        return read_photo(Path(image).expanduser())
    if _is_pillow(image) and image.mode[0] not in "IF":  # Pillow would clip 16 and 32 bits
        return over_white(image)
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


def _is_pillow(image: Image) -> bool:
    return hasattr(image, "convert") and hasattr(image, "mode")  # without its import


def _device(name: str | torch.device) -> torch.device:
    """Return a device that works.

    Raises:
        UserError: if there is none of that name.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    _check("device", str(name).partition(":")[0], DEVICES)
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"device={name}: expected a device that torch can use here, but it cannot ({reason}): use device=auto"
        ) from None
    return device


def _check(key: str, value: str, known: tuple[str, ...]) -> None:
    """Raise a UserError with the nearest name unless `value` is known."""
    if value not in known:
        raise UserError(f"{key}={value}: expected one of {', '.join(known)}{nearest(str(value), known)}")
