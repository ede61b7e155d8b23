"""From ten people's votes on a face to its target: the labelling rules of FER+.

Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution", 2016,
https://arxiv.org/abs/1608.01041. Votes are (N, 10): the eight of `EMOTIONS`, in that order, then unknown and not a face
(NF). A face that a rule discards gets a target of zeros. A single vote for anything is noise and is dropped first.
All comparisons are between whole numbers, so no face hangs on a rounding.
"""

import numpy as np

from fer.emotions import EMOTIONS

COUNT = len(EMOTIONS)  # votes from this column on are for no emotion


def targets_from(votes: np.ndarray, labels: str) -> np.ndarray:
    """Return the targets that a labelling rule makes of votes.

    Args:
        votes: (N, 10) counts.
        labels: "majority", "multi", "soft" or "probability"; the last two differ only in how training draws from them.

    Returns:
        (N, 8) float32, each row a distribution over `EMOTIONS`, or zeros for a face to discard.
    """
    rule = {"majority": _majority, "multi": _multi, "soft": _soft, "probability": _soft}[labels]
    weights = rule(np.where(votes > 1, votes, 0).astype(np.int64))[:, :COUNT].astype(np.float32)
    return weights / np.maximum(weights.sum(1, keepdims=True), 1)


def _majority(votes: np.ndarray) -> np.ndarray:
    """Keep the column with more than half of the votes."""
    return np.where(2 * votes > votes.sum(1, keepdims=True), votes, 0)


def _multi(votes: np.ndarray) -> np.ndarray:
    """Keep, with equal weights, the columns with 30 % of the votes or more, if together they have more than half."""
    total = votes.sum(1, keepdims=True)
    kept = 10 * votes >= 3 * total
    share = (votes * kept).sum(1, keepdims=True)
    return kept & (2 * share > total) & _emotion_leads(votes)


def _soft(votes: np.ndarray) -> np.ndarray:
    """Keep the votes of the leading emotions: the highest first, until they have 75 % of all or are three.

    Columns with equal votes are one level: a level is taken as a whole, up to unknown or NF, which ends the taking.
    A face is discarded if that gave half of the votes or fewer, or more than three emotions.
    """
    total = votes.sum(1, keepdims=True)
    order = np.argsort(-votes, axis=1, kind="stable")
    ranked = np.take_along_axis(votes, order, 1)
    place = np.arange(votes.shape[1])
    new_level = np.diff(ranked, axis=1, prepend=-1) != 0
    level = np.maximum.accumulate(np.where(new_level, place, 0), axis=1)  # place at which each column's level starts
    before = np.take_along_axis(ranked.cumsum(1) - ranked, level, 1)  # votes taken before the level
    ended = np.maximum.accumulate(order >= COUNT, axis=1)
    taken = (4 * before < 3 * total) & (level < 3) & ~ended
    share = (ranked * taken).sum(1, keepdims=True)
    taken &= (2 * share > total) & (taken.sum(1, keepdims=True) <= 3)
    kept = np.zeros_like(taken)
    np.put_along_axis(kept, order, taken, 1)
    return votes * kept


def _emotion_leads(votes: np.ndarray) -> np.ndarray:
    return votes.argmax(1, keepdims=True) < COUNT
