"""Nets on corrupted faces: as crops, in whole pictures, and in other frames."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from fer.data.decoding import resize
from fer.data.table import Table
from fer.errors import RunError, UserError
from fer.evaluation.confusion import confusion, rates
from fer.evaluation.metrics import calibration_error
from fer.evaluation.predict import classifier, predict
from fer.evaluation.robustness.corruptions import ALL, AS_IS, FRAMINGS, STRENGTHS, Place, chance, corrupt, usual_place
from fer.evaluation.robustness.pictures import Picture, crops_of, find_places, look, picture_of
from fer.evaluation.statistics import bootstrap, wilson
from fer.faces.detection import CropRegion
from fer.faces.detectors import Detector
from fer.faces.schema import usual_crop
from fer.header import Header, read_header
from fer.paths import shipped
from fer.progress import progress
from fer.weights import digest, load_net

BATCH = 32  # faces at a time: on a CPU a fifth faster than 128, whose features do not stay in its cache


class Subject(NamedTuple):
    """A net that is judged, or that others are only compared with."""

    name: str
    net: nn.Module
    header: Header
    sha256: str
    is_asked: bool = True


class Condition(NamedTuple):
    """What is done to faces: where ("framing", "crop" or "picture"), what, and how strongly, 0 for not at all."""

    stage: str
    name: str
    strength: int = 0


class Interval(NamedTuple):
    """A figure with its 95 % interval over the faces."""

    value: float
    low: float
    high: float


class Score(NamedTuple):
    """How a net does under a condition; a face that is not found is wrong.

    Attributes:
        net: its name.
        condition: what was done.
        right: (N,) bool, of each face.
        found: share of the faces.
        accuracy: of all faces.
        balanced_accuracy: of all faces.
        ece: calibration error on those that are found, NaN if none is.
    """

    net: str
    condition: Condition
    right: np.ndarray
    found: Interval
    accuracy: Interval
    balanced_accuracy: Interval
    ece: float


class Found(NamedTuple):
    """What was measured.

    Attributes:
        subjects: the nets, the baseline last if it is none of those that were asked for.
        baseline: its name, "" if there is none.
        scores: of every net under every condition; of a baseline that was not asked for, on crops only.
        labels: (N,) int64 of the faces of "crop" and of "picture", in the order of `Score.right`.
        landmarks: how many of the corrupted faces have landmarks of their own.
    """

    subjects: list[Subject]
    baseline: str
    scores: list[Score]
    labels: dict[str, np.ndarray]
    landmarks: int

    @property
    def asked(self) -> list[Subject]:
        """The nets that were asked for."""
        return [subject for subject in self.subjects if subject.is_asked]

    def of(self, net: str, stage: str) -> dict[tuple[str, int], Score]:
        """Return a net's scores of one stage by name and strength."""
        scores = (score for score in self.scores if (score.net, score.condition.stage) == (net, stage))
        return {(score.condition.name, score.condition.strength): score for score in scores}


def names_of(files: Sequence[Path]) -> list[str]:
    """Return a name for each file: its own, or its folder's for a run's weights; its path where these are the same."""
    names = [file.parent.name if file.stem == "weights" and file.parent.name else file.stem for file in files]
    return [name if names.count(name) == 1 else str(file) for name, file in zip(names, files, strict=True)]


def load_subjects(files: Sequence[Path], baseline: Path | None) -> tuple[list[Subject], str]:
    """Load the nets, and the baseline: the file that is named, or the net of the same classes that comes with us.

    Returns:
        The nets, and the name of the baseline, "" if there is none.

    Raises:
        UserError: if one cannot be read, one is there twice, or they have not all the same classes.
    """
    subjects = [Subject(name, *load_net(file), digest(file)) for name, file in zip(names_of(files), files, strict=True)]
    classes, found = subjects[0].header.classes, [subject.sha256 for subject in subjects]
    if len(set(found)) < len(found):
        raise UserError(f"expected each net once, but among {', '.join(map(str, files))} some are the same")
    if baseline is None:
        baseline = next((Path(name) for name in shipped() if read_header(Path(name)).classes == classes), None)
    sha256 = digest(baseline) if baseline else ""
    if baseline and sha256 not in found:
        subjects.append(Subject(names_of([*files, baseline])[-1], *load_net(baseline), sha256, is_asked=False))
    if strangers := [subject for subject in subjects if subject.header.classes != classes]:
        raise UserError(
            f"{strangers[0].name}: expected the classes of {subjects[0].name} ({', '.join(classes)}), "
            f"but it has {', '.join(strangers[0].header.classes)}"
        )
    for subject in subjects:
        subject.net.to(memory_format=torch.channels_last)
    return subjects, next((subject.name for subject in subjects if subject.sha256 == sha256), "")


class View(NamedTuple):
    """What nets see under a condition: N faces, which of them (N,) are found, and the K crops (K, S, S) by size."""

    table: Table
    found: np.ndarray
    crops: Callable[[int], np.ndarray]


def judge(subject: Subject, condition: Condition, view: View) -> Score:
    """Return how a net does.

    Raises:
        RunError: if an answer is not finite.
    """
    table, header, classes = view.table, subject.header, len(view.table.classes)
    predicted, ece = np.full(len(table), classes), np.nan
    if view.found.any():
        seen = replace(table.select(view.found), images=view.crops(header.input_size))
        outputs = predict(classifier(subject.net, header), seen, batch=BATCH).scaled(header.temperature)
        if not outputs.are_finite:
            raise RunError(f"{subject.name}: expected finite answers, but those for {condition.name} are not")
        predicted[view.found] = outputs.logits.argmax(1).numpy()
        ece = calibration_error(outputs.logits.double().softmax(1), outputs.targets)
    matrix = confusion(table.labels, predicted, classes + 1)  # the last column has the faces that are not found
    values, spans, count = rates(matrix), bootstrap(matrix), int(view.found.sum())
    share = Interval(count / len(table), *wilson(count, len(table)))
    figures = [Interval(float(values[name]), *spans[name]) for name in ("accuracy", "balanced_accuracy")]
    return Score(subject.name, condition, predicted == table.labels, share, *figures, ece)


def conditions() -> list[Condition]:
    """Return all that is done to faces, in order."""
    corrupting = [(AS_IS, 0), *((name, strength) for name in ALL for strength in STRENGTHS)]
    done = [Condition(stage, name, strength) for stage in ("crop", "picture") for name, strength in corrupting]
    return [*(Condition("framing", name) for name in FRAMINGS), *done]


class Faces:
    """The faces, some of which are corrupted, and some of these put into pictures.

    Args:
        table: all of a split.
        detector: finds landmarks, and the faces of pictures.
        corrupted: how many are corrupted, drawn by the seed.
        pictured: how many of these are put into pictures.
        seed: of all chance.
    """

    def __init__(self, table: Table, detector: Detector, corrupted: int, pictured: int, seed: int) -> None:
        self.all, self.detector, self.seed, self.crop = table.by_rows(), detector, seed, usual_crop()
        drawn = table.sample(seed, corrupted)
        self.some, self.few = drawn.by_rows(), drawn.select(np.arange(min(pictured, len(drawn)))).by_rows()
        usual = usual_place(table.images.shape[1])
        shown = progress(self.some.images, len(drawn), "faces: landmarks")
        self.places, self.landmarks = find_places(shown, detector, usual)
        place_of = dict(zip(self.some.rows.tolist(), self.places, strict=True))
        pairs = list(zip(self.few.images, self.few.rows.tolist(), strict=True))
        self.pictures = [picture_of(image, place_of[row], seed, row) for image, row in pairs]

    def view(self, condition: Condition) -> View:
        """Return what nets see under a condition."""
        if condition.stage == "picture":
            return self._pictured(condition)
        if condition.stage == "framing":
            return _whole(self.all, [FRAMINGS[condition.name](image) for image in self.all.images])
        faces = zip(self.some.images, self.some.rows.tolist(), self.places, strict=True)
        return _whole(self.some, [self._corrupt(condition, *face) for face in faces])

    def _pictured(self, condition: Condition) -> View:
        def seen(picture: Picture, row: int) -> tuple[Picture, CropRegion | None]:
            image = self._corrupt(condition, picture.image, row, picture.place)
            corrupted = picture._replace(image=image)
            return corrupted, look(corrupted, self.detector, self.crop)

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # a detector takes one thread
            pictures, squares = zip(*pool.map(seen, self.pictures, self.few.rows.tolist()), strict=True)
        found = np.array([square is not None for square in squares])
        return View(self.few, found, lambda size: crops_of(pictures, squares, size))

    def _corrupt(self, condition: Condition, image: np.ndarray, row: int, place: Place) -> np.ndarray:
        _, name, strength = condition
        return corrupt(name, image, strength, chance(self.seed, name, row), place) if strength else image


def _whole(table: Table, images: Sequence[np.ndarray]) -> View:
    """Return the view of faces that need not be searched."""
    return View(table, np.ones(len(table), bool), lambda size: np.stack([resize(image, size) for image in images]))


def measure(subjects: list[Subject], baseline: str, faces: Faces) -> Found:
    """Measure nets, of the table's classes, under every condition.

    Raises:
        RunError: if an answer is not finite.
    """
    asked, scores = conditions(), []
    asked = [condition for condition in asked if condition.stage != "picture" or faces.pictures]
    for condition in progress(asked, len(asked), "conditions"):
        view = faces.view(condition)
        judges = [subject for subject in subjects if subject.is_asked or condition.stage == "crop"]
        scores += [judge(subject, condition, view) for subject in judges]
    labels = {"crop": faces.some.labels, "picture": faces.few.labels}
    return Found(subjects, baseline, scores, labels, faces.landmarks)
