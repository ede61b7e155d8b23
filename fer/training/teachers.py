"""Distillation: what trained nets answer on the training faces becomes a part of the targets of another net.

Hinton et al., Distilling the Knowledge in a Neural Network, 2015, with the teachers' calibrated probabilities, averaged
over a face and its mirror image and over the teachers, in the place of a raised temperature. Asked once, before the
training: what the augmentation makes of a face keeps the face's target.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from fer.counting import counted
from fer.data.readers import load
from fer.data.schema import Dataset
from fer.data.table import Split, Table
from fer.devices import evaluation_device
from fer.errors import Diverged, UserError, printable
from fer.evaluation.predict import classifier, predict
from fer.header import Header, read_header
from fer.paths import resolve_weights
from fer.progress import progress
from fer.run_folder import NET
from fer.schema import TrainConfig
from fer.weights import digest, load_net

ASKED = 1024  # faces between two steps of the bar


def teachers_of(word: Path) -> list[Path]:
    """Return the weights files that a word means: a file or a shipped net, or a run's or a sweep's folder, of them all.

    Raises:
        UserError: if there is none in the folder.
    """
    path = resolve_weights(word)
    if not path.is_dir():
        return [word]
    if (path / NET).is_file():
        return [path / NET]
    if files := sorted(path.glob(f"*/{NET}")):
        return files
    raise UserError(
        f"teacher={word}: expected a weights file, or the folder of a run or a sweep, but there is no {NET} in this one"
    )


def require_teachers(word: Path, classes: Sequence[str] | None) -> list[Path]:
    """Return the weights files of the teachers, once it is known that they know the classes.

    Args:
        word: as typed.
        classes: that are to be taught; None if that is not known yet.

    Raises:
        UserError: if a file cannot be used, or its net lacks a class.
    """
    files = teachers_of(word)
    for file in files:
        with _told_as_teacher():
            header = read_header(file, onnx=False)
        if lacking := [name for name in classes or () if name not in header.classes]:
            raise UserError(
                f"teacher={file}: expected a net that predicts every class that is taught, but it has no "
                f"{printable(', '.join(lacking))}: its classes are {', '.join(header.classes)}"
            )
    return files


@contextmanager
def _told_as_teacher() -> Iterator[None]:
    """Name the setting that was typed in what is told of a weights file."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace("weights=", "teacher=", 1)) from error


def taught_targets(config: TrainConfig, table: Table) -> np.ndarray:
    """Return the targets (M, C) float32 by which the M training faces of a table are taught.

    Args:
        config: of the training, with a teacher.
        table: its faces, in the input size of the net that is taught.

    Raises:
        UserError: if a file cannot be used, or its net lacks a class.
        Diverged: if an answer is not finite.
    """
    files = tuple((file, digest(file)) for file in require_teachers(config.teacher, table.classes))
    answers = _answers(files, config.dataset, table, evaluation_device(config.trainer.accelerator))
    targets = table.targets[table.splits == Split.TRAIN]
    return ((1 - config.teacher_share) * targets + config.teacher_share * answers).astype(np.float32)


@lru_cache(maxsize=1)  # for the jobs of a sweep and the trials of a search
def _answers(files: tuple[tuple[Path, str], ...], dataset: Dataset, table: Table, device: torch.device) -> np.ndarray:
    """Return what teachers, weights files with their SHA-256, answer on the training faces by their mean, (M, C)."""
    train = table.part(Split.TRAIN)
    answers = np.zeros(train.targets.shape)
    parts = np.array_split(np.argsort(train.rows, kind="stable"), -(-len(train) // ASKED))
    names = ", ".join(file.parent.name if file.name == NET else str(file) for file, _ in files)
    print(f"asking {names} about {counted(len(train), 'training face')}", flush=True)
    for file, _ in files:
        with _told_as_teacher():
            net, header = load_net(file)
        classify, faces = classifier(net.to(device), header, "flip"), _seen_by(header, dataset, train)
        columns = [header.classes.index(name) for name in table.classes]
        for part in progress(parts, len(parts), "batches"):
            logits = predict(classify, faces.select(part), device).logits
            if not bool(torch.isfinite(logits).all()):
                raise Diverged(f"teacher={file}: an answer is not finite: the file is damaged")
            known = (logits / header.temperature).softmax(1).double().numpy()[:, columns]
            answers[part] += known / np.maximum(known.sum(1, keepdims=True), 1e-12) / len(files)
    return answers


def _seen_by(header: Header, dataset: Dataset, train: Table) -> Table:
    """Return the training faces in a teacher's input size, read anew if it sees more of them than the net."""
    size = header.input_size
    if size <= train.images.shape[1]:
        return train.resized(size)
    table = load(dataset, size).part(Split.TRAIN)  # not read, which would forget the faces for the jobs of a sweep
    return table.select(np.isin(table.rows, train.rows))
