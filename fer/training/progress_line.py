"""How far a training has come: one line that is written over in a terminal; elsewhere a single line, early on."""

import sys
import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

FIRST = 20  # seconds of training until a log is told how long it will take
EVERY = 0.5  # seconds between two pictures of the line; a look at the loss makes a GPU wait
CLEAR = "\r\x1b[K"


class Progress(Callback):
    """Show epoch, share of its batches, loss and the time left of the whole training, on one process.

    The time is that of the last whole epoch, validation included; before there is one, of the batches so far.
    """

    def __init__(self) -> None:
        self.in_terminal = sys.stderr.isatty()
        self.began = self.shown = time.perf_counter()
        self.epoch_seconds: float | None = None
        self.has_told = False

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Start the epoch's clock."""
        self.began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the line anew, now and then."""
        now = time.perf_counter()
        share = (batch_idx + 1) / trainer.num_training_batches
        epochs = trainer.max_epochs - trainer.current_epoch
        left = max((self.epoch_seconds or (now - self.began) / share) * epochs - (now - self.began), 0)
        place = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        if self.in_terminal and trainer.is_global_zero and now - self.shown >= EVERY:
            self.shown = now
            loss = float(outputs["loss"])
            sys.stderr.write(f"{CLEAR}{place}  {share:4.0%}  loss {loss:.3f}  {format_seconds(left)} left")
            sys.stderr.flush()
        if not (self.in_terminal or self.has_told or self.epoch_seconds) and now - self.began >= FIRST:
            self.has_told = True
            module.print(f"{place}: {share:.0%} after {now - self.began:.0f} s, about {format_seconds(left)} left")
            sys.stdout.flush()

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Say what takes the time after the last batch."""
        if self.in_terminal and trainer.is_global_zero:
            sys.stderr.write(f"{CLEAR}epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  validating")
            sys.stderr.flush()

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Make room for the epoch's line."""
        self._clear(trainer)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Take the epoch's time for that of the next."""
        self.epoch_seconds = time.perf_counter() - self.began

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Make room for what is said about it."""
        self._clear(trainer)

    def _clear(self, trainer: Trainer) -> None:
        if self.in_terminal and trainer.is_global_zero:
            sys.stderr.write(CLEAR)
            sys.stderr.flush()


def format_seconds(seconds: float) -> str:
    """Return "45 s", "12 min" or "3.5 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
