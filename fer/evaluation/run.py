"""One evaluation, `fit=false`: a weights file evaluated on a dataset, and a folder that says all about it.

The folder is that of a training but for what only a training has; metrics.json is written last: no file, no success.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from pydantic import ValidationError
from torch import nn

from fer.config.messages import sentences
from fer.data.ferplus import read_crowd
from fer.data.groups import Groups, read_groups
from fer.data.readers import class_counts, read
from fer.data.table import Split, Table, require_one
from fer.devices import evaluation_device
from fer.emotions import class_names
from fer.errors import RunError, UserError, printable
from fer.evaluation.console import print_end, print_faces, print_facts, print_scope, relative_path, scope, size_of
from fer.evaluation.evaluate import Evaluation, draw_evaluation, evaluate, write_evaluation
from fer.evaluation.loggers import Logger, logging_to
from fer.evaluation.markdown import listed
from fer.evaluation.results import write_json
from fer.export.onnx import export
from fer.monitor import monitor_mistake
from fer.provenance import describe
from fer.run_folder import EXPORTED, RESULTS, exclusive, make_folder
from fer.schema import TrainConfig
from fer.weights import Header, load_net

Tell = Callable[[str], object]
FINAL = ("accuracy", "balanced_accuracy", "f1_macro", "auroc", "ece", "loss")  # columns of tables, for val and test


def run(config: TrainConfig, folder: Path) -> float:
    """Evaluate a weights file by a configuration.

    Args:
        config: the checked configuration, of `fit=false`.
        folder: takes everything that the evaluation leaves.

    Returns:
        The monitored metric, of validation, or of test where there are no other faces.

    Raises:
        UserError: if the data or the weights cannot be used.
        RunError: if an answer is not finite, or a file could not be written.
    """
    began = time.perf_counter()
    make_folder(folder)
    if (folder / RESULTS).is_file():
        return finished(folder, config)
    net, header, table = prepare(config)
    device = evaluation_device(config.trainer.accelerator)
    print_faces(config.dataset.name, table)
    print_scope(table, folder)
    net_name = f"from {relative_path(config.weights)}: {config.model.name}, {size_of(net, table)}"
    print_facts({"net": net_name, "device": f"{device}, precision 32-true", "folder": relative_path(folder)})
    with exclusive(folder), writing(), logging_to(config, folder) as loggers:
        found, results = measure(config, net, header, table, device, folder, _say)
        if config.export:
            print(export(config.weights, folder / EXPORTED), flush=True)
        drawn = draw_evaluation(net, header, found)
        publish(folder, found, drawn, loggers, results, lambda: time.perf_counter() - began)
    print_end(results, header.classes, list(found.outputs), folder)
    return monitored(results, config)


def _say(words: str) -> None:
    print(words, flush=True)


def prepare(config: TrainConfig, tell: Tell = _say) -> tuple[nn.Module, Header, Table]:
    """Return the net of a weights file, the file's header, and the faces with its classes and input size.

    Raises:
        UserError: if the data or the weights cannot be used.
    """
    net, header = load_net(config.weights)
    table = read_for(config, header, tell)
    if wrong := monitor_mistake(config.monitor, header.classes):
        raise UserError(f"monitor: {wrong}")
    return net, header, table


def measure(
    config: TrainConfig,
    net: nn.Module,
    header: Header,
    table: Table,
    device: torch.device,
    folder: Path | None,
    tell: Tell,
) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluate what `prepare` has returned; return what was found, and the facts for metrics.json.

    Args:
        config: of the evaluation.
        net: which is evaluated.
        header: of its file.
        table: the faces.
        device: where the net runs.
        folder: of the evaluation, if it has one.
        tell: is told what comes next.

    Raises:
        UserError: if the annotators' votes beside the data, or the groups, do not fit.
        Diverged: if an answer is not finite.
    """
    found = evaluate(
        net,
        header,
        table,
        whose=f"weights={config.weights}",
        test=config.test,
        tta=config.tta,
        crowd=crowd_of(config, table),
        groups=groups_of(config, table),
        seed=config.seed,
        device=device,
        batch=config.batch_size,
        tell=tell,
    )
    results = found.results | describe(config, header, folder, device.type, "32-true") | scope(table) | table.facts
    return found, results | {"temperature": found.temperature, "not_sure": found.not_sure}


def publish(
    folder: Path,
    found: Evaluation,
    drawn: dict[str, Figure],
    loggers: list[Logger],
    results: dict[str, Any],
    seconds: Callable[[], float],
) -> None:
    """Write what an evaluation leaves in a run's folder, show what it came to, and write metrics.json last.

    Args:
        folder: of the run.
        found: by the evaluation.
        drawn: figures, by name.
        loggers: of the run.
        results: for metrics.json; takes temperature, threshold and the seconds of the run.
        seconds: tells how long the run has taken.
    """
    write_evaluation(folder, found, drawn)
    keys = (f"{split}/{name}" for name in FINAL for split in ("val", "test"))
    final = {f"final/{key}": results[key] for key in keys if key in results}
    for logger in loggers:
        logger.results(final, sorted((folder / "figures").glob("*.png")))
    results |= {"temperature": found.temperature, "not_sure": found.not_sure}
    results["seconds"] = round(seconds(), 1)
    write_json(folder / RESULTS, results)


def finished(folder: Path, config: TrainConfig) -> float:
    """Return what a run in a folder came to, which is finished already: a job of a resumed sweep."""
    print("finished already")
    return monitored(json.loads((folder / RESULTS).read_text(encoding="utf-8")), config)


@contextmanager
def writing() -> Iterator[None]:
    """Tell in a sentence that a file of the run could not be written.

    Raises:
        RunError: saying which.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"a file of the run could not be written ({error})") from error


def monitored(results: dict[str, Any], config: TrainConfig) -> float:
    """Return the monitored metric of validation, or of test where an evaluation has no other faces; NaN without any."""
    return results.get(config.monitor, results.get(config.monitor.replace("val/", "test/"), math.nan))


def read_for(config: TrainConfig, header: Header, tell: Tell = _say) -> Table:
    """Read the dataset with the classes and the input size of a weights file.

    The faces of the classes that both have are kept; the table says how many others there were.

    Raises:
        UserError: if there are no such classes, or no faces of them.
    """
    name, asked = config.dataset.name, {}
    if counts := class_counts(config.dataset):
        shared = _require_shared(config, header, class_names(counts[-1]))
        asked["classes"] = next(count for count in counts if shared <= set(class_names(count)))
    tell(f"reading {name}")
    if name == "ferplus" and header.training.get("dataset") == name:
        asked["labels"] = header.training.get("labels")  # they choose the training faces, which test is compared with
    try:
        dataset = type(config.dataset).model_validate(config.dataset.model_dump() | asked)
    except ValidationError as error:
        wrong = printable(sentences(error, asked)[0])
        raise UserError(f"weights={config.weights}: the file's header is wrong: training.{wrong}") from error
    table = read(dataset, header.input_size, fit=False)
    _require_shared(config, header, table.classes)
    evaluated = (Split.VAL, Split.TEST) if config.test else (Split.VAL,)
    return require_one(table.with_classes(header.classes), evaluated, f"{name}, with the classes of {config.weights}")


def _require_shared(config: TrainConfig, header: Header, labelled: tuple[str, ...]) -> set[str]:
    """Return the classes that a net and a dataset have in common.

    Raises:
        UserError: if there are none.
    """
    if shared := set(header.classes) & set(labelled):
        return shared
    raise UserError(
        f"weights={config.weights}: expected a net with classes of dataset={config.dataset.name} "
        f"({listed(labelled) or 'none'}), but its classes are {listed(header.classes)}"
    )


def crowd_of(config: TrainConfig, table: Table) -> np.ndarray | None:
    """Return what FER+'s annotators call FER2013's test faces; None where that is not known.

    Raises:
        UserError: if the file of their votes does not fit.
    """
    if config.dataset.name != "fer2013" or not config.test:
        return None
    return read_crowd(config.dataset.root, table.part(Split.TEST), config.dataset.on_error)


def groups_of(config: TrainConfig, table: Table) -> Groups | None:
    """Return the groups of people to whom the test faces belong, in the order of rows; None if no file tells them.

    Raises:
        UserError: if the file cannot be used.
    """
    return read_groups(config.groups, table.part(Split.TEST).by_rows()) if config.groups else None
