"""Writes tiny datasets of random faces in every layout in which people have the real ones.

Each function fills a folder and returns what it wrote, so that tests can compare.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fer.emotions import EMOTIONS

SIDE = 48
USAGES = ("Training", "PublicTest", "PrivateTest")  # in the order of fer.data.table.Split
SPLITS = ("train", "val", "test")
VOTE_HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
VOTE_COLUMNS = {  # place of each emotion among the ten vote columns
    "angry": 4, "disgust": 5, "fear": 6, "happy": 1, "sad": 3, "surprise": 2, "neutral": 0, "contempt": 7,
}  # fmt: skip


@dataclass(frozen=True)
class Faces:
    """What was written, in the order of the file's rows.

    Attributes:
        images: (N, 48, 48) uint8.
        emotions: (N,) int64, codes into `fer.emotions.EMOTIONS`.
        splits: (N,) int64, 0 train, 1 validation, 2 test.
        votes: (N, 10) int64 in the published column order; seven for the face's emotion, three for the next one.
    """

    images: np.ndarray
    emotions: np.ndarray
    splits: np.ndarray
    votes: np.ndarray


def make_faces(per_class: int = 2, classes: int = 7, seed: int = 0) -> Faces:
    """Return `per_class` random faces of each class in each split, the splits one after the other."""
    splits, _, emotions = (grid.ravel() for grid in np.indices((3, per_class, classes)))
    images = np.random.default_rng(seed).integers(0, 256, (len(splits), SIDE, SIDE), np.uint8)
    votes = np.zeros((len(splits), 10), np.int64)
    columns = np.array([VOTE_COLUMNS[name] for name in EMOTIONS])
    votes[np.arange(len(splits)), columns[emotions]] = 7
    votes[np.arange(len(splits)), columns[(emotions + 1) % classes]] = 3
    return Faces(images, emotions, splits, votes)


def pixels(image: np.ndarray) -> str:
    return " ".join(map(str, image.ravel()))


def write_image(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 100] if path.suffix == ".jpg" else []
    cv2.imencode(path.suffix, image, quality)[1].tofile(path)


def write_fer2013_csv(folder: Path, per_class: int = 2, seed: int = 0) -> Faces:
    """Write fer2013.csv."""
    faces = make_faces(per_class, seed=seed)
    write_rows(folder / "fer2013.csv", "emotion,pixels,Usage", "{emotion},{pixels},{usage}", faces)
    return faces


def write_icml_csv(folder: Path, per_class: int = 2, seed: int = 0) -> Faces:
    """Write icml_face_data.csv, which has another column order and blanks in its header."""
    faces = make_faces(per_class, seed=seed)
    write_rows(folder / "icml_face_data.csv", "emotion, Usage, pixels", "{emotion},{usage},{pixels}", faces)
    return faces


def write_kaggle_folders(folder: Path, per_class: int = 2, seed: int = 0, named: bool = True) -> Faces:
    """Write train/ and test/ with class folders of JPEG files; `named` ones tell PublicTest from PrivateTest."""
    faces = make_faces(per_class, seed=seed)
    for number, (image, emotion, split) in enumerate(zip(faces.images, faces.emotions, faces.splits, strict=True)):
        name = f"{USAGES[split]}_{number}.jpg" if named else f"{number}.jpg"
        write_image(folder / ("train" if split == 0 else "test") / EMOTIONS[emotion] / name, image)
    return faces


def write_ferplus_csv(folder: Path, per_class: int = 2, seed: int = 0) -> Faces:
    """Write fer2013.csv, in which contempt passes for neutral, and fer2013new.csv with the votes on its rows."""
    faces = make_faces(per_class, classes=8, seed=seed)
    write_rows(folder / "fer2013.csv", "emotion,pixels,Usage", "{emotion},{pixels},{usage}", faces)
    lines = [
        f"{USAGES[split]},fer{number:07d}.png,{','.join(map(str, votes))}"
        for number, (split, votes) in enumerate(zip(faces.splits, faces.votes, strict=True))
    ]
    (folder / "fer2013new.csv").write_text("\n".join([VOTE_HEADER, *lines]) + "\n")
    return faces


def write_ferplus_folders(folder: Path, per_class: int = 2, seed: int = 0) -> Faces:
    """Write data/FER2013Train, -Valid and -Test with images and label.csv, as the FERPlus repository makes them."""
    faces = make_faces(per_class, classes=8, seed=seed)
    for split, name in enumerate(("FER2013Train", "FER2013Valid", "FER2013Test")):
        place = folder / "data" / name
        place.mkdir(parents=True)
        with (place / "label.csv").open("w", newline="") as file:
            for number in np.flatnonzero(faces.splits == split):
                image = f"fer{number:07d}.png"
                write_image(place / image, faces.images[number])
                csv.writer(file).writerow([image, "(0, 0, 48, 48)", *faces.votes[number]])
    return faces


def write_class_folders(
    folder: Path, names: tuple[str, ...] = EMOTIONS[:6], per_class: int = 2, seed: int = 0
) -> dict[str, np.ndarray]:
    """Write train/, val/ and test/ with the class folders `names`, PNG; return each file's image by its path."""
    rng = np.random.default_rng(seed)
    paths = [f"{split}/{name}/{i}.png" for split in SPLITS for name in names for i in range(per_class)]
    written = {path: rng.integers(0, 256, (SIDE, SIDE), np.uint8) for path in paths}
    for path, image in written.items():
        write_image(folder / path, image)
    return written


def edit_line(path: Path, line: int, old: str, new: str) -> None:
    """Change one line of a file, counted from 1."""
    lines = path.read_text().split("\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    path.write_text("\n".join(lines))


def write_rows(path: Path, header: str, row: str, faces: Faces) -> None:
    """Write a CSV with a row for each face."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codes = np.minimum(faces.emotions, 6)
    lines = [
        row.format(emotion=emotion, pixels=pixels(image), usage=USAGES[split])
        for image, emotion, split in zip(faces.images, codes, faces.splits, strict=True)
    ]
    path.write_text("\n".join([header, *lines]) + "\n")
