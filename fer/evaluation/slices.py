"""Slices of the test split that have figures of their own, because one figure over all of it flatters or hides.

Each becomes a split of its own in metrics.json, beside `test`:

- `test_unseen`: without the images of which training has a copy, equal in every pixel or nearly; left out where there
  are none;
- `test_agreed`: FER2013's images that a majority of FER+'s ten annotators gives one of the net's emotions, by their own
  labels, where the votes lie beside the CSV: faces that people read alike;
- `test_crowd`: the same faces, by that majority instead of FER2013's single annotator;
- `test_surest`: the most confident 80 % of the faces: what it would reach if it might stay silent.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fer.data.table import Split, Table
from fer.evaluation.copies import Copies
from fer.evaluation.outputs import Outputs

Slice = Callable[[Outputs], Outputs]

CONFIDENT = 0.8  # share of the faces
SLICES = {
    "test_unseen": "without copies of training images",
    "test_agreed": "where FER+'s annotators agree",
    "test_crowd": "same faces, FER+ labels",
    "test_surest": f"most confident {100 * CONFIDENT:.0f} %",
}


def make_slices(test: Outputs, table: Table, crowd: np.ndarray | None, copies: Copies) -> dict[str, Slice]:
    """Return the slices, by name.

    Args:
        test: the outputs of the test split, calibrated, in the order of its rows.
        table: all splits.
        crowd: (N,) int64, the crowd's class of each test face in the table's order, -1 for none; None without votes.
        copies: the test faces that training has, too.

    Returns:
        For each slice what takes it out of outputs of the test split.
    """
    new, slices = torch.from_numpy(copies.unseen), {}
    if new.any() and not new.all():
        slices["test_unseen"] = lambda outputs: outputs.select(new)
    if crowd is not None and (crowd >= 0).any():
        places = np.argsort(table.part(Split.TEST).rows, kind="stable")  # of the outputs' rows in the table
        labels = torch.from_numpy(crowd[places])
        slices["test_agreed"] = lambda outputs: outputs.select(labels >= 0)
        slices["test_crowd"] = lambda outputs: outputs._replace(targets=labels).select(labels >= 0)
    confident = most_confident(test.logits)
    slices["test_surest"] = lambda outputs: outputs.select(confident)
    return slices


def most_confident(logits: Tensor, share: float = CONFIDENT) -> Tensor:
    """Return the indices of the most confident share of logits (N, C), in rising order; at least one."""
    confidence = logits.softmax(1).amax(1)
    order = confidence.argsort(descending=True, stable=True)
    return order[: max(round(share * len(logits)), 1)].sort().values
