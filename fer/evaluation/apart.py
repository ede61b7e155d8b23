"""Parts of the test split that are judged apart, because one figure over all of it flatters or hides.

Each becomes a split of its own in metrics.json, beside `test`:

- `test_unseen`: without the images of which training has an exact copy; left out where there are none;
- `test_agreed`: FER2013's images that a majority of FER+'s ten annotators gives one of the net's emotions, by their own
  labels, where the votes lie beside the CSV: faces that people read alike;
- `test_crowd`: the same faces, by that majority instead of FER2013's single annotator;
- `test_surest`: the 80 % of the faces that the net is surest of: what it would reach if it might stay silent.
"""

import numpy as np
import torch
from torch import Tensor

from fer.data.table import Split, Table
from fer.evaluation.results import Outputs

SURE = 0.8  # share of the faces
APART = {
    "test_unseen": "without copies of training images",
    "test_agreed": "where FER+'s annotators agree",
    "test_crowd": "the same, by what they agree on",
    "test_surest": f"the {SURE:.0%} that it is surest of",
}


def judge_apart(test: Outputs, table: Table, crowd: np.ndarray | None) -> tuple[dict[str, Outputs], int]:
    """Return the outputs of the parts, by name, and how many test images are copies of training images.

    Args:
        test: the outputs of the test split, in the order of its rows.
        table: all splits.
        crowd: (N,) int64, the crowd's class of each test face in the table's order, -1 for none; None without votes.
    """
    faces = table.part(Split.TEST)
    places = np.argsort(faces.rows, kind="stable")  # of the outputs' rows in the table
    new = torch.from_numpy(~copied(faces.images, table.part(Split.TRAIN).images)[places])
    parts = {} if new.all() or not new.any() else {"test_unseen": _select(test, new)}
    if crowd is not None and (crowd >= 0).any():
        labels = torch.from_numpy(crowd[places])
        parts["test_agreed"] = _select(test, labels >= 0)
        parts["test_crowd"] = _select((test[0], labels, test[2]), labels >= 0)
    return parts | {"test_surest": _select(test, surest(test[0]))}, int((~new).sum())


def copied(images: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """Tell which of images (N, H, W) uint8 occur among others, pixel for pixel: (N,) bool."""
    known = {image.tobytes() for image in originals}
    return np.array([image.tobytes() in known for image in images])


def surest(logits: Tensor, share: float = SURE) -> Tensor:
    """Return the indices of the share of logits (N, C) that the net is surest of, in rising order; at least one."""
    confidence = logits.softmax(1).amax(1)
    order = confidence.argsort(descending=True, stable=True)
    return order[: max(round(share * len(logits)), 1)].sort().values


def _select(outputs: Outputs, chosen: Tensor) -> Outputs:
    logits, targets, rows = outputs
    return logits[chosen], targets[chosen], torch.as_tensor(rows)[chosen]
