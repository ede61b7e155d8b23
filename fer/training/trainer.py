"""Lightning's Trainer for a configuration: the device, the precision, and what watches over the training."""

import logging
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
)

from fer import processes
from fer.devices import choose_devices, find_accelerator
from fer.monitor import sign
from fer.schema import TrainConfig
from fer.training.callbacks import FiniteLoss, Patience
from fer.training.checkpoints import BestAndLast, MovingAverage, WholeCheckpoints
from fer.training.dashboard import Shown
from fer.training.optim import choose_precision
from fer.training.progress_line import Progress
from fer.training.sync_batchnorm import SharedBatchNorms


class SteadyTrainer(Trainer):
    """A Trainer that leaves SIGTERM to the handler that it found: to the command's, which raises, or to submitit's.

    Submitit's has the job go on, as Slurm announces a preemption by SIGTERM and puts back only what works to the end.
    """

    @property
    def received_sigterm(self) -> bool:
        """Lightning would end a training after this batch, with exit code 0."""
        return False


def make_trainer(config: TrainConfig, folder: Path, watchers: list[Callback]) -> Trainer:
    """Return a Trainer that writes to a run's folder.

    Args:
        config: the run's configuration.
        folder: of the run.
        watchers: callbacks that come before the weights' average, and so see the averaged net in validation.
    """
    _quiet()
    # An aid to find uninitialised memory that comes with `deterministic`: 7 % of a step here.
    torch.utils.deterministic.fill_uninitialized_memory = False
    monitor = config.monitor
    callbacks = [
        Progress(),
        *watchers,
        FiniteLoss(),
        LearningRateMonitor("epoch"),
        BestAndLast(folder / "checkpoints", monitor),
    ]
    if config.ema:
        callbacks.append(MovingAverage(config.ema))
    if config.early_stopping:
        mode = "max" if sign(monitor) > 0 else "min"
        callbacks.append(Patience(monitor, patience=config.early_stopping, mode=mode, check_finite=False))
    accelerator = find_accelerator(config.trainer.accelerator)
    is_shared = bool(config.trainer.shared_by) and accelerator != "mps"  # of which a machine has one
    return SteadyTrainer(
        accelerator=accelerator,
        devices=choose_devices(config.trainer.devices, accelerator),
        num_nodes=config.trainer.num_nodes,
        strategy="ddp" if is_shared else "auto",
        precision=choose_precision(config.trainer.precision, accelerator) if config.fit else "32-true",
        max_epochs=config.trainer.max_epochs,
        gradient_clip_val=config.gradient_clip or None,
        deterministic="warn",  # same seed, same figures, on a GPU too
        callbacks=callbacks,
        plugins=[
            WholeCheckpoints(),
            *_environment(is_shared),
            *([SharedBatchNorms()] if is_shared and accelerator == "cpu" else []),
        ],
        sync_batchnorm=is_shared and accelerator != "cpu",
        logger=Shown(),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # fer.data.batches.Batches does its work
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _environment(is_shared: bool) -> list[ClusterEnvironment]:
    """Return who says which processes train together, where Lightning would not choose right by itself."""
    if not is_shared:
        return [LightningEnvironment()]  # not the processes of a Slurm job, of which this is one by itself
    if processes.by_srun():
        return [SLURMEnvironment(auto_requeue=False)]  # it would begin anew, in a new folder
    if SLURMEnvironment.detect() and not processes.by_torchrun():
        return [LightningEnvironment()]  # in a batch script: it starts the other processes
    return []


def _quiet() -> None:
    """Leave out what Lightning says to everybody; what concerns this run is in its summary."""
    threading.excepthook = _tell_unless_told
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        "does not have many workers",
        "exists and is not empty",
        "smaller than the logging interval",
        "LeafSpec",
        "`srun` command is available",  # on a cluster: a run of its own needs none
        "on epoch level in distributed setting",  # every process logs figures over all faces
    ):
        warnings.filterwarnings("ignore", f".*{message}.*")


def _tell_unless_told(
    told: threading.ExceptHookArgs, tell: Callable[[threading.ExceptHookArgs], object] = threading.excepthook
) -> None:
    """Leave out the traceback of TensorBoard's writer: the run meets the same error at its next event, and says it."""
    if not (isinstance(told.exc_value, OSError) and type(told.thread).__module__.startswith("tensorboard.")):
        tell(told)
