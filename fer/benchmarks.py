"""What the benchmark commands share."""

import os
import platform
from importlib.metadata import version

import numpy as np


def spread(values: np.ndarray) -> str:
    """Return the median of values (N,) with the lowest and the highest."""
    return f"{np.median(values):5.2f} ({values.min():.2f} to {values.max():.2f})"


def machine() -> str:
    """Return the machine and the versions that a figure depends on."""
    names = ("torch", "lightning", "albumentations", "onnxruntime", "opencv-python", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"{where}; Python {platform.python_version()}, {versions}"
