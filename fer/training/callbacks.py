"""What watches a training: the console line of each epoch, the history, the speed, and the guard against NaN."""

import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch import Tensor

from fer.data.batches import Batch
from fer.evaluation.results import History, write_history
from fer.monitor import sign
from fer.training.lightning_module import not_finite
from fer.training.progress_line import format_seconds

CHECK_EVERY = 50  # steps; looking at the loss makes a GPU wait


class FiniteLoss(Callback):
    """Stop before weights that a NaN has spoiled reach a checkpoint."""

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Mapping[str, Tensor], batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss now and then, and after the last batch.

        Raises:
            RunError: if it is NaN or infinite.
        """
        looks = batch_idx % CHECK_EVERY == 0 or trainer.is_last_batch
        if looks and not torch.isfinite(outputs["loss"]):
            raise not_finite(trainer.current_epoch)


class Patience(EarlyStopping):
    """Stop early; a run that was interrupted after it had stopped stays so when it is resumed."""

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Lightning does not keep the decision itself."""
        trainer.should_stop = self.wait_count >= self.patience


class Record(Callback):
    """Keep every epoch's figures and the time spent, over interruptions too; write and print a line an epoch.

    Args:
        folder: takes history.csv.

    Attributes:
        history: every epoch's figures.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.history: History = {}
        self.faces = 0
        self.began = self.epoch_began = time.perf_counter()
        self.earlier = 0.0  # seconds, before an interruption

    def seconds(self) -> float:
        """Return the seconds that the run has taken, reading included; what an interruption undid is not counted."""
        return self.earlier + time.perf_counter() - self.began

    def summary(self, monitor: str) -> dict[str, float]:
        """Return how long and how fast the net was trained, for metrics.json."""
        return {
            "epochs": self.history[monitor][-1][0],
            "best_epoch": best_point(self.history[monitor], monitor)[0],
            "images_per_second": statistics.median(value for _, value in self.history["train/images_per_second"]),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"history": self.history, "seconds": self.seconds()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        self.history, self.earlier = state["history"], state["seconds"]

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Start the epoch's clock."""
        self.faces = 0
        self.epoch_began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Log the training's speed after the last batch, before validation."""
        self.faces += len(batch.rows) * trainer.world_size
        if trainer.is_last_batch:
            if module.device.type == "cuda":
                torch.cuda.synchronize()
            speed = self.faces / (time.perf_counter() - self.epoch_began)
            module.log(
                "train/images_per_second", speed, on_step=False, on_epoch=True, batch_size=1, rank_zero_only=True
            )

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Add the epoch's figures, stop the clock and print; the checkpoint callback comes after."""
        epoch = trainer.current_epoch + 1
        for key, value in trainer.callback_metrics.items():
            self.history.setdefault(key, []).append((epoch, float(value)))
        if trainer.is_global_zero:
            write_history(self.folder / "history.csv", self.history)
            module.print(self._line(epoch, trainer.max_epochs, module.config.monitor))
            sys.stdout.flush()  # into a log file too

    def _line(self, epoch: int, epochs: int, monitor: str) -> str:
        now = {key: values[-1][1] for key, values in self.history.items()}
        best_epoch, best = best_point(self.history[monitor], monitor)
        left = (time.perf_counter() - self.epoch_began) * (epochs - epoch)
        return (
            f"epoch {epoch:>3}/{epochs}  loss {now['train/loss']:.3f}  "
            f"accuracy train {now['train/accuracy']:.3f} val {now['val/accuracy']:.3f}  "
            f"best {monitor} {best:.3f} (epoch {best_epoch})  "
            f"{now['train/images_per_second']:.0f} images/s  {format_seconds(left)} left"
        )


def best_point(points: list[tuple[int, float]], monitor: str) -> tuple[int, float]:
    """Return the best epoch, and what the monitor was there: of equal ones the first, as best.ckpt keeps it."""
    return max(points, key=lambda point: sign(monitor) * point[1])
