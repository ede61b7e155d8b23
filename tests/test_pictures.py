"""Training, evaluation and inference see the same gray levels, whatever kind of file a face comes in."""

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fer.data.decoding import gray, over_white, read_photo
from fer.data.image_files import read_image
from fer.data.synthetic import draw_faces
from fer.emotions import EMOTIONS
from fer.faces.crops import centre_square, cut
from fer.inference.predictor import Predictor
from tests.runs import configure, run, without_figures

SIDE = 40


def face() -> np.ndarray:
    """Return a drawn face, (40, 40, 4) uint8 red-green-blue-alpha, transparent in its left third."""
    light = draw_faces(1, SIDE)[0][0]
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    alpha[:, : SIDE // 3] = 0
    return np.dstack([light, light // 2, 255 - light, alpha])


def opaque(levels: np.ndarray, path: Path, **options) -> None:
    Image.fromarray(levels).save(path, **options)


def sixteen(levels: np.ndarray, path: Path) -> None:
    cv2.imencode(path.suffix, levels.astype(np.uint16) * 257)[1].tofile(path)


def palette(levels: np.ndarray, path: Path) -> None:
    """Write colours of a palette, the one in the upper left corner transparent."""
    picture = Image.fromarray(levels[..., :3]).quantize(16)
    picture.save(path, transparency=picture.getpixel((0, 0)))


def turned(levels: np.ndarray, path: Path) -> None:
    """Write a picture that EXIF tells to turn."""
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(levels).save(path, exif=exif, lossless=True)


KINDS: dict[str, tuple[str, Callable[[np.ndarray, Path], None]]] = {
    "gray": (".png", lambda rgba, path: opaque(rgba[..., 0], path)),
    "colour": (".png", lambda rgba, path: opaque(rgba[..., :3], path)),
    "JPEG": (".jpg", lambda rgba, path: opaque(rgba[..., :3], path)),
    "gray JPEG": (".jpg", lambda rgba, path: opaque(rgba[..., 0], path)),
    "CMYK JPEG": (".jpg", lambda rgba, path: Image.fromarray(rgba[..., :3]).convert("CMYK").save(path)),
    "BMP": (".bmp", lambda rgba, path: opaque(rgba[..., :3], path)),
    "transparent PNG": (".png", opaque),
    "transparent WebP": (".webp", lambda rgba, path: opaque(rgba, path, lossless=True)),
    "transparent TIFF": (".tif", opaque),
    "gray with alpha": (".png", lambda rgba, path: opaque(rgba[..., [0, 3]].copy(), path)),
    "transparent palette": (".png", palette),
    "16 bits": (".png", lambda rgba, path: sixteen(rgba[..., :3], path)),
    "16 bits of gray": (".png", lambda rgba, path: sixteen(rgba[..., 0], path)),
    "16 bits of gray, TIFF": (".tif", lambda rgba, path: sixteen(rgba[..., 0], path)),
    "16 bits with alpha": (".png", sixteen),
    "float TIFF": (".tif", lambda rgba, path: opaque(rgba[..., 0].astype(np.float32) / 255, path)),
    "turned JPEG": (".jpg", lambda rgba, path: turned(rgba[..., :3], path)),
    "turned transparent PNG": (".png", turned),
    "turned transparent WebP": (".webp", turned),
}


@pytest.mark.parametrize("kind", KINDS)
def test_training_and_inference_see_the_same_levels(tmp_path, kind):
    suffix, write = KINDS[kind]
    write(face(), path := tmp_path / f"a{suffix}")
    photo = read_photo(path)
    for size in (SIDE, 24, 48):
        assert np.array_equal(read_image(path, size), cut(photo, centre_square(photo), size))
    if "transparent" in kind or "alpha" in kind:
        corner = read_image(path, SIDE)[0, -1 if "turned" in kind else 0]
        assert corner == 255 != gray(face()[..., 2::-1])[0, 0]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".jpg"])
def test_levels_of_gray_files_are_those_stored(tmp_path, suffix):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(levels).save(tmp_path / f"a{suffix}", quality=100)
    stored = cv2.imdecode(np.fromfile(tmp_path / f"a{suffix}", np.uint8), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(read_image(tmp_path / f"a{suffix}", 16), stored)
    assert np.array_equal(stored, levels) or suffix == ".jpg"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L", "CMYK"])
def test_pillow_images_are_seen_as_their_files(tmp_path, mode):
    picture = Image.fromarray(face()).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    picture.save(path)
    assert np.array_equal(gray(over_white(picture)), gray(read_photo(path)))


def test_an_evaluation_s_probabilities_are_those_of_inference(tmp_path, monkeypatch, weights):
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "cache"))
    without_figures(monkeypatch)
    for number, (suffix, write) in enumerate(KINDS.values()):
        for split in ("train", "val", "test"):
            path = tmp_path / "data" / split / EMOTIONS[number % 6] / f"{number}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(face(), path)
    data = ("dataset=folder", f"dataset.root={tmp_path / 'data'}")
    run(configure(*data, "fit=false", f"weights={weights}"), tmp_path / "run")
    with (tmp_path / "run/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    predictor = Predictor.load(weights)
    found = predictor.predict([tmp_path / "data" / row["file"] for row in rows])
    expected = [[float(row[name]) for name in predictor.classes] for row in rows]
    assert len(rows) == len(KINDS)
    assert found == pytest.approx(np.array(expected), abs=1e-5)
