"""Facial-emotion classifiers: training on FER2013 and FER+, evaluation, and inference."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer.inference.predictor import Predictor

__all__ = ["Predictor", "__version__"]

# OpenMP's threads wait by spinning. On a machine that does anything else beside, they then mostly wait for each other:
# with two busy cores a training step took 4 to 6 times as long. Must be set before torch is imported; yours wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A picture's header can ask for gigabytes: 30 kB of PNG hold a billion equal pixels. A photo takes 7.5 bytes a pixel
# while it is drawn (1.4 GB in all for a phone's 108 megapixels; 2.0 GB for 200), 17 if it has transparency. OpenCV
# compares the header before it decodes; it asks for the bound when it is first imported; yours wins.
MOST_PIXELS = 2**27
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `Predictor` when it is first asked for: torch takes seconds, and not every command needs it."""
    if name != "Predictor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fer.inference.predictor import Predictor

    return Predictor
