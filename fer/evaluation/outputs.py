"""What a net said of the faces of a split: raw logits, with targets and rows; collected over batches, or predicted."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class Outputs(NamedTuple):
    """A split's logits (N, C) float32, targets (N,) int64 and rows (N,) int64, on the CPU, in the order of rows."""

    logits: Tensor
    targets: Tensor
    rows: Tensor

    def select(self, chosen: Tensor) -> "Outputs":
        """Return the faces that a boolean mask or an index tensor chooses."""
        return Outputs(self.logits[chosen], self.targets[chosen], self.rows[chosen])

    def scaled(self, temperature: float) -> "Outputs":
        """Return the outputs with calibrated logits: divided by the temperature."""
        return self._replace(logits=self.logits / temperature)

    @property
    def are_finite(self) -> bool:
        """Whether no logit is NaN or infinite; whoever draws or counts one would fail, or show nonsense."""
        return bool(torch.isfinite(self.logits).all())


class OutputCollector(Metric):
    """Collect the outputs of a split over batches, and over the processes of a distributed run; each row counts once.

    Averages of per-batch metrics are wrong for everything but the loss and the accuracy, and a distributed sampler
    repeats samples to fill its last batch: so batches are only collected, and metrics computed over the whole split.
    """

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        for name in ("logits", "targets", "rows"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, targets: Tensor, rows: Tensor) -> None:
        """Add a batch: logits (B, C) float, targets (B,) int64, rows (B,) int64, as `Table.rows` numbers the faces."""
        self.logits.append(logits.detach())
        self.targets.append(targets.detach())
        self.rows.append(rows.detach())

    def compute(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `gathered` does; of one single sample, torchmetrics makes scalars of targets and rows."""
        logits, targets, rows = (dim_zero_cat(state).cpu() for state in (self.logits, self.targets, self.rows))
        rows, first = np.unique(rows.numpy(), return_index=True)
        return logits[first].float(), targets[first], torch.from_numpy(rows)

    def gathered(self) -> Outputs:
        """Return the outputs of all batches of all processes."""
        logits, targets, rows = self.compute()
        return Outputs(logits.reshape(rows.numel(), -1), targets.reshape(-1), rows.reshape(-1))
