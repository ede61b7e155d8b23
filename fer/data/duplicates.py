"""Faces that occur more than once, equal in every pixel or nearly, and faces that show nothing.

Two faces are nearly equal if small gray thumbnails of them correlate, which passes over another light, contrast or
compression. In FER2013, pairs at a correlation of 0.965 to 0.985 that were looked at are one photograph.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from fer.data.decoding import resize
from fer.data.table import Split

NEAR = 0.97  # correlation from which on two faces count as nearly equal
THUMBNAIL = 24  # pixels a side
BLANK = 5.0  # gray levels of deviation within an image, below which nothing is seen: in FER2013 faces begin at 9
BLOCK = 2048  # faces that are compared with as many others at a time: 16 MB of correlations


@dataclass(frozen=True)
class Twins:
    """For each face the nearest one in each split among those that are nearly, but not in every pixel, equal to it.

    Attributes:
        nearest: (N, 3) int64, the other face's place for each `Split`; -1 for none.
        likeness: (N, 3) float32, their correlation; 0 for none.
    """

    nearest: np.ndarray
    likeness: np.ndarray

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the pairs, (P, 2) int64 places in rising order, and the correlation of each, (P,)."""
        face, split = np.nonzero(self.nearest >= 0)
        both = np.sort(np.column_stack((face, self.nearest[face, split])), axis=1)
        pairs, chosen = np.unique(both, axis=0, return_index=True)
        return pairs, self.likeness[face, split][chosen]


def find_originals(images: np.ndarray, originals: np.ndarray, least: float = NEAR) -> tuple[np.ndarray, np.ndarray]:
    """Find for each image the other one of which it is a copy: equal in every pixel, or else the nearest.

    FER2013's 3,589 test faces and 28,709 training faces take 2 s of one core's time.

    Args:
        images: (N, H, H) uint8.
        originals: (M, H, H) uint8.
        least: correlation from which on two faces are nearly equal.

    Returns:
        (N,) int64 places among the originals, -1 for none; and (N,) float32, how alike the two are: infinitely if
        equal, otherwise their correlation, 0 for none.
    """
    known: dict[bytes, int] = {}
    for place, image in enumerate(originals):
        known.setdefault(image.tobytes(), place)
    places = np.array([known.get(image.tobytes(), -1) for image in images], np.int64)
    likeness = np.where(places >= 0, np.inf, 0).astype(np.float32)
    ours, theirs = _thumbnails(images), _thumbnails(originals)
    for row in range(0, len(ours), BLOCK):
        here = slice(row, row + BLOCK)
        for column in range(0, len(theirs), BLOCK):
            values = ours[here] @ theirs[column : column + BLOCK].T
            best = values.max(1)
            nearer = (best >= least) & (best > likeness[here])
            places[here][nearer] = values.argmax(1)[nearer] + column
            likeness[here][nearer] = best[nearer]
    return places, likeness


def first_equal(images: np.ndarray) -> np.ndarray:
    """Return for each of images (N, H, W) uint8 the place of the first that equals it in every pixel, (N,) int64."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(image.tobytes(), place) for place, image in enumerate(images)], np.int64)


def equal_groups(first: np.ndarray) -> list[np.ndarray]:
    """Return the places of each group of two equal images or more, of what `first_equal` returns."""
    order = np.argsort(first, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(first[order])) + 1)
    return [group for group in groups if len(group) > 1]


def equal_elsewhere(first: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Tell for each face whether another one of each split is equal to it: (N, 3) bool.

    Args:
        first: (N,) int64, as `first_equal` returns it.
        splits: (N,) uint8, values of `Split`.
    """
    faces = np.zeros((len(first), len(Split)), np.int64)
    np.add.at(faces, (first, splits), 1)
    others = faces[first]
    others[np.arange(len(first)), splits] -= 1  # itself
    return others > 0


def levels(images: np.ndarray) -> np.ndarray:
    """Return mean and standard deviation of the gray levels of each of images (N, H, W) uint8: (N, 2) float64."""
    found = np.empty((len(images), 2))
    for image, row in zip(images, found, strict=True):
        row[:] = np.ravel(cv2.meanStdDev(image))
    return found


def find_twins(images: np.ndarray, splits: np.ndarray, first: np.ndarray, least: float = NEAR) -> Twins:
    """Compare each face with all others; 35,887 of them take 13 s of one core's time.

    Args:
        images: (N, H, H) uint8.
        splits: (N,) uint8, values of `Split`.
        first: (N,) int64, as `first_equal` returns it.
        least: correlation from which on two faces are nearly equal.
    """
    nearest = np.full((len(images), len(Split)), -1, np.int64)
    likeness = np.zeros(nearest.shape, np.float32)
    for faces, others, values in _alike(_thumbnails(images), least):
        is_other = first[faces] != first[others]
        for face, other in ((faces[is_other], others[is_other]), (others[is_other], faces[is_other])):
            _keep_best(nearest, likeness, face, other, splits[other], values[is_other])
    return Twins(nearest, likeness)


def families(images: np.ndarray, least: float = NEAR) -> np.ndarray:
    """Tell which faces belong together, since a chain of equal or nearly equal ones links them.

    Args:
        images: (N, H, H) uint8.
        least: correlation from which on two faces are nearly equal.

    Returns:
        (N,) int64, numbers from 0 on that faces of one family share.
    """
    from scipy.sparse import coo_array  # late: only folds and suspects need it
    from scipy.sparse.csgraph import connected_components

    first = first_equal(images)
    links = [np.stack((np.arange(len(images)), first))]
    links += [np.stack((faces, others)) for faces, others, _ in _alike(_thumbnails(images), least)]
    one, other = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(len(images), len(images)))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """Return the gray levels of small copies, area-averaged, of mean 0 and length 1: (N, 576) float32; 0 if blank."""
    small = np.empty((len(images), THUMBNAIL**2), np.float32)
    for image, levels in zip(images, small, strict=True):
        levels[:] = resize(image, THUMBNAIL).ravel()
    small -= small.mean(1, keepdims=True)
    lengths = np.linalg.norm(small, axis=1, keepdims=True)
    return np.divide(small, lengths, out=np.zeros_like(small), where=lengths >= BLANK * THUMBNAIL)


def _alike(thumbnails: np.ndarray, least: float) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield places (K,), places (K,) and correlations (K,) of faces that are alike, block by block of all pairs."""
    starts = range(0, len(thumbnails), BLOCK)
    for row in starts:
        for column in starts[row // BLOCK :]:
            values = thumbnails[row : row + BLOCK] @ thumbnails[column : column + BLOCK].T
            faces, others = np.nonzero(values >= least)
            yield faces + row, others + column, values[faces, others]


def _keep_best(
    nearest: np.ndarray,
    likeness: np.ndarray,
    face: np.ndarray,
    other: np.ndarray,
    split: np.ndarray,
    values: np.ndarray,
) -> None:
    """Put those of the pairs that are nearer than what is known into `nearest` and `likeness`."""
    better = np.flatnonzero(values > likeness[face, split])
    better = better[np.argsort(values[better], kind="stable")]  # of several for one place, the last stays
    nearest[face[better], split[better]] = other[better]
    likeness[face[better], split[better]] = values[better]
