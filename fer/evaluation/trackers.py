"""Weights & Biases and MLflow as loggers of a run, in the form that `fer.evaluation.loggers` describes.

Both are extras. Unless a setting says otherwise, nothing leaves the machine and no account is asked for: all lies in
the run's folder, or in that of its sweep, where MLflow compares the jobs. loggers.json keeps the ids under which a
resumed run goes on.
"""

import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fer.config.dotted import leaves
from fer.evaluation.results import write_json
from fer.locks import locked
from fer.run_folder import IDS, resume_root
from fer.schema import MLflow, TrainConfig, Wandb

End = Literal["FINISHED", "FAILED", "KILLED"]
QUIET = {  # of the environment
    "WANDB_ERROR_REPORTING": "false",  # to its makers
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # which it would rather have be a database
}
STORE = "mlruns"
MOST = 100  # settings that a server of MLflow takes at once


class WandbLogger:
    """A run of Weights & Biases: each start leaves wandb/offline-run-*-ID, and `wandb sync` makes one run of them."""

    def __init__(self, section: Wandb, config: TrainConfig, folder: Path) -> None:
        _be_quiet()
        import wandb

        root = resume_root(folder)
        self.pictures: dict[str, Any] = {}
        self.image = wandb.Image
        self.run = wandb.init(
            project=section.project,
            name=folder.name,
            group=None if root == folder else root.name,
            id=read_ids(folder).get("wandb") or keep_id(folder, "wandb", secrets.token_hex(4)),
            resume="allow",
            reinit="create_new",  # in a notebook there may be another, of its owner
            dir=folder.absolute(),
            mode="offline" if section.offline else "online",
            config=settings_of(config),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add a row to the history, with the pictures that wait: of a step before the last, it takes nothing."""
        self.run.log({**values, **self.pictures}, step=step)
        self.pictures = {}

    def figure(self, name: str, pixels: np.ndarray, epoch: int) -> None:
        """Keep a picture for the epoch's row, whose metrics come soon."""
        self.pictures[f"view/{name}"] = self.image(pixels)

    def results(self, final: Mapping[str, float], figures: list[Path]) -> None:
        """Fill the run's columns in the table."""
        self.run.log({f"figures/{path.stem}": self.image(str(path)) for path in figures})
        self.run.summary.update(dict(final))

    def flush(self) -> None:
        """It writes by itself, after some seconds."""

    def close(self, end: End) -> None:
        """Wait until all is written, or sent."""
        self.run.finish(exit_code=0 if end == "FINISHED" else 1)


class MLflowLogger:
    """A run of MLflow, by a client of its own: what the owner of a notebook does with mlflow is left alone."""

    def __init__(self, section: MLflow, config: TrainConfig, folder: Path) -> None:
        _be_quiet()
        from mlflow import MlflowClient

        root = resume_root(folder)
        self.client = MlflowClient(tracking_uri=_address(section.uri or str(root / STORE)))
        with locked(root / ".mlflow.lock"):  # jobs may begin at the same time
            found = self.client.get_experiment_by_name(section.experiment)
            experiment = found.experiment_id if found else self.client.create_experiment(section.experiment)
        self.id = self._resumed(folder) or self._begun(experiment, config, folder, root)

    def _resumed(self, folder: Path) -> str | None:
        """Return the id of the run that goes on; None if the store does not have it, or there is none."""
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

    def figure(self, name: str, pixels: np.ndarray, epoch: int) -> None:
        """Show a picture with a slider over the epochs."""
        self.client.log_image(self.id, pixels, key=f"view/{name}", step=epoch)

    def results(self, final: Mapping[str, float], figures: list[Path]) -> None:
        """Fill the run's columns in the table, and add the pictures as artifacts."""
        self.metrics(final, 0)
        for path in figures:
            self.client.log_artifact(self.id, str(path), "figures")

    def flush(self) -> None:
        """It keeps nothing back."""

    def close(self, end: End) -> None:
        """Set the run's status."""
        self.client.set_terminated(self.id, end)


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """Return all that a run was set to, but for where it is shown."""
    return config.model_dump(mode="json", exclude={"logger", "resume"})


def read_ids(folder: Path) -> dict[str, str]:
    """Return the ids under which a run is known, by the loggers' names."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / IDS).read_text(encoding="utf-8"))
        return {name: run for name, run in found.items() if isinstance(run, str)} if isinstance(found, dict) else {}
    return {}


def keep_id(folder: Path, name: str, run: str) -> str:
    """Keep an id for when the run is resumed, and return it."""
    write_json(folder / IDS, read_ids(folder) | {name: run})
    return run


def _be_quiet() -> None:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def _address(uri: str) -> str:
    """Return an address as MLflow takes it, which the path of a folder with blanks or accents is not."""
    return uri if "://" in uri or uri.startswith("databricks") else Path(uri).expanduser().absolute().as_uri()


def _name(key: str) -> str:
    """Return a name as MLflow takes it; one's own classes and transforms may have others."""
    return re.sub(r"[^/\w.\- :]", "_", key)
