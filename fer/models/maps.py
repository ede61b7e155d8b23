"""From maps to heatmaps, without torch: every engine's maps are scaled and enlarged here."""

import cv2
import numpy as np

EPSILON = 1e-7  # the grad-cam package's: a map of zeros stays one


def finish(maps: np.ndarray, size: int) -> np.ndarray:
    """Bring maps (B, h, w) to (B, size, size) float32 in [0, 1], each scaled to its own range; B at least 1.

    In the package's order: cut off what is negative, scale, enlarge, scale. A map without a positive value is all 0.
    """
    maps = _scaled(np.maximum(maps, 0, dtype=np.float32))
    return _scaled(np.stack([cv2.resize(one, (size, size), interpolation=cv2.INTER_LINEAR) for one in maps]))


def _scaled(maps: np.ndarray) -> np.ndarray:
    maps = maps - maps.min((1, 2), keepdims=True)
    return maps / (EPSILON + maps.max((1, 2), keepdims=True))
