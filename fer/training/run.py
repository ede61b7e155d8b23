"""One run: read the data, teach the net, judge it once, and leave a folder that says all about it.

metrics.json is written last, and only if everything went well: no file, no success.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback
from matplotlib.figure import Figure
from pydantic import ValidationError

from fer.data.augmentation import build_strategy
from fer.data.ferplus import read_crowd
from fer.data.module import FaceData, gray_statistics
from fer.data.sources import read
from fer.data.table import Split, Table, require_splits
from fer.emotions import class_names
from fer.errors import RunError, Terminated, UserError, printable
from fer.evaluation.apart import judge_apart
from fer.evaluation.calibration import fit_temperature
from fer.evaluation.results import Outputs, split_results, write_json, write_predictions
from fer.mistakes import sentences
from fer.models.se_resnet import SEResNet
from fer.run_folder import RESULTS, alone, make_folder
from fer.schema import TrainConfig
from fer.training.callbacks import Record
from fer.training.dashboard import Dashboard, draw_augmented, draw_evaluation, draw_history, publish_figures
from fer.training.losses import make_loss
from fer.training.module import EmotionModule
from fer.training.resumption import require_resumable
from fer.training.summary import describe, print_end, print_some, print_start, shown
from fer.training.trainer import make_trainer
from fer.weights import Header, load_net, rounded, save_weights, transplant

VOCABULARIES = {"fer2013": (6, 7), "ferplus": (6, 7, 8), "synthetic": (6, 7), "folder": (8,)}


def run(config: TrainConfig, folder: Path, watchers: Sequence[Callback] = ()) -> float:
    """Train and evaluate, or only evaluate, by a configuration.

    Args:
        config: the checked configuration.
        folder: takes everything that the run leaves; with an interrupted run's checkpoint in it, that run goes on.
        watchers: further callbacks of the training.

    Returns:
        The monitored validation metric of the kept weights.

    Raises:
        UserError: if the data or the weights cannot be used.
        RunError: if the loss is not finite, or a file could not be written.
    """
    make_folder(folder)
    if (folder / RESULTS).is_file():
        print("finished already")  # a job of a resumed sweep
        return json.loads((folder / RESULTS).read_text(encoding="utf-8"))[config.monitor]
    record = Record(folder)
    seed_everything(config.seed, verbose=False)
    table, net, header = prepare(config)
    data = make_data(config, table)
    crowd = crowd_of(config, table)
    trainer = make_trainer(config, folder, [record, Dashboard(data), *watchers])
    module = EmotionModule(net, header, make_loss(config.loss, table.counts()[Split.TRAIN]), config)
    if trainer.is_global_zero:
        print_start(config, folder, table, net, trainer)
    with resumable(folder, config), alone(folder) if trainer.is_global_zero else nullcontext():
        if config.fit:
            fit(trainer, module, data, folder)
        logger, trainer.logger, trainer.callbacks = trainer.logger, None, []  # judging is no part of the record
        outputs, drawn = judge(trainer, module, data)
        header = module.header
        if not trainer.is_global_zero:
            return 0.0
        if "test" in outputs:
            parts, copies = judge_apart(outputs["test"], table, crowd)
            outputs |= parts
        results = split_results(outputs, header.classes, header.temperature) | describe(config, header, trainer, folder)
        if "test" in outputs:
            results["test/copies"] = copies
        if config.fit:
            drawn |= draw_augmented(module, data) | draw_history(record.history)
            results |= record.summary(config.monitor)
            save_weights(folder / "weights.safetensors", net.state_dict(), header.trained(results))
        write_predictions(folder / "predictions_val.csv", outputs["val"], data.parts[Split.VAL])
        if "test" in outputs:
            write_predictions(folder / "predictions.csv", outputs["test"], data.parts[Split.TEST])
        publish_figures(logger, folder / "figures", drawn, config, results)
        results["temperature"] = header.temperature
        results["seconds"] = round(record.seconds(), 1)
        write_json(folder / RESULTS, results)
    print_end(results, header.classes, list(outputs), folder)
    return results[config.monitor]


def prepare(config: TrainConfig) -> tuple[Table, SEResNet, Header]:
    """Return the faces, the net, and what its weights file says (fit=false) or will say.

    Raises:
        UserError: if data or weights cannot be used, or do not fit each other.
    """
    if not config.fit:
        net, header = load_net(config.weights)
        return read_for(config, header), net, header
    print(f"reading {config.dataset.name}", flush=True)
    table = read(config.dataset, config.model.input_size)
    architecture = config.model.architecture()
    net = SEResNet(len(table.classes), **architecture)
    if config.weights:
        print_some(f"starting from {config.weights}; not taken over", transplant(net, table.classes, config.weights))
    mean, std = gray_statistics(table)
    return table, net, Header(table.classes, config.model.input_size, mean, std, architecture)


def read_for(config: TrainConfig, header: Header) -> Table:
    """Read the dataset with the classes and the input size of a weights file.

    Raises:
        UserError: if the dataset has no such classes, or no faces of them.
    """
    name = config.dataset.name
    fitting = [count for count in VOCABULARIES[name] if set(header.classes) <= set(class_names(count))]
    if not fitting:
        strangers = [emotion for emotion in header.classes if emotion not in class_names(VOCABULARIES[name][-1])]
        raise UserError(f"weights={config.weights}: tells {', '.join(strangers)} apart, which {name} does not label")
    print(f"reading {name}", flush=True)
    asked = {"classes": fitting[0]}
    if name == "ferplus" and header.training.get("dataset") == name:
        asked["labels"] = header.training.get("labels")  # they choose the training faces, which test is compared with
    try:
        dataset = type(config.dataset).model_validate(config.dataset.model_dump() | asked)
    except ValidationError as error:
        wrong = printable(sentences(error, asked)[0])
        raise UserError(f"weights={config.weights}: the file's header is wrong: training.{wrong}") from error
    table = read(dataset, header.input_size)
    return require_splits(table.with_classes(header.classes), f"{name}, with the classes of {config.weights}")


def crowd_of(config: TrainConfig, table: Table) -> np.ndarray | None:
    """Return what FER+'s annotators call FER2013's test faces; None where that is not known.

    Raises:
        UserError: if the file of their votes does not fit.
    """
    if config.dataset.name != "fer2013" or not config.test:
        return None
    rows = table.part(Split.TEST).rows
    return read_crowd(config.dataset.root, rows, table.classes, config.dataset.on_error)


def make_data(config: TrainConfig, table: Table) -> FaceData:
    """Return the loaders of a table, with the configured augmentation if there is something to train."""
    transform = build_strategy(config.augmentation.transforms, table.images.shape[1]) if config.fit else None
    draws = getattr(config.dataset, "labels", None) == "probability"
    return FaceData(table, transform, config.batch_size, config.workers, config.seed, draws)


def fit(trainer: Trainer, module: EmotionModule, data: FaceData, folder: Path) -> None:
    """Train from the last checkpoint in the folder, or from the start, and take the best epoch's weights.

    Raises:
        UserError: if there are checkpoints that cannot be gone on from.
    """
    last, best = (folder / "checkpoints" / name for name in ("last.ckpt", "best.ckpt"))
    if last.exists():
        require_resumable(last.parent, trainer, module)
    trainer.fit(module, datamodule=data, ckpt_path=last if last.exists() else None, weights_only=True)
    state = torch.load(best, map_location="cpu", weights_only=True)["state_dict"] if trainer.is_global_zero else None
    module.load_state_dict(rounded(trainer.strategy.broadcast(state)))  # other machines may not see the folder


def whole(folder: Path) -> Path:
    """Return what is to be resumed: a run's folder, or that of the sweep or search that it belongs to."""
    is_part = any((folder.parent / name).exists() for name in ("multirun.yaml", "study.journal"))
    return folder.parent if is_part else folder


@contextmanager
def resumable(folder: Path, config: TrainConfig) -> Iterator[None]:
    """Say how to go on after an interruption.

    Raises:
        KeyboardInterrupt: after Ctrl-C, of which Lightning makes SystemExit.
        SystemExit: if submitit has put the job back into a cluster's queue.
        RunError: if a file could not be written.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"a file of the run could not be written ({error})") from error
    except (KeyboardInterrupt, SystemExit, Terminated) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, KeyboardInterrupt):
            raise
        if config.fit:
            print(f"\nto go on: the same command with resume={shown(whole(folder))}", flush=True)
        if isinstance(error, SystemExit):
            raise KeyboardInterrupt from error
        raise


def judge(trainer: Trainer, module: EmotionModule, data: FaceData) -> tuple[dict[str, Outputs], dict[str, Figure]]:
    """Judge validation and, if asked for, test, with views if asked for; return outputs by split, and figures.

    After a training, the temperature is fitted on validation; the logits in the outputs are divided by it.
    """
    config = module.config
    module.tta = {"none": (), "all": ("flip", "tencrop")}.get(config.tta, (config.tta,))
    outputs: dict[str, Outputs] = {}
    drawn: dict[str, Figure] = {}
    for split in (Split.VAL, Split.TEST) if config.test else (Split.VAL,):
        judge_split = trainer.validate if split == Split.VAL else trainer.test
        judge_split(module, datamodule=data, verbose=False)
        if config.fit and split == Split.VAL:
            temperature = fit_temperature(*module.outputs["val"][:2])
            module.header = replace(module.header, temperature=temperature)
        module.scale_outputs()
        outputs |= module.outputs
        if trainer.is_global_zero:
            drawn |= draw_evaluation(module, split.name.lower(), data.parts[split])
    return outputs, drawn
