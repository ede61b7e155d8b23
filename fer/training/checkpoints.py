"""Checkpoints that survive a kill or a full disk, and the averaged weights that they hold."""

import math
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fer.atomic import atomic_file
from fer.errors import RunError
from fer.monitor import sign


class WholeCheckpoints(TorchCheckpointIO):
    """Write a checkpoint beside its place and rename it, so that the previous one stays until the new one is whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write `checkpoint` to `path`.

        Raises:
            RunError: if the disk is full or the folder cannot be written; the previous file is still there.
        """
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path, "wb") as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            raise RunError(f"{path} could not be written ({error}); the previous checkpoint is kept") from error


class BestAndLast(Checkpoint):
    """Keep best.ckpt, by the monitor, and last.ckpt, of the last whole epoch.

    Lightning's ModelCheckpoint writes its last one only when there is a new best, and forgets the best once the folder
    has been moved.

    Args:
        folder: takes the files.
        monitor: a logged metric; more is better, but for a loss and the like.
    """

    def __init__(self, folder: Path, monitor: str) -> None:
        self.folder, self.monitor = folder, monitor
        self.sign = sign(monitor)
        self.best = -math.inf

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        self.best = state["best"]

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write the best one first: after a kill in between, the epoch is repeated and ends the same."""
        score = self.sign * float(trainer.callback_metrics[self.monitor])
        if score > self.best:
            self.best = score
            trainer.save_checkpoint(self.folder / "best.ckpt")
        trainer.save_checkpoint(self.folder / "last.ckpt")


class MovingAverage(WeightAveraging):
    """Exponential moving average of the weights, with a decay that rises so that short trainings profit too.

    The decay of step t is min(decay, (1 + t) / (10 + t)), as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=self._average)
        self.decay = self.now = decay

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Average after every step, with that step's decay."""
        if step_idx is None:
            return False
        self.now = min(self.decay, (1 + step_idx) / (10 + step_idx))
        return True

    @torch.no_grad()
    def _average(self, averaged: list[Tensor], current: list[Tensor], count: Any) -> None:
        if averaged[0].is_floating_point():
            get_ema_multi_avg_fn(self.now)(averaged, current, count)
            return
        for own, new in zip(averaged, current, strict=True):  # batch norm's counters of batches
            own.copy_(new)
