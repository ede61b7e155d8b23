"""The page: a folder for any static host, from which a visitor's browser finds, names and explains faces by itself.

Its source lies in `page/`. Beside it come the net, the face detector YuNet, onnxruntime-web, a picture of drawn faces,
and `net.json`: what the net's metadata say, as the browser's runtime does not tell them, and how infer.py is set.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import cv2
import numpy as np
from omegaconf import OmegaConf
from pydantic import BaseModel, Field, ValidationError

import fer
from fer.atomic import whole_file
from fer.config.messages import sentences
from fer.data.synthetic import draw_faces
from fer.download import why
from fer.emotions import NOT_SURE
from fer.errors import UserError, printable, reason
from fer.export.runtime import read_runtime
from fer.extras import require
from fer.faces.detectors import URL as YUNET_URL
from fer.faces.detectors import find_model
from fer.faces.schema import usual_crop
from fer.faces.yunet import YuNetModel
from fer.header import LARGEST, Header, read_header
from fer.onnx_file import read_metadata
from fer.palette import colours
from fer.paths import CONF, is_onnx, resolve_weights
from fer.terms import NOT_FOR, licence_of, source_of

SOURCE = Path(__file__).with_name("page")
FACTS, START = "net.json", "index.html"
CHECKED = ("net.onnx", "yunet.onnx", "ort-wasm-simd-threaded.wasm")  # the browser compares them with net.json
DRAWN = {"count": 6, "size": 240, "seed": 124}  # one face of each of the six emotions


class Beside(BaseModel):
    """What an ONNX file's metadata say beside its header; the file may come from anywhere."""

    crop: dict[Literal["margin", "shift"], Annotated[float, Field(ge=-4, le=4)]]
    licence: str
    not_for: str
    not_sure: Annotated[float, Field(ge=0, le=1)] = 0.0


class Page(NamedTuple):
    """A folder that was written; as text, what to do with it."""

    folder: Path
    files: int
    megabytes: float

    def __str__(self) -> str:
        return (
            f"{self.folder}: {self.files} files, {self.megabytes:.1f} MB, for any static host; to look at it here, "
            f'python -m http.server --directory "{self.folder}" and http://localhost:8000'
        )


def write_page(
    weights: Path, folder: Path, runtime: Path | None, detector: Path | None, say: Callable[[str], None]
) -> Page:
    """Write the page of a net.

    Args:
        weights: a .onnx or .safetensors file, or the name of a net that comes with the project.
        folder: a new or empty folder, or one with an earlier page, which is replaced file by file.
        runtime: a folder with the files of `fer.export.runtime`; None looks in the cache, or fetches them.
        detector: YuNet's model file; None looks for it as infer.py does.
        say: gets a sentence when something is fetched.

    Raises:
        UserError: if a file is missing, damaged or another, or the folder is none of those.
        RunError: if something cannot be written.
    """
    _require_free(folder)
    net, header, texts = _net(weights)
    files = {path.name: path.read_bytes() for path in sorted(SOURCE.iterdir())}
    files |= {"net.onnx": net, "yunet.onnx": _yunet(detector, say), **read_runtime(runtime, say)}
    files["drawn.jpg"] = _drawn()
    card = resolve_weights(weights).with_suffix(".md")
    if card.is_file():
        files["card.md"] = card.read_bytes()
    about = _facts(resolve_weights(weights).stem, header, files) | _beside(weights, header, texts)
    files[FACTS] = json.dumps(about, indent=1, ensure_ascii=False).encode()
    files[START] = files.pop(START)  # last: no file, no page
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--page={folder}: expected a folder that can be made, but {reason(error)}") from error
    for name, content in files.items():
        with whole_file(folder / name, "wb") as file:
            file.write(content)
    return Page(folder, len(files), sum(map(len, files.values())) / 1e6)


def _require_free(folder: Path) -> None:
    """Raise a UserError if something else than an earlier page lies in the folder."""
    try:
        names = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"--page={folder}: expected a folder, but {reason(error)}") from error
    if names and FACTS not in names:
        raise UserError(
            f"--page={folder}: expected a new or empty folder, or one with an earlier page, but it holds "
            f"{min(names)}: choose another"
        )


def _net(weights: Path) -> tuple[bytes, Header, dict[str, str]]:
    """Return a net's ONNX file, its header and all of its metadata; of a .safetensors file, one is made."""
    path = resolve_weights(weights, ".onnx")
    if is_onnx(path):
        header = read_header(path)
        return path.read_bytes(), header, read_metadata(path, LARGEST)
    read_header(path)  # what is wrong with the file is told without torch, too
    require("train", "torch", of=f"weights={weights}")
    from fer.export.onnx import export  # it imports torch

    with tempfile.TemporaryDirectory() as place:
        return _net(export(path, Path(place, "net.onnx")).path)


def _yunet(detector: Path | None, say: Callable[[str], None]) -> bytes:
    try:
        source, model = find_model(detector, "--detector", say)
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home folder
        raise UserError(
            f"expected the face detector YuNet, but its model could not be downloaded ({why(error)}): download "
            f"{YUNET_URL} and add --detector FILE"
        ) from error
    try:
        YuNetModel(model, score=0.5)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{source}: expected the face detector YuNet as an ONNX file, but ONNX Runtime cannot use it ({reason}); "
            f"take the one from {YUNET_URL}"
        ) from None
    return model


def _beside(weights: Path, header: Header, texts: dict[str, str]) -> dict[str, Any]:
    """Return what the metadata say beside the header, or what they would say by now."""
    known: dict[str, Any] = {
        "crop": usual_crop().model_dump(include={"margin", "shift"}),
        "licence": licence_of(header.training),
        "not_for": NOT_FOR,
    }
    try:
        known |= {name: json.loads(texts[name]) for name in Beside.model_fields if name in texts}
        return Beside.model_validate(known).model_dump()
    except ValueError as error:
        wrong = "; ".join(sentences(error, known)) if isinstance(error, ValidationError) else str(error)
        raise UserError(f"weights={weights}: the file's metadata are wrong: {printable(wrong)}") from error


def _facts(name: str, header: Header, files: dict[str, bytes]) -> dict[str, Any]:
    """Return what net.json says of the header, of how infer.py is set, and of the files."""
    settings = OmegaConf.load(CONF / "infer.yaml")
    detector = OmegaConf.load(CONF / "detector" / "auto.yaml")
    table = getattr(cv2, f"COLORMAP_{settings.heatmap.colormap.upper()}")
    inks = colours(header.classes)
    return {
        "name": name,
        "version": fer.__version__,
        "classes": header.classes,
        "input_size": header.input_size,
        "detector": {key: detector[key] for key in ("score", "min_size", "width")},
        "smoothing": settings.smoothing,
        "alpha": settings.heatmap.alpha,
        "heat": cv2.applyColorMap(np.arange(256, dtype=np.uint8), table)[:, 0, ::-1].ravel().tolist(),
        "colours": {emotion: inks[emotion] for emotion in (*header.classes, NOT_SURE)},
        "limits": _limits(header, files.get("card.md")),
        "card": "card.md" in files,
        "files": {key: {"bytes": len(files[key]), "sha256": hashlib.sha256(files[key]).hexdigest()} for key in CHECKED},
    }


def _limits(header: Header, card: bytes | None) -> list[str]:
    """Return the net's limits in sentences: those of its card, or what its header tells."""
    found = re.search(r"^## Limitations\n\n((?:- .*\n)+)", (card or b"").decode("utf-8", "replace"), re.M)
    if found:
        return [line.removeprefix("- ") for line in found[1].splitlines()]
    data, _, labels = source_of(header.training)
    accuracy = header.metrics.get("test/accuracy")
    judged = f"Of the test faces of its data {accuracy:.1%} were classified correctly." if accuracy else ""
    return [sentence for sentence in (data if header.training else "", judged, labels) if sentence]


def _drawn() -> bytes:
    """Return a JPEG of drawn faces in two rows."""
    faces, _ = draw_faces(**DRAWN)
    side, gap = DRAWN["size"], DRAWN["size"] // 6
    picture = np.full((2 * side + 3 * gap, 3 * side + 4 * gap, 3), (196, 184, 184), np.uint8)
    for index, face in enumerate(faces):
        top, left = (gap + place * (side + gap) for place in divmod(index, 3))
        picture[top : top + side, left : left + side] = face[..., None]
    return cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, 92))[1].tobytes()
