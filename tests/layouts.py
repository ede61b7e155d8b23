"""Writes FER2013 in every layout in which people have it, of drawn faces and of the real ones.

    python -m tests.layouts DIR OUTPUT

writes the real ones, of a folder with fer2013.csv, each into a folder of OUTPUT.
"""

import argparse
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fer.emotions import EMOTIONS
from tests.data import SPLITS, USAGES, Faces, write_image, write_rows

ALPHABETICAL = sorted(EMOTIONS[:7])
SIDE = 48


def encoded(image: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def chosen(faces: Faces, index: np.ndarray) -> Faces:
    return Faces(*(array[index] for array in (faces.images, faces.emotions, faces.splits, faces.votes)))


def shuffled(faces: Faces, seed: int = 0) -> Faces:
    return chosen(faces, np.random.default_rng(seed).permutation(len(faces.images)))


def resplit(faces: Faces, seed: int = 1) -> Faces:
    """Deal the splits anew, in the shares of FER2013."""
    shares = np.random.default_rng(seed).choice(3, len(faces.images), p=(0.8, 0.1, 0.1))
    return Faces(faces.images, faces.emotions, shares, faces.votes)


def _folders(folder: Path, faces: Faces, names: Callable[[int, int, int], str], change: Callable = lambda i: i) -> None:
    """Write an image file for each face, named by its number, emotion and split."""
    for number, (image, emotion, split) in enumerate(zip(faces.images, faces.emotions, faces.splits, strict=True)):
        write_image(folder / names(number, emotion, split), change(image))


def csv_below(folder: Path, faces: Faces) -> None:
    """Rows 1 and 5: the challenge's archive, unpacked."""
    write_rows(folder / "fer2013/fer2013.csv", "emotion,pixels,Usage", "{emotion},{pixels},{usage}", faces)


def icml_below(folder: Path, faces: Faces) -> None:
    """Rows 2 and 4."""
    write_rows(folder / "fer2013/icml_face_data.csv", "emotion, Usage, pixels", "{emotion},{usage},{pixels}", faces)


def csv_shuffled_and_resplit(folder: Path, faces: Faces) -> None:
    """A CSV whose rows and whose Usage are others."""
    faces = resplit(shuffled(faces))
    write_rows(folder / "fer2013.csv", "emotion,pixels,Usage", "{emotion},{pixels},{usage}", faces)


def three_csvs(folder: Path, faces: Faces) -> None:
    """Row 10: train.csv, val.csv, test.csv."""
    for split, name in enumerate(SPLITS):
        part = Faces(
            *(array[faces.splits == split] for array in (faces.images, faces.emotions, faces.splits, faces.votes))
        )
        write_rows(folder / f"{name}.csv", "emotion,pixels", "{emotion},{pixels}", part)


def named_nested(folder: Path, faces: Faces) -> None:
    """Row 6: train/train and test/test, names that begin with the Usage."""
    parts = ("train/train", "test/test", "test/test")
    _folders(folder, faces, lambda n, e, s: f"{parts[s]}/{EMOTIONS[e]}/{USAGES[s]}_{n}.png")


def named_jpeg(folder: Path, faces: Faces) -> None:
    """Row 6, as it is served: JPEG."""
    parts = ("train", "test", "test")
    _folders(folder, faces, lambda n, e, s: f"{parts[s]}/{EMOTIONS[e]}/{USAGES[s]}_{n}.jpg")


def unnamed(folder: Path, faces: Faces) -> None:
    """Row 7: im0.png, so that no name tells the split; class folders in other words."""
    words = ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral")
    parts = ("train", "test", "test")
    _folders(folder, faces, lambda n, e, s: f"{parts[s]}/{words[e]}/im{n}.png")


def validation_jpeg(folder: Path, faces: Faces) -> None:
    """Row 8: images/images/train and validation, JPEG without a word in the names."""
    parts = ("train", "validation", "validation")
    _folders(folder, faces, lambda n, e, s: f"images/images/{parts[s]}/{EMOTIONS[e]}/{n}.jpg")


def numbered(folder: Path, faces: Faces) -> None:
    """Row 9: data/{train,val,test}/{0..6}."""
    _folders(folder, faces, lambda n, e, s: f"data/{SPLITS[s]}/{e}/{n:05}.png")


def flat_rgb(folder: Path, faces: Faces) -> None:
    """Class folders alone, in colour."""
    _folders(
        folder, faces, lambda n, e, s: f"fer2013/{EMOTIONS[e]}/{n}.png", lambda i: cv2.cvtColor(i, cv2.COLOR_GRAY2BGR)
    )


def enlarged(folder: Path, faces: Faces) -> None:
    """Twice the side, by repeated pixels, and re-split."""
    repeat = lambda image: np.kron(image, np.ones((2, 2), np.uint8))  # noqa: E731
    _folders(folder, resplit(faces), lambda n, e, s: f"{SPLITS[s]}/{EMOTIONS[e]}/{n}.png", repeat)


def parquet_named(folder: Path, faces: Faces) -> None:
    """Row 11: data/train-00000-of-00001.parquet, numbers with names in the schema."""
    for split, name in enumerate(("train", "valid", "test")):
        index = np.flatnonzero(faces.splits == split)
        cells = [{"bytes": encoded(faces.images[i]), "path": f"{i}.png"} for i in index]
        names = {"info": {"features": {"label": {"names": list(EMOTIONS[:7]), "_type": "ClassLabel"}}}}
        write_parquet(
            folder / f"data/{name}-00000-of-00001.parquet",
            {"image": cells, "label": faces.emotions[index].tolist()},
            {"huggingface": json.dumps(names)},
        )


def parquet_alphabetical(folder: Path, faces: Faces) -> None:
    """Row 12: default/{train,test}/0000.parquet, numbers by the alphabet, without names."""
    for name, splits in (("train", (0,)), ("test", (1, 2))):
        index = np.flatnonzero(np.isin(faces.splits, splits))
        labels = [ALPHABETICAL.index(EMOTIONS[faces.emotions[i]]) for i in index]
        cells = [encoded(faces.images[i]) for i in index]
        write_parquet(folder / f"default/{name}/0000.parquet", {"img_bytes": cells, "labels": labels})


def parquet_alone(folder: Path, faces: Faces) -> None:
    """Row 14: one file, enlarged."""
    order = np.random.default_rng(0).permutation(len(faces.images))
    cells = [encoded(cv2.resize(faces.images[i], (96, 96), interpolation=cv2.INTER_NEAREST)) for i in order]
    write_parquet(folder / "faces.parquet", {"image": cells, "label": [EMOTIONS[faces.emotions[i]] for i in order]})


def tars(folder: Path, faces: Faces) -> None:
    """Row 13: webdataset, pairs of .jpg and .cls, sorted by class."""
    for name, splits in (("train", (0,)), ("test", (1, 2))):
        path = folder / name / "0.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        index = np.flatnonzero(np.isin(faces.splits, splits))
        with tarfile.open(path, "w") as archive:
            for key, i in enumerate(sorted(index, key=lambda i: faces.emotions[i])):
                for suffix, data in (("png", encoded(faces.images[i])), ("cls", str(faces.emotions[i]).encode())):
                    member = tarfile.TarInfo(f"s{key:07}.{suffix}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
    (folder / "classnames.txt").write_text("\n".join(EMOTIONS[:7]))


def write_parquet(path: Path, columns: dict, metadata: dict | None = None) -> None:
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table(columns)
    parquet.write_table(table.replace_schema_metadata(metadata) if metadata else table, path)


EXACT = (  # every pixel as published
    csv_below, icml_below, csv_shuffled_and_resplit, three_csvs, named_nested, unnamed, numbered, flat_rgb, enlarged,
    parquet_named, parquet_alphabetical, parquet_alone, tars,
)  # fmt: skip
JPEG = (named_jpeg, validation_jpeg)


def main() -> None:
    from fer.data.bad_rows import Faults
    from fer.data.fer2013_csv import find_csv, read_rows

    parser = argparse.ArgumentParser(prog="python -m tests.layouts", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("output", type=Path, metavar="OUTPUT")
    parser.add_argument("--only", nargs="+", choices=[write.__name__ for write in (*EXACT, *JPEG)])
    asked = parser.parse_args()
    rows = read_rows(find_csv(asked.folder), Faults("raise"))
    faces = Faces(
        rows.images, rows.emotions.astype(int), rows.splits.astype(int), np.zeros((len(rows.images), 10), int)
    )
    for write in (*EXACT, *JPEG):
        if not asked.only or write.__name__ in asked.only:
            write(asked.output / write.__name__, faces)
            print(asked.output / write.__name__, flush=True)


if __name__ == "__main__":
    main()
