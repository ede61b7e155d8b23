"""What a weights file says about itself: text entries of JSON, checked by the schema that training's settings pass.

A file may come from anywhere, so nothing in it is believed before it is checked: types, ranges, sizes and depths.
"""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, Strict, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from fer.architectures import InputSize, check_arguments, require_size, typed
from fer.config.messages import nearest, sentences
from fer.emotions import MAX_CLASSES, NAME, is_class_name
from fer.errors import UserError, printable
from fer.onnx_file import read_metadata
from fer.paths import is_onnx, resolve_weights, shipped

FORMAT, ONNX_FORMAT = "fer-weights-1", "fer-onnx-1"
MADE = {  # what has a format, and what writes it
    FORMAT: ("a weights file", "train.py"),
    ONNX_FORMAT: ("an ONNX file", "python -m fer.export"),
}
SHORT, LONG = 2_000, 1_000_000  # characters of an entry; of one that tells of classes, training or metrics
LARGEST = 8_000_000  # bytes of all entries; the deepest net that the schema allows needs 2 million
DEEPEST = 200  # levels of an entry; Python's own functions give up at 400


def _distinct(classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(classes)) < len(classes):
        raise ValueError(f"expected each class once, but got {', '.join(classes)}")
    return classes


def _sensible(name: str) -> str:
    if not is_class_name(name):
        raise ValueError(f'expected {NAME}, but got "{printable(name)}"')
    return name


def _no_figures(training: dict[str, Any]) -> dict[str, Any]:
    if wrong := [key for key in training if "/" in key]:  # it would pass for what an evaluation of the file finds
        raise ValueError(f"expected no figures, which belong into metrics, but got {wrong[0]}")
    return training


Mean = Annotated[float, Strict(), Field(ge=0, le=1)]
Deviation = Annotated[float, Strict(), Field(ge=1e-4, le=1)]  # training's is at least 1e-3
Temperature = Annotated[float, Strict(), Field(ge=0.01, le=100)]  # training fits one from 0.1 to 10
NotSure = Annotated[float, Strict(), Field(ge=0, lt=1)]
Classes = Annotated[
    tuple[Annotated[str, AfterValidator(_sensible)], ...],
    Field(min_length=2, max_length=MAX_CLASSES),
    AfterValidator(_distinct),
]


@dataclass(frozen=True)
class Header:
    """What a weights file says about itself.

    Attributes:
        classes: names, in the order of the logits.
        input_size: side of the faces, in pixels.
        mean, std: of gray in [0, 1]; inputs are (gray - mean) / std.
        architecture: what `fer.models.factory.build_net` builds the net from; without a `name` it is an SE-ResNet.
        temperature: what logits are divided by before the softmax.
        training: what the net was trained on and how (dataset, augmentation, seed, epochs, versions).
        metrics: flat keys as in metrics.json.
        not_sure: least probability of an answer; a face below it is "not sure". With 0, each has an answer.
    """

    classes: Classes
    input_size: Annotated[InputSize, Strict()]
    mean: Mean
    std: Deviation
    architecture: Annotated[dict[str, Any], AfterValidator(check_arguments)]
    temperature: Temperature = 1.0
    training: Annotated[dict[str, Any], AfterValidator(_no_figures)] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    not_sure: NotSure = 0.0

    def texts(self) -> dict[str, str]:
        """Return the entries of text by which a file holds the header; `parse` reads them."""
        return {name: json.dumps(value) for name, value in asdict(self).items()}

    def trained(self, results: dict[str, Any]) -> "Header":
        """Return the header with a run's results: figures as metrics, the rest as training."""
        metrics = {key: value for key, value in results.items() if "/" in key}
        return replace(self, metrics=metrics, training={key: results[key] for key in results if key not in metrics})


def readable_weights(word: Path, onnx: bool = False) -> Path:
    """Return the file that a name or a path means, once it is known to be readable, with a header that fits in memory.

    Args:
        word: the name or the path.
        onnx: whether a .onnx file will do, which can be run and not trained on.

    Raises:
        UserError: if there is none.
    """
    path, names = resolve_weights(word), shipped()
    kinds = "a .safetensors or .onnx file" if onnx else "a .safetensors file"
    try:
        if path.is_dir():
            found = "it is a folder"
        elif not path.is_file():
            found = "there is no such file"
        elif is_onnx(path):
            if onnx:
                return path
            found = "an ONNX file can only be run: take the weights file that it was made from"
        else:
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
            # of a file of another type, the number means nothing, and safetensors compares it with the file's size
            if not LARGEST < size < path.stat().st_size:
                return path
            found = f"the header of this one has {size:,} bytes, and those of train.py at most {LARGEST:,}"
    except (OSError, ValueError) as error:
        found = f"it cannot be read ({getattr(error, 'strerror', None) or error})"
    known = f" or one of {', '.join(names)}" if names else ""
    raise UserError(f"weights={word}: expected {kinds}{known}, but {found}{nearest(str(word), names)}")


def read_header(path: Path, onnx: bool = True) -> Header:
    """Return what a weights file says about itself, or, if `onnx`, the ONNX file of one.

    Tensors are not looked at, and nothing heavy is imported.

    Raises:
        UserError: if the file is missing, damaged, or not one of ours.
    """
    source = readable_weights(path, onnx)
    try:
        if is_onnx(source):
            return parse(read_metadata(source, LARGEST), ONNX_FORMAT)
        with safe_open(source, framework="np") as file:
            return parse(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise no_safetensors(path, source, error) from error
    except ValueError as error:
        raise UserError(f"weights={path}: {error}") from error


def no_safetensors(word: Path, path: Path, error: Exception) -> UserError:
    """Return what a file that safetensors refuses means; `word` is its name or path as typed."""
    reason = printable(str(error))
    return UserError(f"weights={word}: expected a safetensors file, but {_what_is(path)} ({reason})")


def _what_is(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError:
        return "this one cannot be opened"
    if start == b"PK" or start[:1] == b"\x80":
        return "this is a pickle, which can run code and is never opened"
    return "this one is empty" if not start else "this one is of another type or cut short"


def parse(texts: dict[str, str], form: str = FORMAT) -> Header:
    """Return the header that a file's entries of text make, if it has this format.

    Raises:
        ValueError: saying what is wrong with them.
    """
    if texts.get("format") != form:
        kind, writer = MADE[form]
        raise ValueError(f"expected {kind} of this project, but it was not written by {writer}")
    values = {item.name: _parsed(item.name, texts[item.name]) for item in fields(Header) if item.name in texts}
    try:
        header = TypeAdapter(Header).validate_python(values)
        require_size(typed(header.architecture), header.input_size)
    except ValidationError as error:
        wrong = "; ".join(map(printable, sentences(error, values)[:3]))
        raise ValueError(f"the file's header is wrong: {wrong}") from error
    except ValueError as error:
        raise ValueError(f"the file's header is wrong: {error}") from error
    return header


def _parsed(name: str, text: str) -> Any:
    """Return an entry's value, unless it is so large or so deep that handling it would take long, or fail."""
    most = LONG if name in ("classes", "training", "metrics") else SHORT
    if len(text) > most:
        raise ValueError(f"expected at most {most:,} characters of {name} in the file's header, but got {len(text):,}")
    try:
        value = json.loads(text)
        if _depth(value) > DEEPEST:
            raise RecursionError
    except RecursionError:
        raise ValueError(f"expected at most {DEEPEST} levels of {name} in the file's header, but it has more") from None
    except ValueError as error:
        raise ValueError(f"expected JSON in the file's header, but its {name} is damaged ({error})") from error
    return value


def _depth(value: Any) -> int:
    """Return how many lists and mappings lie in each other."""
    depth, level = 0, [value]
    while level := [node for node in level if isinstance(node, dict | list)]:
        depth += 1
        level = [item for node in level for item in (node.values() if isinstance(node, dict) else node)]
    return depth
