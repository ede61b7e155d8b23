"""The model card, line by line."""

import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer.emotions import EMOTIONS
from fer.evaluation.confusion import confusion, rates
from fer.evaluation.markdown import accuracy_missed, answers_left, code, listed, others_told, per_cent, spread, table
from fer.evaluation.slices import SLICES
from fer.evaluation.statistics import estimate
from fer.evaluation.study.runs import Run, uneven
from fer.paths import exported
from fer.terms import FOR, LAW, NO_ADVICE, NOT_FOR, licence_of, source_of
from fer.weights import Header, digest, load_net

SPLITS = {
    "val": "validation",
    "val_flip": "validation, mirrored too",
    "val_tencrop": "validation, ten crops",
    "test": "test",
    "test_flip": "test, mirrored too",
    "test_tencrop": "test, ten crops",
} | {key: f"test, {words}" for key, words in SLICES.items()}
OFFICIAL = "official"


def card_lines(run: Run, weights: Path, header: Header, runs: Sequence[Run], crops: str | None) -> Iterator[str]:
    """Yield the card's lines.

    Args:
        run: the evaluation.
        weights: the file that was evaluated.
        header: that file's.
        runs: finished trainings that differ in the seed only, or none.
        crops: a sentence on what detector and crop cost, if there is one.
    """
    metrics, training = run.metrics, header.training
    data, _, labels = source_of(training)
    parameters = sum(parameter.numel() for parameter in load_net(weights)[0].parameters())
    steps = len(list(_earlier(training))) + 1
    origin = _origin(training) + (
        f" in {steps} trainings, each from the weights of the one before" if steps > 1 else ""
    )
    verb, kind = ("Classifies", "emotions") if set(header.classes) <= set(EMOTIONS) else ("Predicts", "classes")
    yield from (f"# {weights.name}", "")
    yield (
        f"{verb} {len(header.classes)} {kind} ({', '.join(header.classes)}) on gray faces of "
        f"{header.input_size} pixels. {_kind(header)} of {parameters / 1e6:.2f} M parameters, trained {origin}."
    )
    yield ""
    yield from table(("file", "SHA-256", "MB"), list(_files(weights)), left=2)
    yield from ("## Training", "", data, "")
    yield from table(("", ""), list(_recipe(training, header)), left=2)
    yield from ("## Results", "")
    yield "Per cent, with 95 % bootstrap intervals over the faces. To reproduce these figures, to the digit, on a CPU:"
    yield from ("", f"    {_command(run)}", "")
    yield from ("The best epoch and the temperature were chosen on validation, nothing on test.", "")
    yield from _split(metrics, training)
    yield from table(("", "n", "accuracy", "balanced accuracy", "macro F1", "calibration error"), list(_rows(metrics)))
    yield from _over_seeds(runs)
    before, after = (per_cent(metrics[f"test/{name}"]) for name in ("ece_uncalibrated", "ece"))
    yield (
        f"The probabilities are those of logits over the temperature {header.temperature:g}, fitted on validation: the "
        f"expected calibration error on test is {after} with it and {before} without."
    )
    yield from _answers(metrics, training, header)
    if crops:
        yield from ("", crops)
    yield from ("", "### By class (test)", "")
    kinds = {"precision": "precision", "recall": "recall", "f1": "F1", "class_ece": "calibration error"}
    kinds = {kind: words for kind, words in kinds.items() if f"test/{kind}/{header.classes[0]}" in metrics}
    counts = _counts(run)
    rows = [
        (name, f"{n:,}", *(per_cent(metrics.get(f"test/{kind}/{name}", math.nan)) for kind in kinds))
        for name, n in zip(header.classes, counts.sum(1), strict=True)
    ]
    yield from table(("class", "n", *kinds.values()), rows)
    yield from ("### Confusion matrix (test)", "")
    yield from table(
        ("true \\ predicted", *header.classes),
        [(name, *map(str, row)) for name, row in zip(header.classes, counts.tolist(), strict=True)],
    )
    yield from ("## Limitations", "")
    yield from (f"- {sentence}" for sentence in (*_limitations(counts, header.classes, metrics), labels) if sentence)
    yield from ("", "## Use", "", FOR, "", NOT_FOR, "", f"{LAW} {NO_ADVICE}", "")
    yield from ("## Licence", "", licence_of(training), "")


def _files(weights: Path) -> Iterator[tuple[str, ...]]:
    for path in (weights, exported(weights)):
        if path.is_file():
            yield code(path.name), code(digest(path)), f"{path.stat().st_size / 1e6:.1f}"


def _split(metrics: dict[str, Any], training: dict[str, Any]) -> Iterator[str]:
    """Say that a split is not the official one, or not all of it."""
    for what, facts in (("evaluated", metrics), ("trained", training)):
        if (split := facts.get("dataset_split", OFFICIAL)) != OFFICIAL:
            yield f"**Not on the official split**: {what} on a copy's own (`dataset_split: {split}`). These figures"
            yield from ("cannot be compared with those of others.", "")
        elif "dataset_found" in facts:
            found = listed([f"{count:,} of {split}" for split, count in facts["dataset_found"].items()])
            yield from (f"**Not on all of the data**: {what} on a copy that has {found}.", "")


def _earlier(training: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the trainings that a training started from, the latest first."""
    while training := training.get("started_from"):
        yield training


def _origin(training: dict[str, Any]) -> str:
    """Say what the first training began from."""
    fetched = next((one["pretrained"] for one in (training, *_earlier(training)) if "pretrained" in one), None)
    return f"from timm's weights of {fetched}, so not from scratch," if fetched else "from scratch"


def _kind(header: Header) -> str:
    architecture = header.architecture
    kinds = {"se_resnet": "An SE-ResNet", "vgg": "A plain VGG", "timm": f"timm's {architecture.get('backbone')}"}
    name = architecture.get("name", "se_resnet")
    return kinds.get(name, f"A net of the kind {name}")


def _command_of(training: dict[str, Any]) -> str:
    return code(training["command"]) if "command" in training else "from Python"


def _recipe(training: dict[str, Any], header: Header) -> Iterator[tuple[str, str]]:
    yield "command", _command_of(training)
    for earlier in _earlier(training):
        made = ", ".join(f"{key} {earlier[key]}" for key in ("dataset", "epochs", "seed") if key in earlier)
        file = f"{code(earlier['name'])}, SHA-256 `{earlier['sha256'][:16]}…`"
        yield "started from", f"{file}: {_command_of(earlier)}, {made}"
    yield "epochs", f"{training.get('epochs', '?')}, the best on validation: {training.get('best_epoch', '?')}"
    if share := training.get("start_share"):
        yield "weights", f"{per_cent(share)} % of those that it started from, the rest of the best epoch's"
    yield "augmentation", code(str(training["augmentation"]))
    for teacher in training.get("teachers", ()):
        yield "taught by", f"{code(teacher['name'])}, SHA-256 `{teacher['sha256'][:16]}…`: {_command_of(teacher)}"
    if share := training.get("teacher_share"):
        yield "targets", f"{per_cent(share)} % of the mean answer of those that it was taught by, the rest of the label"
    others = "; faces of other classes with equal shares" if training.get("others") == "uniform" else ""
    yield "labels", f"{training['labels']}{others}"
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
    """Return the command of the evaluation, without the paths of this machine."""
    drop = ("fit", "weights", "dataset.root", "groups", "workers", "batch_size")
    words = [f"{key}={value}" for key, value in run.typed.items() if value and key not in drop]
    words = ["fit=false", f"weights={run.metrics['weights']}", *words]
    return shlex.join(("python", "train.py", *words, *(["dataset.root=DIR"] if "dataset.root" in run.config else [])))


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
        yield from ("One seed: how much another seed would change was not measured.", "")
        return
    left_out = uneven(runs)
    names = {f"{split}/accuracy": words for split, words in SPLITS.items() if split not in left_out}
    rows = [
        (words, *(per_cent(run.figure(key)) for run in runs), spread(estimate([run.figure(key) for run in runs])))
        for key, words in names.items()
        if all(key in run.metrics for run in runs)
    ]
    seeds = [f"seed {run.metrics['seed']}" for run in runs]
    interval = ", 95 % t-interval" if len(runs) > 2 else ""
    yield from (f"Accuracy of {len(runs)} trainings that differ in the seed; mean ± deviation{interval}:", "")
    yield from table(("", *seeds, "over seeds"), rows)


def _answers(metrics: dict[str, Any], training: dict[str, Any], header: Header) -> Iterator[str]:
    """Say which answers are withheld, and what that brings; older evaluations did not count them."""
    if "test/aurc" not in metrics:
        return
    aurc, excess = (per_cent(metrics[f"test/{name}"]) for name in ("aurc", "excess_aurc"))
    area = f"The area under the risk-coverage curve of test is {aurc}, {excess} more than with all mistakes last."
    if not header.not_sure:
        yield from ("", area)
        return
    asked = f" for {per_cent(training['not_sure_accuracy'])} % right ones" if "not_sure_accuracy" in training else ""
    left = [f"of {SPLITS[key]}, {answers_left(metrics, key)}" for key in ("val", "test") if f"{key}/n" in metrics]
    yield from ("", f'Answers below {per_cent(header.not_sure)} % are "not sure", chosen on validation{asked}.')
    if missed := accuracy_missed(header.metrics, header.training.get("not_sure_accuracy", 0)):
        yield missed
    yield f"{'; '.join(left).replace('of', 'Of', 1)}. {area}"


def _counts(run: Run) -> np.ndarray:
    """Return (C, C) int64: how often a test face of class i (row) was predicted to be j (column)."""
    found = run.predictions["test"]
    return confusion(found.targets, found.predicted, len(run.classes))


def _limitations(counts: np.ndarray, classes: Sequence[str], metrics: dict[str, Any]) -> Iterator[str]:
    faces, predicted, hits = counts.sum(1), counts.sum(0), counts.diagonal()
    recall, precision = (rates(counts)[name] for name in ("recall", "precision"))
    worst = int(np.where(faces > 0, recall, np.inf).argmin())
    yield f"Lowest recall: {classes[worst]}, predicted for {hits[worst]} of {faces[worst]} such faces."
    vague = int(np.where(predicted > 0, precision, np.inf).argmin())
    yield f"Lowest precision: {classes[vague]}, right {hits[vague]} of {predicted[vague]} times."
    if never := [name for name, n in zip(classes, predicted, strict=True) if n == 0]:
        yield f"Never predicted: {listed(never)}."
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    pairs = [np.unravel_index(place, shares.shape) for place in shares.ravel().argsort()[::-1][:3]]
    confused = [f"{classes[i]} as {classes[j]} ({counts[i, j]} of {faces[i]})" for i, j in pairs if shares[i, j]]
    if confused:
        yield f"Most frequent confusions: {'; '.join(confused)}."
    if "neutral" not in classes and set(classes) <= set(EMOTIONS):
        yield "There is no neutral class: a calm face, too, gets one of these labels."
    if "test_others/n" in metrics:
        yield others_told(metrics, "test")
    copies, near = metrics["test/copies"], metrics.get("test/near_copies", 0)  # older evaluations looked for none
    if copies + near:
        also = f", and {near:,} more show the same photograph in another light, crop or compression" if near else ""
        yield (
            f"{copies:,} of the {metrics['test/n']:,} test images are exact copies of training images{also}; without "
            f"them the accuracy is {per_cent(metrics.get('test_unseen/accuracy', np.nan))}."
        )
    if "test_crowd/accuracy" in metrics:
        agreed, crowd = (per_cent(metrics[f"test_{part}/accuracy"]) for part in ("agreed", "crowd"))
        yield (
            f"On the {metrics['test_agreed/n']:,} test faces on which FER+'s ten annotators agree the accuracy is "
            f"{agreed}, and {crowd} by their labels instead of FER2013's."
        )
