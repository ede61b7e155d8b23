"""The model card of a weights file, in Markdown, from an evaluation of that very file.

    python train.py fit=false weights=weights/NAME.safetensors tta=all dataset.root=DIR hydra.run.dir=RESULTS
    python -m fer.evaluation.card RESULTS --output weights/NAME.md

Mitchell et al., Model Cards for Model Reporting, 2019. Every figure comes from the evaluation's metrics.json and
predictions.csv, what it was made by from the file's header.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer.errors import RunError, UserError
from fer.evaluation.apart import APART
from fer.evaluation.comparison import estimate
from fer.evaluation.files import whole_file
from fer.evaluation.markdown import code, listed, per_cent, spread, table
from fer.evaluation.metrics import rates
from fer.evaluation.reading import read_run
from fer.evaluation.runs import Run
from fer.weights import Header, read_weights

SPLITS = {
    "val": "validation (chosen on)",
    "val_flip": "validation, mirrored too",
    "val_tencrop": "validation, ten crops",
    "test": "test (read once)",
    "test_flip": "test, mirrored too",
    "test_tencrop": "test, ten crops",
} | {key: f"test, {words}" for key, words in APART.items()}
SOURCES = {
    "fer2013": (
        "FER2013 (Goodfellow et al., 2013): 48-pixel gray faces from the web, each with one annotator's word. "
        "Training, validation and test are its Training, PublicTest and PrivateTest.",
        "FER2013 was published for a challenge and is for research; the pictures belong to their owners.",
        "The labels are single annotators' words for pictures found by searching for such words, and many are "
        "doubtful: compare the row by the majority of FER+'s annotators.",
    ),
    "ferplus": (
        "FER+ (Barsoum et al., 2016): FER2013's 48-pixel gray faces from the web, each with ten annotators' votes. "
        "Validation and test keep the faces with an official majority (PublicTest and PrivateTest).",
        "FER+'s votes are under the MIT licence; FER2013's pictures are for research and belong to their owners.",
        "The faces that ten annotators could not agree upon are left out of validation and test, so real pictures are "
        "harder than these figures say.",
    ),
}
USE = (
    "For research, teaching and play: to study training and augmentation, to show how such nets look at faces, to try "
    "interfaces.",
    "Not for judging, hiring, policing, grading, diagnosing or watching people, nor for anything that a person would "
    "have to bear the consequences of. A face does not tell what a person feels: the net tells which of these words "
    "annotators would give to a picture. How it errs on people of different age, sex, skin or culture was not "
    "measured, because the data do not say.",
)


def write_card(evaluation: Path, output: Path, seeds: Sequence[Path] = (), crops: Path | None = None) -> None:
    """Write the card.

    Args:
        evaluation: folder of a run with fit=false.
        output: the Markdown file.
        seeds: folders of all runs of the recipe, that of the weights among them, for figures over seeds.
        crops: figures of `fer.inference.recrop`, if the card is to have them.

    Raises:
        UserError: if a folder does not hold what it should.
        RunError: if the card cannot be written.
    """
    run = _read(evaluation)
    if "weights" not in run.metrics:
        raise UserError(f"{evaluation}: expected an evaluation (fit=false weights=FILE), but it is a training")
    weights = Path(run.metrics["weights"])
    _, header = read_weights(weights)
    if header.training.get("dataset") != run.metrics["dataset"]:
        raise UserError(
            f"{evaluation}: expected an evaluation on the dataset of the training, {header.training.get('dataset')}, "
            f"but got one on {run.metrics['dataset']}"
        )
    runs = [_read(folder) for folder in seeds]
    with whole_file(output) as file:
        file.write("\n".join(_card(run, weights, header, runs, _load(crops) if crops else None)))


def _read(folder: Path) -> Run:
    run = read_run(folder)
    if run.problem or "test" not in run.predictions:
        raise UserError(f"{folder}: expected a finished run with its predictions, but {run.problem or 'has none'}")
    return run


def _load(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: expected figures of fer.inference.recrop, but it cannot be read ({error})") from error


def _card(run: Run, weights: Path, header: Header, runs: Sequence[Run], crops: dict[str, Any] | None) -> Iterator[str]:
    metrics, training = run.metrics, header.training
    data, licence, labels = SOURCES.get(training["dataset"], (f"The dataset {training['dataset']}.", "Yours.", ""))
    state, _ = read_weights(weights)
    parameters = sum(tensor.numel() for name, tensor in state.items() if not name.endswith(_STATISTICS))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    yield from (f"# {weights.name}", "")
    yield (
        f"Tells {len(header.classes)} emotions apart ({', '.join(header.classes)}) on gray faces of "
        f"{header.input_size} pixels. An SE-ResNet of {parameters / 1e6:.2f} M parameters, trained from scratch; "
        f"{weights.stat().st_size / 1e6:.1f} MB, SHA-256 `{digest[:16]}…`."
    )
    yield from ("", "## How it was made", "", data, "")
    yield from table(("", ""), list(_recipe(training, header)), left=2)
    yield from ("Any figure below comes back, to the digit, on a CPU, by", "")
    yield from (f"    {_command(run)}", "")
    yield from ("## What it reaches", "", "Per cent, with 95 % bootstrap intervals over the faces.", "")
    yield from table(("", "n", "accuracy", "balanced accuracy", "macro F1", "calibration error"), list(_rows(metrics)))
    yield from _over_seeds(runs)
    before, after = (per_cent(metrics[f"test/{name}"]) for name in ("ece_uncalibrated", "ece"))
    yield (
        f"The probabilities are those of logits over the temperature {header.temperature:g}, fitted on validation: the "
        f"expected calibration error on test is {after} with it and {before} without."
    )
    if crops:
        yield from ("", _crops_sentence(crops))
    yield from ("", "### By class, on test", "")
    kinds = ("precision", "recall", "f1")
    rows = [(name, *(per_cent(metrics[f"test/{kind}/{name}"]) for kind in kinds)) for name in header.classes]
    yield from table(("class", "precision", "recall", "F1"), rows)
    yield from ("### Who is taken for whom, on test", "")
    counts = _counts(run)
    yield from table(
        ("true \\ called", *header.classes),
        [(name, *map(str, row)) for name, row in zip(header.classes, counts.tolist(), strict=True)],
    )
    yield from ("## Where it is weak", "")
    yield from (f"- {sentence}" for sentence in (*_weaknesses(counts, header.classes, metrics), labels) if sentence)
    yield from ("", "## Use", "", *(line for sentence in USE for line in (sentence, "")))
    yield from ("## Licence", "", f"The weights: MIT, as the code. {licence}", "")


_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def _recipe(training: dict[str, Any], header: Header) -> Iterator[tuple[str, str]]:
    yield "command", code(training.get("command", "unknown"))
    yield "epochs", f"{training.get('epochs', '?')}, the best on validation: {training.get('best_epoch', '?')}"
    yield "augmentation", code(str(training["augmentation"]))
    yield "labels", str(training["labels"])
    yield "loss", str(training["loss"])
    yield "optimizer, schedule", f"{training['optimizer']}, {training['scheduler']}"
    yield "seed", str(training["seed"])
    yield "trained on", f"{training['device']}, {training['precision']}"
    names = ("fer", "torch", "lightning", "albumentations")
    yield (
        "versions",
        ", ".join(f"{name} {training['versions'][name]}" for name in names if name in training["versions"]),
    )
    yield "normalisation", f"gray in [0, 1], minus {header.mean:.4f}, over {header.std:.4f}"


def _command(run: Run) -> str:
    words = [f"{key}={value}" for key, value in run.typed.items() if key in ("tta", "dataset", "dataset.classes")]
    return " ".join(("python train.py fit=false", f"weights={run.metrics['weights']}", *words, "dataset.root=DIR"))


def _rows(metrics: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for split, words in SPLITS.items():
        if f"{split}/accuracy" not in metrics:
            continue
        names = ("accuracy", "balanced_accuracy", "f1_macro")
        figures = (
            f"{per_cent(metrics[f'{split}/{name}'])} ({per_cent(metrics[f'{split}/{name}_low'])} to "
            f"{per_cent(metrics[f'{split}/{name}_high'])})"
            for name in names
        )
        yield words, f"{metrics[f'{split}/n']:,}", *figures, per_cent(metrics[f"{split}/ece"])


def _over_seeds(runs: Sequence[Run]) -> Iterator[str]:
    if len(runs) < 2:
        yield from ("One seed: nothing is said about the luck of the training.", "")
        return
    names = {f"{split}/accuracy": words for split, words in SPLITS.items()}
    rows = [
        (words, *(per_cent(run.figure(key)) for run in runs), spread(estimate([run.figure(key) for run in runs])))
        for key, words in names.items()
        if all(key in run.metrics for run in runs)
    ]
    seeds = [f"seed {run.metrics['seed']}" for run in runs]
    yield from (f"Accuracy of {len(runs)} trainings that differ in the seed; mean ± deviation, 95 % t-interval:", "")
    yield from table(("", *seeds, "over seeds"), rows)


def _crops_sentence(crops: dict[str, Any]) -> str:
    return (
        f"Enlarged and put into larger pictures, {crops['found']:,} of {crops['n']:,} {crops['split']} faces are found "
        f"by the detector ({crops['detector']}). On these the accuracy is {per_cent(crops['accuracy_as_they_are'])} as "
        f"they are, and {per_cent(crops['accuracy_found_anew'])} as the detector and the crop of infer.py cut them out."
    )


def _counts(run: Run) -> np.ndarray:
    """Return (C, C) int64: how often a test face of class i (row) was called j (column)."""
    found, width = run.predictions["test"], len(run.classes)
    return np.bincount(found.targets * width + found.called, minlength=width**2).reshape(width, width)


def _weaknesses(counts: np.ndarray, classes: Sequence[str], metrics: dict[str, Any]) -> Iterator[str]:
    recall, precision = (rates(counts)[name] for name in ("recall", "precision"))
    worst = int(recall.argmin())
    yield f"It misses {classes[worst]} most often: {recall[worst]:.0%} of these faces are called so."
    vague = int(precision.argmin())
    yield f"Its word {classes[vague]} is right least often: {precision[vague]:.0%} of the time."
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    pairs = [np.unravel_index(place, shares.shape) for place in shares.ravel().argsort()[::-1][:3]]
    yield (
        "It takes most often "
        + listed([f"{classes[true]} for {classes[called]} ({shares[true, called]:.0%})" for true, called in pairs])
        + "."
    )
    if "neutral" not in classes:
        yield "There is no neutral class: a calm face, too, is called one of these words."
    if "test_unseen/accuracy" in metrics:
        copies = metrics["test/n"] - metrics["test_unseen/n"]
        yield (
            f"{copies:,} of the {metrics['test/n']:,} test images are exact copies of training images; without "
            f"them the accuracy is {per_cent(metrics['test_unseen/accuracy'])}."
        )
    yield "Faces turned far away, covered, badly lit or smaller than the input are hardly in the data."


def main(words: Sequence[str] | None = None) -> None:
    """Write the card that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m fer.evaluation.card", description=__doc__.splitlines()[0])
    parser.add_argument("evaluation", type=Path, metavar="RESULTS", help="folder of the evaluation, a fit=false run")
    parser.add_argument("--output", type=Path, metavar="FILE", required=True, help="the card, a .md file")
    parser.add_argument("--seeds", type=Path, metavar="DIR", nargs="+", default=(), help="all trainings of the recipe")
    parser.add_argument("--crops", type=Path, metavar="FILE", help="what fer.inference.recrop wrote")
    asked = parser.parse_args(words)
    try:
        write_card(asked.evaluation, asked.output, asked.seeds, asked.crops)
    except UserError as error:
        parser.error(str(error))
    except RunError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
