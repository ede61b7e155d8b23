"""One training: read the data, train the net, evaluate it once, and leave a folder that says all about it.

metrics.json is written last, and only if everything went well: no file, no success.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback
from torch import nn

from fer.architectures import typed
from fer.data.augmentation import build_strategy
from fer.data.batches import Closing
from fer.data.datamodule import FaceData, gray_statistics
from fer.data.folds import hold_out
from fer.data.readers import read
from fer.data.table import Split, Table
from fer.errors import Terminated, UserError
from fer.evaluation.console import print_end, print_some, relative_path
from fer.evaluation.evaluate import draw_evaluation, evaluate
from fer.evaluation.loggers import logging_to
from fer.evaluation.markdown import accuracy_missed
from fer.evaluation.run import crowd_of, finished, groups_of, monitored, publish, writing
from fer.export.onnx import export
from fer.models.factory import build_net
from fer.monitor import monitor_mistake
from fer.provenance import describe
from fer.run_folder import BEST, EXPORTED, LAST, NET, RESULTS, exclusive, make_folder, resume_root
from fer.schema import TrainConfig
from fer.training.callbacks import Record
from fer.training.console import print_start
from fer.training.dashboard import Dashboard, draw_augmented, draw_history
from fer.training.lightning_module import EmotionModule
from fer.training.losses import class_weights, make_loss, none_of_these
from fer.training.resumption import require_resumable
from fer.training.teachers import taught_targets
from fer.training.trainer import make_trainer
from fer.weights import Header, between, rounded, save_weights, transplant


def run(config: TrainConfig, folder: Path, watchers: Sequence[Callback] = ()) -> float:
    """Train and evaluate by a configuration.

    Args:
        config: the checked configuration, of `fit=true`.
        folder: takes everything that the run leaves; with an interrupted run's checkpoint in it, that run continues.
        watchers: further callbacks of the training.

    Returns:
        The monitored metric of the kept weights.

    Raises:
        UserError: if the data or the weights cannot be used.
        RunError: if the loss is not finite, or a file could not be written.
    """
    make_folder(folder)
    if (folder / RESULTS).is_file():
        return finished(folder, config)
    record = Record(folder)
    seed_everything(config.seed, verbose=False)
    table, net, header = prepare(config)
    if wrong := monitor_mistake(config.monitor, header.classes):
        raise UserError(f"monitor: {wrong}")
    _require_faces(config.monitor, table)
    data = make_data(config, table)
    crowd, groups = crowd_of(config, table), groups_of(config, table)
    trainer = make_trainer(config, folder, [record, Dashboard(data), *watchers])
    module = EmotionModule(net, header, make_loss(config.loss, table.counts()[Split.TRAIN]), config)
    if trainer.is_global_zero:
        print_start(config, folder, table, net, trainer)
    with resumable(folder), working(trainer, config, folder):
        fit(trainer, module, data, folder, config.start_share)
        if not trainer.is_global_zero:
            return 0.0  # one process evaluates
        device = trainer.strategy.root_device
        found = evaluate(
            net,
            header,
            table,
            whose="the best epoch",
            test=config.test,
            tta=config.tta,
            crowd=crowd,
            groups=groups,
            calibrate=config.not_sure_accuracy,
            seed=config.seed,
            device=device,
            batch=config.batch_size,
        )
        header = replace(header, temperature=found.temperature, not_sure=found.not_sure)
        results = found.results | describe(config, header, folder, device.type, trainer.precision)
        results |= record.summary(config.monitor) | table.facts
        save_weights(folder / NET, net.state_dict(), header.trained(results))
        if config.export:
            print(export(folder / NET, folder / EXPORTED), flush=True)
        drawn = draw_evaluation(net, header, found) | draw_augmented(module, data) | draw_history(record.history)
        publish(folder, found, drawn, trainer.logger.loggers, results, record.seconds)
    print_end(results, header.classes, list(found.outputs), folder)
    if missed := accuracy_missed(results, config.not_sure_accuracy):
        print(missed)
    return monitored(results, config)


def _require_faces(monitor: str, table: Table) -> None:
    """Check that there are validation faces of the class whose metric is monitored ("val/recall/fear"), if it is one's.

    Raises:
        UserError: if there are none.
    """
    _, _, name = monitor.removeprefix("val/").partition("/")
    if name and not table.counts()[Split.VAL][table.classes.index(name)]:
        raise UserError(f"monitor={monitor}: expected validation faces of {name}, but got none: choose another metric")


def prepare(config: TrainConfig) -> tuple[Table, nn.Module, Header]:
    """Return the faces, the net, and what its weights file will say.

    Raises:
        UserError: if data or weights cannot be used.
    """
    architecture = config.model.arguments()
    _require_known(architecture)
    print(f"reading {config.dataset.name}", flush=True)
    table = read(config.dataset, config.model.input_size)
    if config.fold:
        print(f"leaving out fold {config.fold} of {config.folds}, copies of a face together", flush=True)
        table = hold_out(table, config.fold, config.folds, config.seed)
    if len(table.classes) < 2:
        raise UserError(
            f"dataset.root={config.dataset.root}: expected faces of two classes or more, but got only "
            f"{', '.join(table.classes)}"
        )
    _require_others(config, table)
    start = {"pretrained": True} if getattr(config.model, "pretrained", False) else {}
    try:
        net = build_net(len(table.classes), architecture, **start)
    except (ValueError, ImportError) as error:
        raise UserError(f"model={config.model.name}: {error}") from error
    if config.weights:
        left = transplant(net, table.classes, config.weights)
        print_some(f"starting from {config.weights}; not taken over", left)
        if left and config.start_share:
            raise UserError(
                f"start_share={config.start_share:g}: expected the net and classes of {config.weights}, since only "
                "between two of one kind lies a third, but not taken over: "
                f"{left[0]}; leave start_share out, or what differs"
            )
        if any(not sentence.startswith(("head.", "the head")) for sentence in left):
            print("to start from the file's own net: model=weights", flush=True)
    mean, std = gray_statistics(table)
    return table, net, Header(table.classes, config.model.input_size, mean, std, architecture)


def _require_others(config: TrainConfig, table: Table) -> None:
    """Raise a UserError if there are no faces that are to be trained as others."""
    if not config.trains_others:
        return
    others = table.other_faces
    if not others or not (others.splits == Split.TRAIN).any():
        raise UserError(
            f"dataset.others=uniform: expected training faces of other classes than {', '.join(table.classes)}, but "
            "there are none: leave it out"
        )


def _require_known(architecture: dict[str, Any]) -> None:
    """Raise a UserError if no weights file could hold the net: a line is missing where nets are added."""
    try:
        typed(architecture)
    except ValueError as error:
        raise UserError(f"fer/architectures.py, ARCHITECTURES: {error}: add the net's line") from error


def make_data(config: TrainConfig, table: Table) -> FaceData:
    """Return the loaders of a table, with the configured augmentation."""
    transforms, size = config.augmentation.transforms, table.images.shape[1]
    closing = Closing(config.trainer.max_epochs - config.whole_faces, build_strategy(transforms, size, whole=True))
    draws = config.dataset.labels == "probability"
    strategy = build_strategy(transforms, size)
    return FaceData(
        table, strategy, config.batch_size, config.workers, config.seed, draws, closing, _taught(config, table)
    )


def _taught(config: TrainConfig, table: Table) -> Table | None:
    """Return the training faces with the targets by which they are taught, and those of other classes that are, too.

    None if that is the table's own training split.
    """
    if not config.teacher and not config.trains_others:
        return None
    counts = table.counts()[Split.TRAIN]
    if config.teacher:
        targets = table.targets.copy()
        targets[table.splits == Split.TRAIN] = taught_targets(config, table)
        table = replace(table, targets=targets)
    if config.trains_others:
        table = table.with_others(none_of_these(class_weights(counts, config.loss.weighting)))
    return table.part(Split.TRAIN)


def fit(trainer: Trainer, module: EmotionModule, data: FaceData, folder: Path, start_share: float = 0.0) -> None:
    """Train from the last checkpoint in the folder, or from the start, and take the best epoch's weights.

    Args:
        start_share: of the module's present weights, in those that it takes.

    Raises:
        UserError: if there are checkpoints that cannot be gone on from.
    """
    last, best = folder / LAST, folder / BEST
    start = {name: tensor.clone() for name, tensor in module.state_dict().items()} if start_share else {}
    if last.exists():
        require_resumable(last.parent, trainer, module)
    trainer.fit(module, datamodule=data, ckpt_path=last if last.exists() else None, weights_only=True)
    state = torch.load(best, map_location="cpu", weights_only=True)["state_dict"] if trainer.is_global_zero else None
    if state and start_share:
        state = between(start, state, start_share)
    module.load_state_dict(rounded(trainer.strategy.broadcast(state)))  # other machines may not see the folder


def _how_to_go_on(folder: Path) -> str:
    again = f"the same command with resume={relative_path(resume_root(folder))}"
    if resume_root(folder) == folder and not (folder / LAST).exists():
        return f"nothing was kept, as no epoch had ended: {again} starts anew in this folder"
    return f"to continue: {again}"


@contextmanager
def working(trainer: Trainer, config: TrainConfig, folder: Path) -> Iterator[None]:
    """Have the first process keep others out of the folder, and show what it does."""
    if not trainer.is_global_zero:
        yield
        return
    with exclusive(folder), logging_to(config, folder) as trainer.logger.loggers:
        yield


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Say how to continue after an interruption.

    Raises:
        KeyboardInterrupt: after Ctrl-C, of which Lightning makes SystemExit.
        SystemExit: if submitit has put the job back into a cluster's queue.
        RunError: if a file could not be written.
    """
    try:
        with writing():
            yield
    except (KeyboardInterrupt, SystemExit, Terminated) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, KeyboardInterrupt):
            raise
        print(f"\n{_how_to_go_on(folder)}", flush=True)
        if isinstance(error, SystemExit):
            raise KeyboardInterrupt from error
        raise
