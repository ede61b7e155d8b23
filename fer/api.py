"""Training, evaluation and data sets from Python: what `train.py` does, for notebooks and programs.

Settings are the words of the command, `key=value` and `group=option`, checked in the same way: all mistakes in one
`fer.errors.UserError`. Nothing of Hydra stays behind, the working folder is not changed, and a process keeps its seeds,
threads, log levels and signals.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer.errors import UserError

if TYPE_CHECKING:
    from fer.config.jobs import Job
    from fer.data.table import Table

Place = str | os.PathLike[str]


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: of all that it left, as that of `train.py`: figures, predictions, checkpoints; an absolute path.
        metrics: what its metrics.json holds: flat keys, `test/accuracy` (0 to 1), `test/recall/fear`, `epochs`, ...
            See `train` for an example.
    """

    folder: Path
    metrics: dict[str, Any] = field(repr=False)

    @property
    def weights(self) -> Path:
        """The weights file of the best epoch, for `Predictor.load` and `fer.evaluate`."""
        from fer.run_folder import NET

        return self.folder / NET


def train(overrides: Sequence[str] = ()) -> Run:
    """Train a net as `python train.py ...` does, and print its progress.

    One device trains, and one training at a time; in a script, call it below `if __name__ == "__main__":`, since on
    macOS and Windows the processes that load the faces import the script.

    Args:
        overrides: the command's words: ["experiment=laptop", "dataset.root=DIR", "seed=2"]; with "resume=RUN_DIR", an
            interrupted run continues. The run's folder is a new one in runs/ below the working folder, or that of
            "hydra.run.dir=DIR".

    Returns:
        The finished run.

    Raises:
        UserError: with all that is wrong with the words, data and weights, before any work.
        RunError: if the training failed: the loss is not finite, the disk is full.
        KeyboardInterrupt: when interrupted, also by the stop button of a notebook; the console tells how to go on.

    Examples:
        >>> import fer
        >>> run = fer.train(["experiment=debug", "dataset.train=60", "dataset.val=24", "dataset.test=24"])
        reading synthetic
        ...
        >>> run.metrics["epochs"], run.metrics["test/n"], run.weights.name
        (2, 24, 'weights.safetensors')
        >>> fer.Predictor.load(run.weights).classes
        ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise')
    """
    from fer.command_line import owned

    job, flags = _read(overrides)
    if not job.config.fit:
        raise UserError("fit=false: expected a training; fer.evaluate(weights, dataset, root) evaluates")
    from fer.run_folder import RESULTS, keep_settings  # what is heavy, once all is known to be there
    from fer.training.guest import as_guest
    from fer.training.run import run

    with as_guest(), owned([job], flags, _check_alone) as (folder, is_kept):
        folder = folder.absolute()
        if is_kept:
            keep_settings(folder, *job.texts())
        run(job.config, folder)
        return Run(folder, json.loads((folder / RESULTS).read_text(encoding="utf-8")))


def evaluate(
    weights: Place,
    dataset: str = "fer2013",
    root: Place | None = None,
    *,
    tta: str = "none",
    skip_test: bool = False,
    groups: Place | None = None,
    batch_size: int = 128,
    device: str = "auto",
    **options: Any,
) -> dict[str, Any]:
    """Evaluate a weights file as `python train.py fit=false` does, with the same figures; print and write nothing.

    Args:
        weights: a weights file, or the name of a net that comes with the project: "ferplus", "fer2013".
        dataset: an option of conf/dataset: "fer2013", "ferplus", "folder", "synthetic".
        root: the data set's folder; if left out, the one that its YAML file names.
        tta: "none", or views that are evaluated, too, in rows of their own: "flip", "tencrop", "all".
        skip_test: evaluate validation only, as while something is still to be chosen.
        groups: a CSV file with a group for test faces, for the figures of each: `test_group/NAME/accuracy`.
        batch_size: faces at a time.
        device: "auto", "cpu", "cuda" or "mps".
        options: further keys of conf/dataset/DATASET.yaml, as on_error="skip". Classes and input size are the net's.

    Returns:
        What metrics.json holds: `test/accuracy` (0 to 1) with its interval `test/accuracy_low` and `_high`,
        `test/recall/fear`, `test/ece`, `test/n`, the same of `val/`, and the facts of net and data.

    Raises:
        UserError: if data, weights or options cannot be used.
        RunError: if an answer of the net is not finite.

    Examples:
        >>> import fer
        >>> figures = fer.evaluate("fer2013", "synthetic", train=12, val=12, test=24)
        >>> figures["test/n"], 0 <= figures["test/accuracy_low"] <= figures["test/accuracy"] <= 1
        (24, True)
    """
    asked = {"fit": False, "tta": tta, "test": not skip_test, "batch_size": batch_size, "trainer.accelerator": device}
    words = [f"weights={os.fspath(weights)}", *_words(dataset, root, options), *_settings(asked)]
    words += [] if groups is None else [f"groups={os.fspath(groups)}"]
    config = _read(words)[0].config
    from fer.devices import evaluation_device  # torch, once it is known to be there
    from fer.evaluation.run import measure, prepare

    net, header, table = prepare(config, _say_nothing)
    return measure(config, net, header, table, evaluation_device(device), None, _say_nothing)[1]


def load_dataset(dataset: str = "fer2013", root: Place | None = None, *, size: int = 48, **options: Any) -> "Table":
    """Read a data set in any of its layouts, with its official splits, for whatever is to be done with its arrays.

    Args:
        dataset: an option of conf/dataset: "fer2013", "ferplus", "folder", "synthetic".
        root: the data set's folder; if left out, the one that its YAML file names.
        size: side of the square images, in pixels; FER2013's have 48.
        options: further keys of conf/dataset/DATASET.yaml: classes=7, labels="soft", on_error="skip", ...

    Returns:
        The faces, whose arrays are the caller's own: `images` (N, size, size) uint8, gray; `targets` (N, C) float32, a
        distribution over `classes` in each row; `labels` (N,), the most probable class; `splits` (N,) uint8, and
        `table.part(Split.TRAIN)`, `Split.VAL`, `Split.TEST` of `fer.data.table` for one split; `rows` (N,) int64, the
        place of each face in the source.

    Raises:
        UserError: if the files or the options cannot be used, or a split is empty.

    Examples:
        >>> import fer
        >>> from fer.data.table import Split
        >>> table = fer.load_dataset("synthetic", train=60, val=12, test=12)
        >>> table
        <Table: 84 faces of 48x48 pixels; train 60, val 12, test 12; angry, disgust, fear, happy, sad, surprise>
        >>> table.images.shape, table.images.dtype, table.targets.shape
        ((84, 48, 48), dtype('uint8'), (84, 6))
        >>> table.counts()[Split.TRAIN]
        array([10, 10, 10, 10, 10, 10])
    """
    from fer.config.hydra_inside import apart
    from fer.config.jobs import one_config
    from fer.data.readers import load
    from fer.schema import TrainConfig

    with apart():
        config = one_config("train", [*_words(dataset, root, options), f"model.input_size={size}"], TrainConfig)
    return load(config.dataset, config.model.input_size)


def _read(words: Sequence[str]) -> tuple["Job", Any]:
    """Return the one checked job of a command's words, and the flags among them.

    Raises:
        UserError: with all that is wrong.
    """
    from fer.command_line import check_words, parse_words
    from fer.config.hydra_inside import apart
    from fer.schema import TrainConfig

    if isinstance(words, str):
        raise UserError(f"expected a list of words, but got one text: [{words!r}]")
    with apart():
        flags, _ = parse_words([os.fspath(word) for word in words], None)
        if flags.multirun:
            raise UserError(
                "-m: expected one training, but -m makes a sweep of several: call fer.train for each, or run the sweep "
                "by python train.py -m, which reports it, too"
            )
        if flags.cfg or flags.help or flags.hydra_help or flags.info or flags.shell_completion:
            raise UserError(
                "expected settings, key=value, but got a flag that shows a page: run python train.py --help"
            )
        jobs, _ = check_words(flags, "train", TrainConfig, _check_alone)
    return jobs[0], flags


def _check_alone(jobs: list["Job"], multirun: bool) -> None:
    """Check what the schema cannot, and that one training in this process is what is asked for."""
    from fer.training.checks import check_training

    errors = [mistake for job in jobs for mistake in _other_work(job)]
    try:
        check_training(jobs, multirun)
    except UserError as error:
        errors += error.args
    if errors:
        raise UserError(*errors)


def _other_work(job: "Job") -> Iterator[str]:
    trainer = job.part("trainer")
    if job.part("sweep"):
        yield "sweep: expected one training, but a search makes many: run it by python train.py sweep=optuna"
    if trainer and trainer.shared_by:
        yield (
            f"{trainer.shared_by}: expected one device, since several processes would each run the program that calls "
            "fer.train: run python train.py trainer=ddp"
        )


def _words(dataset: str, root: Place | None, options: dict[str, Any]) -> list[str]:
    place = [] if root is None else [f"dataset.root={os.fspath(root)}"]
    return [f"dataset={dataset}", *place, *_settings({f"dataset.{key}": value for key, value in options.items()})]


def _settings(values: dict[str, Any]) -> list[str]:
    """Return values as words: what JSON says, Hydra reads."""
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]


def _say_nothing(words: str) -> None:
    pass
