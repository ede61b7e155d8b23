"""Frames -> faces -> crops -> probabilities -> tracks -> explanation -> drawing -> files or a window; no training."""

import cv2  # noqa: F401  before PyAV, or opening a window hangs for good (two libxcb in one process)
