"""Where a run is shown while it trains and after: in TensorBoard, Weights & Biases or MLflow, or in several at once.

A library is imported when a run asks for it. Unless a setting says otherwise, nothing leaves the machine: all lies in the
run's folder, or MLflow's store in that of the sweep, whose runs it compares. loggers.json keeps the ids under which a
resumed run goes on.
"""

import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from fer.config.dotted import leaves
from fer.errors import CutShort, RunError, Terminated, UserError, printable
from fer.evaluation.results import write_json
from fer.locks import locked
from fer.provenance import telling_settings
from fer.run_folder import resume_root
from fer.schema import MLflow, TensorBoard, TrainConfig, Wandb

IDS, STORE = "loggers.json", "mlruns"
QUIET = {  # of the environment: no library reports to its makers, and MLflow takes a folder as a store without a reproach
    "WANDB_ERROR_REPORTING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}
End = Literal["FINISHED", "FAILED", "KILLED"]
MOST = 100  # parameters that a server of MLflow takes at once


class Logger(Protocol):
    """What shows a run; the steps are batches since the start of the training, those of figures epochs too."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Show figures of a moment, "val/accuracy" and so on."""

    def figure(self, name: str, pixels: np.ndarray, epoch: int, step: int) -> None:
        """Show a picture (H, W, 3) uint8, red-green-blue, that comes again in other epochs."""

    def results(self, final: Mapping[str, float], figures: list[Path]) -> None:
        """Show what the run came to, "test/accuracy" and so on, and all the pictures that it leaves, PNG files."""

    def flush(self) -> None:
        """Let be seen what was shown."""

    def close(self, end: End) -> None:
        """Say how the run ended."""


class TensorBoardLogger:
    """Events in a run's folder, with "val/accuracy" as accuracy/val: the page is sorted, and so begins with the curves."""

    def __init__(self, section: TensorBoard, config: TrainConfig, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder))
        self.settings = telling_settings(config, folder)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Show a metric's curves side by side."""
        for name, value in values.items():
            split, _, metric = name.partition("/")
            self.writer.add_scalar(f"{metric}/{split}" if split in ("train", "val") else name, value, step)

    def figure(self, name: str, pixels: np.ndarray, epoch: int, step: int) -> None:
        """Show a picture below all curves."""
        self.writer.add_image(f"view/{name}", pixels, epoch, dataformats="HWC")

    def results(self, final: Mapping[str, float], figures: list[Path]) -> None:
        """Add the row of the table of runs, HPARAMS; the pictures lie in the folder beside."""
        from torch.utils.tensorboard.summary import hparams

        for summary in hparams(self.settings, dict(final)):
            self.writer.file_writer.add_summary(summary)
        for name, value in final.items():
            self.writer.add_scalar(name, value, 0)
        self.flush()

    def flush(self) -> None:
        """Write what is still in memory."""
        self.writer.flush()

    def close(self, end: End) -> None:
        """Write the rest."""
        self.writer.close()


class WandbLogger:
    """A run of Weights & Biases: of each start a folder wandb/offline-run-TIME-ID, which `wandb sync` makes one run of."""

    def __init__(self, section: Wandb, config: TrainConfig, folder: Path) -> None:
        _be_quiet()
        import wandb

        kept, root = read_ids(folder).get("wandb"), resume_root(folder)
        self.image = wandb.Image
        self.run = wandb.init(
            project=section.project,
            name=folder.name,
            group=None if root == folder else root.name,
            id=kept or keep_id(folder, "wandb", secrets.token_hex(4)),
            resume="allow",
            reinit="create_new",  # in a notebook there may be another, of its owner
            dir=folder.absolute(),
            mode="offline" if section.offline else "online",
            config=settings_of(config),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add a row of the history, or to it."""
        self.run.log(dict(values), step=step)

    def figure(self, name: str, pixels: np.ndarray, epoch: int, step: int) -> None:
        """Show a picture in the row of its epoch."""
        self.run.log({f"view/{name}": self.image(pixels)}, step=step)

    def results(self, final: Mapping[str, float], figures: list[Path]) -> None:
        """Fill the columns of the table of runs."""
        self.run.log({f"figures/{path.stem}": self.image(str(path)) for path in figures})
        self.run.summary.update(dict(final))

    def flush(self) -> None:
        """It writes by itself, after some seconds."""

    def close(self, end: End) -> None:
        """Wait until all is written, or sent."""
        self.run.finish(exit_code=0 if end == "FINISHED" else 1)


class MLflowLogger:
    """A run of MLflow, by a client of its own: what a notebook's owner does with mlflow is left alone."""

    def __init__(self, section: MLflow, config: TrainConfig, folder: Path) -> None:
        _be_quiet()
        from mlflow import MlflowClient

        root = resume_root(folder)
        self.client = MlflowClient(tracking_uri=_address(section.uri or str(root / STORE)))
        with locked(root / ".mlflow.lock"):  # for jobs that begin at the same time
            experiment = self.client.get_experiment_by_name(section.experiment)
            found = experiment.experiment_id if experiment else self.client.create_experiment(section.experiment)
        self.id = self._resumed(folder) or self._begun(found, config, folder, root)

    def _resumed(self, folder: Path) -> str | None:
        """Return the id of the run that goes on; None if the store has it no more, or is another."""
        from mlflow.exceptions import MlflowException

        if not (kept := read_ids(folder).get("mlflow")):
            return None
        try:
            self.client.update_run(kept, status="RUNNING")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return kept

    def _begun(self, experiment: str, config: TrainConfig, folder: Path, root: Path) -> str:
        from mlflow.entities import Param

        tags = {} if root == folder else {"sweep": root.name}
        run = self.client.create_run(experiment, run_name=folder.name, tags=tags).info.run_id
        settings = [Param(_name(key), str(value)) for key, value in leaves(settings_of(config))]
        for start in range(0, len(settings), MOST):
            self.client.log_batch(run, params=settings[start : start + MOST])
        return keep_id(folder, "mlflow", run)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add points to curves."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(self.id, [Metric(_name(name), float(value), now, step) for name, value in values.items()])

    def figure(self, name: str, pixels: np.ndarray, epoch: int, step: int) -> None:
        """Show a picture with a slider over the epochs."""
        self.client.log_image(self.id, pixels, key=f"view/{name}", step=epoch)

    def results(self, final: Mapping[str, float], figures: list[Path]) -> None:
        """Fill the columns of the table of runs, and add the pictures as artifacts."""
        self.metrics(final, 0)
        for path in figures:
            self.client.log_artifact(self.id, str(path), "figures")

    def flush(self) -> None:
        """It keeps nothing back."""

    def close(self, end: End) -> None:
        """Set the run's status."""
        self.client.set_terminated(self.id, end)


LOGGERS = {"tensorboard": TensorBoardLogger, "wandb": WandbLogger, "mlflow": MLflowLogger}


@contextmanager
def logging_to(config: TrainConfig, folder: Path) -> Iterator[list[Logger]]:
    """Open the loggers of a run, and close them however it ends.

    Raises:
        UserError: if one cannot be opened: a wrong address, no account.
        RunError: if one fails later.
    """
    opened: dict[str, Logger] = {}
    end: End = "FAILED"
    try:
        for name, section in config.logger:
            if section is not None:
                with _told(name, UserError):
                    opened[name] = LOGGERS[name](section, config, folder)
        with _told(" or ".join(opened), RunError):
            yield list(opened.values())
        end = "FINISHED"
    except (KeyboardInterrupt, SystemExit, Terminated, CutShort):
        end = "KILLED"
        raise
    finally:
        for name, logger in opened.items():
            try:
                logger.close(end)
            except Exception as error:  # all that it was to show, it has
                print(f"logger={name} was not closed in order: {_line(error)}", flush=True)


@contextmanager
def _told(name: str, kind: type[UserError | RunError]) -> Iterator[None]:
    """Turn what the libraries of loggers raise into a sentence; other errors pass."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("wandb", "mlflow"):
            raise
        raise kind(f"logger={name}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return printable(next(iter(str(error).strip().splitlines()), type(error).__name__))


def _be_quiet() -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """Return all that a training was set to, but for where it is shown."""
    return config.model_dump(mode="json", exclude={"logger", "resume"})


def read_ids(folder: Path) -> dict[str, str]:
    """Return the ids that a run has with its loggers, by the loggers' names."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / IDS).read_text(encoding="utf-8"))
        return {name: run for name, run in found.items() if isinstance(run, str)} if isinstance(found, dict) else {}
    return {}


def keep_id(folder: Path, name: str, run: str) -> str:
    """Keep an id for when the run is resumed, and return it."""
    write_json(folder / IDS, read_ids(folder) | {name: run})
    return run


def _address(uri: str) -> str:
    """Return an address as MLflow takes it, which a folder's path with blanks or accents is not."""
    return uri if "://" in uri or uri.startswith("databricks") else Path(uri).expanduser().absolute().as_uri()


def _name(key: str) -> str:
    """Return a name of a class of one's own, too, as MLflow takes it."""
    return re.sub(r"[^/\w.\- :]", "_", key)
