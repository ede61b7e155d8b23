"""FER2013's official split, told by what is in an image instead of by its name or folder.

People have the data set in dozens of copies: folders, numbers, tables, other splits. `official.safetensors` beside this
file has, for each of the 35,887 rows of the challenge's CSV, a hash of its 2,304 pixels, a signature that survives
compression and enlarging, its emotion and its split: no images. It was written by

    python -m fer.data.official DIR

of a folder with the CSV as published. The data set repeats 1,855 images, some of them in two splits or with two labels:
so the rows are a multiset, and each is given to one image of a copy only.
"""

import argparse
import hashlib
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from fer.atomic import whole_file
from fer.data.table import Split
from fer.errors import UserError, ending

PATH = Path(__file__).with_suffix(".safetensors")
SIDE = 48  # pixels
CODES = 7  # emotions, in the order of `fer.emotions.EMOTIONS`
HASH, BITS = 5, 56  # bytes of a hash; bits of a signature
# A signature's bits that may differ. Tried with 2,000 images: of JPEG at quality 75 differ 3 at most, at quality 30 6,
# of enlarged and sharpened ones 5; the nearest stranger differs in 10 (median).
NEAR = 6
CLEAR = 0.7  # of the images of one number that have one label; twins with two labels are few
BLOCK = 2000  # images compared at once
UNKNOWN = 255  # the split, or the emotion, of an image of which its copy does not say it


@dataclass(frozen=True)
class Official:
    """What is known of the challenge's images, in the order of its CSV.

    Attributes:
        hashes: (N, 5) uint8, of all pixels.
        signatures: (N, 7) uint8, 56 bits.
        emotions: (N,) uint8, codes 0 to 6.
        splits: (N,) uint8, values of `Split`.
    """

    hashes: np.ndarray
    signatures: np.ndarray
    emotions: np.ndarray
    splits: np.ndarray

    def counts(self) -> tuple[int, ...]:
        """Return the number of images of train, val and test."""
        return tuple(np.bincount(self.splits, minlength=len(Split)).tolist())


@lru_cache(maxsize=1)
def official() -> Official:
    """Return what is known of the challenge's images."""
    with safe_open(PATH, framework="numpy") as file:
        hashes, signatures, codes = (file.get_tensor(name) for name in ("hashes", "signatures", "codes"))
    return Official(hashes, signatures, codes % CODES, codes // CODES)


def make_official(images: np.ndarray, emotions: np.ndarray, splits: np.ndarray) -> Official:
    """Return what there is to know of images (N, 48, 48) uint8 with emotion codes (N,) and splits (N,)."""
    return Official(hashes(images), signatures(images), emotions.astype(np.uint8), splits.astype(np.uint8))


def hashes(images: np.ndarray) -> np.ndarray:
    """Return (N, 5) uint8: hashes of images (N, 48, 48) uint8."""
    found = b"".join(hashlib.blake2b(image, digest_size=HASH).digest() for image in np.ascontiguousarray(images))
    return np.frombuffer(found, np.uint8).reshape(-1, HASH)


def signatures(images: np.ndarray) -> np.ndarray:
    """Return (N, 7) uint8: the signs of the 56 lowest coefficients of a cosine transform of images (N, 48, 48) uint8.

    Brightness and contrast change none of them, compression and enlarging few.
    """
    place, order = np.arange(SIDE) + 0.5, np.arange(SIDE)
    waves = np.cos(np.pi / SIDE * np.outer(order, place))  # (frequency, pixel)
    lowest = sorted(np.ndindex(12, 12), key=lambda pair: (pair[0] ** 2 + pair[1] ** 2, pair))[1 : BITS + 1]
    basis = np.stack([np.outer(waves[i], waves[j]).ravel() for i, j in lowest], 1).astype(np.float32)  # (2304, 56)
    flat = images.reshape(len(images), SIDE * SIDE)
    signs = [flat[i : i + BLOCK].astype(np.float32) @ basis > 0 for i in range(0, len(flat), BLOCK)]
    return np.packbits(np.concatenate(signs), axis=1) if signs else np.empty((0, BITS // 8), np.uint8)


def match(images: np.ndarray, emotions: np.ndarray | None = None, splits: np.ndarray | None = None) -> np.ndarray:
    """Tell which row of the challenge's CSV each image of a copy is.

    An image that is equal in every pixel comes first, else the nearest one. Where several rows are as near, the one
    with the emotion and the split that the copy gives is taken.

    Args:
        images: (N, 48, 48) uint8.
        emotions: (N,) codes, `UNKNOWN` where the copy tells none.
        splits: (N,) values of `Split`, `UNKNOWN` where the copy tells none.

    Returns:
        (N,) int64, -1 for an image that is none of FER2013's, or one more of what it has.
    """
    known, mine = official(), hashes(images)
    if mine.shape == known.hashes.shape and (mine == known.hashes).all():
        return np.arange(len(mine))
    none = np.full(len(images), UNKNOWN)
    wanted = np.stack((none if splits is None else splits, none if emotions is None else emotions), 1)
    free = _Free(known)
    rows = free.take([hash_.tobytes() for hash_ in mine], wanted)
    left = np.flatnonzero((rows < 0) & ~np.isin(_whole(mine), _whole(known.hashes)))
    signs = signatures(images[left])
    while len(left):  # of twins the first takes the nearer row, the other comes again
        there = free.left()
        near = _nearest(signs, known.signatures[there])
        rows[left] = free.take([known.hashes[there[i]].tobytes() if i >= 0 else None for i in near], wanted[left])
        again = (rows[left] < 0) & (near >= 0)
        left, signs = left[again], signs[again]
    return rows


def _whole(found: np.ndarray) -> np.ndarray:
    """Return hashes (N, 5) uint8 as one integer each."""
    return found.astype(np.int64) @ (256 ** np.arange(HASH))


class _Free:
    """The rows that no image has been given yet, by their hash."""

    def __init__(self, known: Official) -> None:
        self.known = known
        self.rows: dict[bytes, deque[int]] = defaultdict(deque)
        for row, hash_ in enumerate(known.hashes):
            self.rows[hash_.tobytes()].append(row)

    def take(self, wanted: list[bytes | None], words: np.ndarray) -> np.ndarray:
        """Give each wanted hash a row: first to those whose words (N, 2), split and emotion, are the row's.

        An emotion weighs more than a split, which others have dealt anew more often.
        """
        rows = np.full(len(wanted), -1)
        for agreeing in (3, 2, 1, 0):
            for i in np.flatnonzero(rows < 0):
                there = self.rows.get(wanted[i]) if wanted[i] else None
                if there and (found := self._best(there, words[i], agreeing)) is not None:
                    there.remove(found)
                    rows[i] = found
        return rows

    def left(self) -> np.ndarray:
        """Return the rows that are free, in order."""
        return np.sort(np.fromiter(chain.from_iterable(self.rows.values()), np.int64))

    def _best(self, rows: deque[int], words: np.ndarray, agreeing: int) -> int | None:
        """Return the first row that agrees with the words that much: 1 by the split, 2 by the emotion, 3 by both."""
        split, emotion = words
        for row in rows:
            if int(self.known.splits[row] == split) + 2 * int(self.known.emotions[row] == emotion) >= agreeing:
                return row
        return None


def _nearest(mine: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the place in `known` of the nearest of signatures (N, 7), (N,) int64; -1 where none is near."""
    signs = [np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1 for packed in (mine, known)]
    found = np.full(len(mine), -1)
    for i in range(0, len(mine) if len(known) else 0, BLOCK):
        likeness = signs[0][i : i + BLOCK] @ signs[1].T  # BITS less twice the bits that differ
        best = likeness.argmax(1)
        enough = likeness[np.arange(len(best)), best] >= BITS - 2 * NEAR
        found[i : i + BLOCK] = np.where(enough, best, -1)
    return found


def label_order(labels: np.ndarray, rows: np.ndarray) -> dict[int, int] | None:
    """Return which emotion's code each of a copy's own label numbers stands for, as the official labels tell.

    Args:
        labels: (N,) numbers.
        rows: (N,) of `match`.

    Returns:
        None if they do not tell it clearly.
    """
    codes, order = official().emotions, {}
    for number in np.unique(labels).tolist():
        found = Counter(codes[rows[(labels == number) & (rows >= 0)]].tolist())
        if not found or (best := found.most_common(1)[0])[1] < CLEAR * found.total():
            return None
        order[number] = best[0]
    return order if len(set(order.values())) == len(order) else None


def write(folder: Path) -> str:
    """Write official.safetensors from the challenge's CSV in a folder, and say what it has.

    Raises:
        UserError: if there is no such file.
    """
    from fer.data.bad_rows import Faults
    from fer.data.fer2013_csv import find_csv, read_rows

    if (path := find_csv(folder)) is None:
        raise UserError(f"{folder}: expected fer2013.csv, but there is none")
    rows = read_rows(path, Faults("raise"))
    made = make_official(rows.images, rows.emotions, rows.splits)
    arrays = {"hashes": made.hashes, "signatures": made.signatures, "codes": made.emotions + CODES * made.splits}
    with whole_file(PATH, "wb") as file:
        file.write(save(arrays))
    return f"{PATH}: {len(rows.images):,} images, of train, val and test {made.counts()}"


def main(words: Sequence[str] | None = None) -> None:
    """Write the file that this module reads."""
    parser = argparse.ArgumentParser(prog="python -m fer.data.official", description=main.__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="with fer2013.csv as published")
    asked = parser.parse_args(words)
    with ending(parser):
        print(write(asked.folder))


if __name__ == "__main__":
    main()
