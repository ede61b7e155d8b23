"""Where the faces of a picture are: by YuNet, by Haar features, or the whole picture.

YuNet is a small network, `fer.faces.yunet`; its model file is not part of this project: it is looked for, and fetched
once if it is nowhere. Haar features (Viola and Jones 2001; Lienhart et al. 2003)
come with OpenCV and find fewer faces. Boxes of both mean the same: chin to middle of the forehead, without the ears.

To add one: a file in conf/detector, its section in `fer.faces.schema`, a class here and its line in `DETECTORS`.
"""

import contextlib
import errno
import hashlib
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import cv2
import numpy as np

from fer.atomic import atomic_file
from fer.data import cache
from fer.download import read_url, why
from fer.errors import UserError
from fer.faces.detection import Detection
from fer.faces.schema import DetectorConfig, Haar, NoDetector, Section, YuNet
from fer.faces.yunet import YuNetModel
from fer.paths import WEIGHTS, command

MODEL = "face_detection_yunet_2026may.onnx"
URL = f"https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/{MODEL}"
SHA256 = "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"
TIMEOUT = 5  # seconds without an answer
MOST_BYTES = 10_000_000  # the model has 229,738; whatever has more is not it

TALLEST = 4  # times the working width; bounds the memory for a picture that is a long strip

# Of 100 sure faces in clips and photos alt2 found 67 with 2 false ones, alt 65 with 2, default 66 with 15.
CASCADE = "haarcascade_frontalface_alt2.xml"
STEP = 1.1  # from one size that is searched to the next
NEIGHBOURS = 4  # detections in one place that make a face
# Haar's square beside YuNet's box of the same face, medians on FER2013 framed as in `fer.evaluation.crop_margins` (373)
# and on clips and photos (n = 116): side over height 0.93 and 0.885; YuNet's middle lies lower by 0.024 and 0.004
# heights; its width is 0.78 and 0.74 heights. What lies between makes margin and shift on FER2013 alike for both.
HAAR_SIDE = 0.92
HAAR_DOWN = 0.02
HAAR_WIDTH = 0.76

Say = Callable[[str], None]
Options = tuple[str, str]  # by which the user chooses the detector, and names YuNet's model file
IN_CONF: Options = ("detector", "detector.model")
IN_COMMANDS: Options = ("--detector", "--model")
IN_PYTHON: Options = ("detector", "detector_model")


class Detector(Protocol):
    """Finds the faces of a picture; threads may share it.

    Attributes:
        name: of its option in conf/detector.
        min_size: least longer side of a face's box, in pixels of the picture.
        width: wider pictures are searched at this width.
    """

    name: str
    min_size: int
    width: int

    def find(self, image: np.ndarray, share: float | None = None) -> list[Detection]:
        """Return the faces of an image (H, W, 3) uint8, blue-green-red.

        Args:
            image: the picture.
            share: of its size at which it is searched; None takes the one that the working width means.
        """
        ...


class WholeImage:
    """Takes each picture for a face; `fer.faces.search` knows that there is nothing to search."""

    name = "none"
    min_size = width = 1

    def find(self, image: np.ndarray, share: float | None = None) -> list[Detection]:
        """Return one face that fills the image."""
        height, width = image.shape[:2]
        return [Detection((0.0, 0.0, float(width), float(height)), 1.0)]


class YuNetDetector:
    """YuNet, through ONNX Runtime.

    Args:
        model: content of the ONNX file.
        source: its key and name, for the error.
        score: least score of a face.
        min_size: least longer side of a face's box, in pixels of the picture.
        width: wider pictures are searched at this width.

    Raises:
        UserError: if it is another model.
    """

    name = "yunet"

    def __init__(self, model: bytes, source: str, score: float, min_size: int, width: int) -> None:
        self.min_size, self.width = min_size, width
        try:
            self.model = YuNetModel(model, score)
        except ValueError as error:
            raise UserError(
                f"{source}: expected the face detector YuNet as an ONNX file, but ONNX Runtime cannot use it "
                f"({' '.join(str(error).split())}); take the one from {URL}"
            ) from None

    def find(self, image: np.ndarray, share: float | None = None) -> list[Detection]:
        """Return the faces of an image (H, W, 3) uint8 by falling score, with landmarks."""
        small, scale = shrink(image, share or working_share(image, self.width))
        faces = []
        for row in self.model.detect(small):
            x, y, width, height = (row[:4].reshape(2, 2) * scale).ravel().tolist()
            landmarks = row[4:14].reshape(5, 2) * scale
            faces.append(Detection((x, y, width, height), float(row[14]), landmarks.astype(np.float32)))
        return [face for face in faces if max(face.box[2:]) >= self.min_size]


class HaarDetector:
    """A Haar cascade, through OpenCV, for upright frontal faces.

    A face's score is n / (n + 1) for the n detections that agree on it: it only ranks. Of the faces with 4 to 6, 86 %
    were right on clips and photos, of those with more all (n = 69).

    Args:
        min_size: least longer side of a face's box, in pixels of the picture.
        width: wider pictures are searched at this width.
    """

    name = "haar"

    def __init__(self, min_size: int, width: int) -> None:
        self.min_size, self.width = min_size, width
        text = Path(cv2.data.haarcascades, CASCADE).read_text()  # OpenCV cannot open every path itself
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        self.lock = Lock()  # a cascade keeps the sizes of the picture that it searches
        self.cascade = cv2.CascadeClassifier()
        self.cascade.read(storage.getFirstTopLevelNode())

    def find(self, image: np.ndarray, share: float | None = None) -> list[Detection]:
        """Return the faces of an image (H, W, 3) uint8 by falling score, without landmarks."""
        small, scale = shrink(image, share or working_share(image, self.width))
        least = int(HAAR_SIDE * self.min_size / scale.max())
        gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        with self.lock:
            squares, counts = self.cascade.detectMultiScale2(gray, STEP, NEIGHBOURS, minSize=(least, least))
        faces = [_from_haar(square, count, scale) for square, count in zip(squares, counts, strict=True)]
        faces.sort(key=lambda face: (-face.score, face.box))  # OpenCV's threads find them in any order
        return [face for face in faces if max(face.box[2:]) >= self.min_size]


def _yunet_or_haar(config: YuNet, say: Say, download: bool, options: Options) -> YuNetDetector | HaarDetector:
    kind, file = options
    try:
        source, model = find_model(config.model, file, say, download)
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home folder
        reason = f"model could not be downloaded ({why(error)})"
        cure = f"download {URL} and add {file}=FILE"
        if not download:
            reason = f"model is not in {cache.folder()}"
            cure = f"run {command('infer')} input=PHOTO once, which fetches it, or put {URL} there, or name it by "
            cure += f"{file}="
        if config.name == "yunet":
            raise UserError(
                f"{kind}=yunet: expected the face detector YuNet, but its {reason}: {cure}, or use {kind}=haar"
            ) from error
        say(f"Finding faces with Haar, which misses more, as YuNet's {reason}: {cure}")
        return HaarDetector(config.min_size, config.width)
    return YuNetDetector(model, source, config.score, config.min_size, config.width)


DETECTORS: dict[type[Section], Callable[[Any, Say, bool, Options], Detector]] = {
    YuNet: _yunet_or_haar,
    Haar: lambda config, *_: HaarDetector(config.min_size, config.width),
    NoDetector: lambda *_: WholeImage(),
}


def make_detector(config: DetectorConfig, say: Say, download: bool = True, options: Options = IN_CONF) -> Detector:
    """Return the detector that a configuration asks for.

    Args:
        config: one option of conf/detector.
        say: gets a sentence when the model is fetched, and when `auto` has to do with Haar.
        download: fetch YuNet's model where it is nowhere; otherwise that is as if it could not be fetched.
        options: by which the user chooses the detector and names its model file, for the sentences.

    Raises:
        UserError: if the model file is missing or not YuNet's, or cannot be fetched for detector=yunet.
    """
    return DETECTORS[type(config)](config, say, download, options)


def working_share(image: np.ndarray, width: int) -> float:
    """Return the share of its size, at most 1, at which an image (H, W, 3) is `width` wide."""
    return min(1, width / image.shape[1], TALLEST * width / image.shape[0])


def shrink(image: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Make an image (H, W, 3) smaller, by area averaging.

    Returns:
        The image, and (2,) float: pixels of the original per pixel of it, along x and y.
    """
    if share == 1:
        return image, np.ones(2)
    size = np.array(image.shape[1::-1])
    wanted = np.maximum(np.rint(size * share), 1).astype(int)
    return cv2.resize(image, wanted.tolist(), interpolation=cv2.INTER_AREA), size / wanted


def _from_haar(square: np.ndarray, count: int, scale: np.ndarray) -> Detection:
    """Return Haar's square (4,) as the box that YuNet would have given, in pixels of the picture."""
    middle = square[:2] + square[2:] / 2
    height = square[3] / HAAR_SIDE
    size = np.array((HAAR_WIDTH * height, height))
    corner = middle - size / 2 + (0, HAAR_DOWN * height)
    return Detection((*(corner * scale).tolist(), *(size * scale).tolist()), float(count / (count + 1)))


def find_model(given: Path | None, key: str, say: Say, download: bool = True) -> tuple[str, bytes]:
    """Return where YuNet's model file lies, and its content.

    Args:
        given: the file that the user named by `key`; None looks in the weights folder and the cache.
        key: of a configuration or a command.
        say: gets a sentence when it is fetched.
        download: fetch it where it is nowhere.

    Raises:
        UserError: if the file that was named cannot be read.
        OSError, RuntimeError: if it is nowhere and does not come.
    """
    return _given(given, key) if given else _found(say, download)


def _given(path: Path, key: str) -> tuple[str, bytes]:
    """Read the model file that the user named."""
    source = f"{key}={path}"
    try:
        return source, path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{source}: expected the face detector YuNet as an ONNX file, but it cannot be read ({error.strerror}); "
            f"take the one from {URL}"
        ) from None


def _found(say: Say, download: bool) -> tuple[str, bytes]:
    """Read the model from the weights folder or the cache, or fetch it into the cache.

    Raises:
        OSError, RuntimeError: if it is nowhere.
    """
    if (own := WEIGHTS / MODEL).is_file():
        return str(own), own.read_bytes()
    target = cache.folder() / MODEL
    with contextlib.suppress(OSError):
        if _is_genuine(model := target.read_bytes()):
            return str(target), model
    if not download:
        raise FileNotFoundError(errno.ENOENT, "downloads are off")
    say(f"Fetching the face detector YuNet (230 kB, licence MIT) from {URL} to {target}")
    model = _fetch()
    with contextlib.suppress(OSError):  # without it the next start fetches again
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target, "wb") as file:
            file.write(model)
    return URL, model


def _fetch() -> bytes:
    """Fetch the model.

    Raises:
        OSError: if it does not come, or something else does.
    """
    model = read_url(URL, MOST_BYTES, TIMEOUT)
    if not _is_genuine(model):
        raise OSError(f"what came from {URL} has another checksum")
    return model


def _is_genuine(model: bytes) -> bool:
    return hashlib.sha256(model).hexdigest() == SHA256
