"""Where a run is shown while it trains and after: TensorBoard, Weights & Biases, MLflow, or several at once.

Each is opened for a run, by its section of the configuration, and its library is imported only then.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fer.errors import CutShort, RunError, Terminated, UserError, printable
from fer.evaluation.trackers import End, MLflowLogger, WandbLogger
from fer.provenance import telling_settings
from fer.schema import TrainConfig


class Logger(Protocol):
    """What shows a run."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Show what was measured after so many batches of the training: "val/accuracy" and so on."""

    def figure(self, name: str, pixels: np.ndarray, epoch: int) -> None:
        """Show a picture (H, W, 3) uint8, red-green-blue, that may come again in another epoch."""

    def results(self, final: Mapping[str, float], figures: list[Path]) -> None:
        """Show what the run came to, "final/test/accuracy" and so on, and the PNG files that it leaves."""

    def flush(self) -> None:
        """Let be seen what was shown."""

    def close(self, end: End) -> None:
        """Say how the run ended."""


class TensorBoardLogger:
    """Events in a run's folder.

    "val/accuracy" is accuracy/val there: the page is sorted, and so begins with the curves, a metric's side by side.
    """

    def __init__(self, section: Any, config: TrainConfig, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder))
        self.settings = telling_settings(config, folder)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add points to curves."""
        for name, value in values.items():
            split, _, metric = name.partition("/")
            self.writer.add_scalar(f"{metric}/{split}" if split in ("train", "val") else name, value, step)

    def figure(self, name: str, pixels: np.ndarray, epoch: int) -> None:
        """Show a picture below all curves."""
        self.writer.add_image(f"view/{name}", pixels, epoch, dataformats="HWC")

    def results(self, final: Mapping[str, float], figures: list[Path]) -> None:
        """Add the run's row to the table HPARAMS; its pictures lie in the folder, too."""
        from torch.utils.tensorboard.summary import hparams

        for summary in hparams(self.settings, dict(final)):
            self.writer.file_writer.add_summary(summary)
        self.metrics(final, 0)
        self.flush()

    def flush(self) -> None:
        """Write what is still in memory."""
        self.writer.flush()

    def close(self, end: End) -> None:
        """Write the rest."""
        self.writer.close()


LOGGERS = {"tensorboard": TensorBoardLogger, "wandb": WandbLogger, "mlflow": MLflowLogger}


@contextmanager
def logging_to(config: TrainConfig, folder: Path) -> Iterator[list[Logger]]:
    """Open the loggers of a run, and close them, however it ends.

    Raises:
        UserError: if one cannot be opened: there is no such server, or no account.
        RunError: if one fails later.
    """
    opened: dict[str, Logger] = {}
    end: End = "FAILED"
    try:
        for name, section in config.logger:
            if section is not None:
                with _told(name, UserError):
                    opened[name] = LOGGERS[name](section, config, folder)
        with _told(",".join(opened), RunError):
            yield list(opened.values())
        end = "FINISHED"
    except (KeyboardInterrupt, SystemExit, Terminated, CutShort):
        end = "KILLED"
        raise
    finally:
        for name, logger in opened.items():
            try:
                logger.close(end)
            except Exception as error:  # what it was to show, it has
                print(f"logger={name} was not closed in order: {_line(error)}", flush=True)


@contextmanager
def _told(name: str, kind: type[UserError | RunError]) -> Iterator[None]:
    """Turn what a logger's library raises into a sentence; other errors pass."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in LOGGERS:
            raise
        raise kind(f"logger={name}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return printable(next(iter(str(error).strip().splitlines()), type(error).__name__))
