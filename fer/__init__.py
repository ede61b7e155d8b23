"""Facial-emotion classifiers: training on FER2013 and FER+, evaluation, and inference."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

import fer.alone  # noqa: F401 (first: it says what is wrong)

if TYPE_CHECKING:
    from fer.api import Run, evaluate, load_dataset, train
    from fer.inference.predictor import Predictor
    from fer.inference.recognition import Face, Recognition, to_pandas
    from fer.inference.recognizer import Recognizer

PLACES = {
    "Recognizer": "fer.inference.recognizer",
    **dict.fromkeys(("Face", "Recognition", "to_pandas"), "fer.inference.recognition"),
    "Predictor": "fer.inference.predictor",
    **dict.fromkeys(("Run", "evaluate", "load_dataset", "train"), "fer.api"),
}
__all__ = [  # noqa: RUF022 (what most begin with comes first)
    "Recognizer", "Recognition", "Face", "to_pandas", "Predictor", "train", "evaluate", "load_dataset", "Run",
    "__version__",
]  # fmt: skip

# OpenMP's threads wait by spinning. On a machine that does anything else beside, they then mostly wait for each other:
# with two busy cores a training step took 4 to 6 times as long. Must be set before torch is imported; yours wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A picture's header can ask for gigabytes: 31 kB of PNG hold 256 million equal pixels. A photo takes 7.5 bytes a pixel
# while it is drawn (1.4 GB in all for a phone's 108 megapixels; 2.0 GB for 200), 17 if it has transparency; large ones
# are drawn one at a time. Photos are
# asked one by one; OpenCV asks all pictures, at no cost, with the bound that is set when it is first imported.
MOST_PIXELS = 2**27
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))

# ONNX Runtime sends its maker a report of each use, unless this says otherwise before it is imported; yours wins.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"


def __dir__() -> list[str]:
    """Return the public names, those that are not imported yet too: for `dir(fer)` and the Tab key."""
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: OpenCV takes time, and not every command needs it."""
    if name == "FER":  # no AttributeError, of which `from fer import FER` would tell nothing
        raise ImportError("FER is a class of PyPI's package fer, which is another project: here it is Recognizer")
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(PLACES[name]), name)
