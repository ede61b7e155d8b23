"""The loops whose speeds `fer.training.benchmark` compares, and the table that it prints."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fer.benchmarks import machine, spread
from fer.config.jobs import one_config
from fer.data.datamodule import FaceData
from fer.data.table import Split
from fer.evaluation.loggers import logging_to
from fer.schema import TrainConfig
from fer.training.callbacks import Record
from fer.training.dashboard import Dashboard
from fer.training.lightning_module import EmotionModule
from fer.training.losses import make_loss
from fer.training.optim import make_optimizer
from fer.training.run import make_data, prepare
from fer.training.trainer import make_trainer

FER2013 = 23_744, 2_982  # faces of six emotions to train and to validate on
HALVES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
LOOPS = (
    "bare: forward, loss, backward, step",
    "+ clipped gradient, averaged weights",
    "+ our loader and augmentation",
    "train.py: + Lightning, schedule, logs",  # and mixing, where the configuration has it
)

Examples = Iterable[tuple[Tensor, Tensor]]  # inputs (B, 1, H, W) and targets (B, C), on the device


class Turns(Callback):
    """Time each epoch's training, and just before it the loops without a framework.

    Attributes:
        seconds: of each turn, of the loops in the order of `LOOPS`; the first turn is a warm-up.
        after: seconds from the end of each epoch's training to the next epoch, less the loops'.
        memory: the device's peak during the epochs' training, in bytes; 0 on a CPU.
    """

    def __init__(self, data: FaceData) -> None:
        self.data = data
        self.loops: list[Callable[[], None]] = []
        self.seconds: list[list[float]] = []
        self.after: list[float] = []
        self.memory = 0
        self.began = self.ended = 0.0

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Run the other loops, then start the clock."""
        if self.seconds:
            self.after.append(now(module) - self.ended)
        self.loops = self.loops or make_loops(trainer, module, self.data)
        # A bare loop does not ask for the same figures every time.
        deterministic = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)
        self.seconds.append([])
        for loop in self.loops:
            began = now(module)
            loop()
            self.seconds[-1].append(now(module) - began)
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        if module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self.began = now(module)

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop the clock: the last step is done, its weights are averaged."""
        self.ended = now(module)
        self.seconds[-1].append(self.ended - self.began)
        if module.device.type == "cuda":
            self.memory = max(self.memory, torch.cuda.max_memory_allocated())


def now(module: LightningModule) -> float:
    """Return the time when all that was asked of the device is done."""
    if module.device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter()


def make_loops(trainer: Trainer, module: EmotionModule, data: FaceData) -> list[Callable[[], None]]:
    """Return the loops without a framework; each call of one goes through as many faces as an epoch."""
    loader = data.train_dataloader()

    def loaded() -> Iterator[tuple[Tensor, Tensor]]:
        loader.sampler.set_epoch(loader.sampler.epoch + 1)
        for batch in loader:
            images, targets = (part.to(module.device, non_blocking=True) for part in batch[:2])
            yield module.inputs(images), targets

    ready = list(loaded())
    return [
        make_loop(trainer, module, lambda: ready, extras=False),
        make_loop(trainer, module, lambda: ready, extras=True),
        make_loop(trainer, module, loaded, extras=True),
    ]


def make_loop(
    trainer: Trainer, module: EmotionModule, examples: Callable[[], Examples], extras: bool
) -> Callable[[], None]:
    """Return a plain training loop with a net and an optimiser of its own; `extras` are EMA and clipping."""
    config = module.config
    net = deepcopy(module.net)
    if config.trainer.compile:
        net.compile()
    optimizer = make_optimizer(config.optimizer, net)
    average = None
    if extras and config.ema:
        average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True)
    half = HALVES.get(trainer.precision)

    def run() -> None:
        for inputs, targets in examples():
            with torch.autocast(module.device.type, half, enabled=half is not None):
                loss = module.loss(net(inputs).float(), targets)
            optimizer.zero_grad()
            loss.backward()
            if extras and config.gradient_clip:
                clip_grad_norm_(net.parameters(), config.gradient_clip)
            optimizer.step()
            if average:
                average.update_parameters(net)

    return run


def measure(config: TrainConfig, folder: Path) -> tuple[Turns, Trainer]:
    """Train as `train.py` does, with the other loops in between."""
    seed_everything(config.seed, verbose=False)
    table, net, header = prepare(config)
    data = make_data(config, table)
    turns = Turns(data)
    trainer = make_trainer(config, folder, [turns, Record(folder), Dashboard(data)])
    module = EmotionModule(net, header, make_loss(config.loss, table.counts()[Split.TRAIN]), config)
    with logging_to(config, folder) as trainer.logger.loggers:
        trainer.fit(module, datamodule=data)
    return turns, trainer


def report(config: TrainConfig, turns: Turns, trainer: Trainer, steps: int) -> None:
    """Print the loops' speeds, and what they mean for an epoch of FER2013."""
    seconds = np.array(turns.seconds[1:])  # (turns, loops)
    speeds = steps * config.batch_size / np.median(seconds, 0)
    after = float(np.median(turns.after[1:] or turns.after))
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(
        f"\n{machine()}\n{device} ({name}), precision {trainer.precision}; {config.model.name} net, "
        f"{config.model.input_size} pixels, batch {config.batch_size}, {config.augmentation.name} augmentation; "
        f"{len(seconds)} turns of {steps} steps\n\n{'loop':40}{'images/s':>9}  {'over bare':24}target"
    )
    for place, loop in enumerate(LOOPS):
        ratio = spread(seconds[:, 0] / seconds[:, place]) if place else ""
        target = "at least 0.95" if place + 1 == len(LOOPS) else ""
        print(f"{loop:40}{speeds[place]:9.0f}  {ratio:24}{target}".rstrip())
    training = FER2013[0] / speeds[-1]
    print(
        f"\nan epoch of FER2013 ({FER2013[0]:,} faces): {training:.1f} s of training; validation and checkpoint "
        f"{after:.1f} s\npeak memory: {memory(turns)}"
    )


def memory(turns: Turns) -> str:
    """Return the peak memory, with the loops' nets and tensors in it."""
    parts = [f"{turns.memory / 2**30:.2f} GiB of the GPU's"] if turns.memory else []
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes there, KiB elsewhere
        parts.append(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30:.2f} GiB of this process")
    return ", ".join(parts) or "unknown"


def shortened(config: TrainConfig, steps: int, epochs: int) -> TrainConfig:
    """Return the configuration on drawn faces, with epochs of so many steps."""
    drawn = one_config("train", ["dataset=synthetic"], TrainConfig).dataset
    dataset = drawn.model_copy(update={"train": steps * config.batch_size, "val": FER2013[1]})
    trainer = config.trainer.model_copy(update={"max_epochs": epochs, "devices": 1})
    return config.model_copy(update={"dataset": dataset, "trainer": trainer})
