"""The one file format between training and inference: safetensors with all that inference needs in its header.

The header holds text only, so each entry is JSON: class names in order, input size, mean and std of the training
split's gray in [0, 1], the net's arguments, a temperature for calibrated probabilities, and what was trained on and
reached. No pickle, no Lightning, no configuration is needed to read it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fer.atomic import atomic_file
from fer.emotions import EMOTIONS
from fer.errors import RunError, UserError
from fer.mistakes import sentences
from fer.models.se_resnet import SEResNet

FORMAT = "fer-weights-1"
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Header:
    """What a weights file says about itself.

    Attributes:
        classes: emotion names, in the order of the logits.
        input_size: side of the faces, in pixels.
        mean, std: of gray in [0, 1]; inputs are (gray - mean) / std.
        architecture: SEResNet's arguments but for the number of classes.
        temperature: what logits are divided by before the softmax.
        training: what the net was trained on and how (dataset, augmentation, seed, epochs, versions).
        metrics: flat keys as in metrics.json.
    """

    classes: Annotated[tuple[Literal[EMOTIONS], ...], Field(min_length=2)]
    input_size: Annotated[int, Field(ge=16, le=512)]
    mean: Finite
    std: Positive
    architecture: dict[str, Any]
    temperature: Positive = 1.0
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    def trained(self, results: dict[str, Any]) -> "Header":
        """Return the header with a run's results: figures as metrics, the rest as training."""
        metrics = {key: value for key, value in results.items() if "/" in key}
        return replace(self, metrics=metrics, training={key: results[key] for key in results if key not in metrics})


def rounded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a net's state with the precision that a weights file keeps: float16 for all but vectors and scalars.

    Those, batch norm's statistics among them, weigh little and may be small. A net that is judged with its rounded
    state reaches the same figures when it comes back from the file.
    """
    return {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in state.items()}


def save_weights(path: Path, state: dict[str, Tensor], header: Header) -> None:
    """Write a net's state, rounded, and its header; a half-written file never replaces a good one.

    Raises:
        RunError: if the file cannot be written.
    """
    texts = {name: json.dumps(value) for name, value in asdict(header).items()}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in rounded(state).items()}
    try:
        with atomic_file(path, "wb") as file:
            file.write(save(state, {"format": FORMAT, **texts}))
    except OSError as error:
        raise RunError(f"{path} could not be written ({error})") from error


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_weights(path: Path) -> tuple[dict[str, Tensor], Header]:
    """Return the tensors and the header of a weights file.

    Raises:
        UserError: if the file is missing, no safetensors file (a pickle is never opened), damaged, or not one of ours.
    """
    if not path.is_file():
        found = "it is a folder" if path.is_dir() else "there is no such file"
        raise UserError(f"weights={path}: expected a .safetensors file, but {found}")
    try:
        with safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise UserError(f"weights={path}: expected a safetensors file, but {_what_is(path)} ({error})") from error
    if texts.get("format") != FORMAT:
        raise UserError(f"weights={path}: expected weights written by train.py, but the file has no header of theirs")
    if wrong := [name for name, tensor in state.items() if not tensor.isfinite().all()]:
        raise UserError(f"weights={path}: expected finite numbers, but {wrong[0]} holds others: train again")
    return state, _read_header(texts, path)


def _read_header(texts: dict[str, str], path: Path) -> Header:
    try:
        values = {item.name: json.loads(texts[item.name]) for item in fields(Header) if item.name in texts}
    except ValueError as error:
        raise UserError(f"weights={path}: expected JSON in the file's header, but it is damaged ({error})") from error
    try:
        return TypeAdapter(Header).validate_python(values)
    except ValidationError as error:
        wrong = "; ".join(sentences(error, values))
        raise UserError(f"weights={path}: the file's header is wrong: {wrong}") from error


def load_net(path: Path) -> tuple[SEResNet, Header]:
    """Return the net of a weights file, in eval mode on the CPU, and the file's header.

    Raises:
        UserError: as `read_weights`, and if the tensors do not fit the architecture in the header.
    """
    state, header = read_weights(path)
    try:
        net = SEResNet(len(header.classes), **header.architecture)
        net.load_state_dict(state)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:400]
        raise UserError(f"weights={path}: the tensors do not fit the architecture in its header ({reason})") from error
    return net.eval(), header


def transplant(net: SEResNet, classes: tuple[str, ...], path: Path) -> list[str]:
    """Start `net` from a weights file: tensors of equal name and shape, and the head class by class, by name.

    Returns:
        A few words for each thing that was not taken over.
    """
    state, header = read_weights(path)
    own, left = net.state_dict(), []
    rows = {new: header.classes.index(emotion) for new, emotion in enumerate(classes) if emotion in header.classes}
    for name, tensor in own.items():
        if name.startswith("head.") and name in state and _is_head(state[name], tensor, header):
            for new, old in rows.items():
                tensor[new] = state[name][old]
        elif name in state and state[name].shape == tensor.shape:
            tensor.copy_(state[name])
        else:
            there = tuple(state[name].shape) if name in state else "nothing"
            left.append(f"{name}: {tuple(tensor.shape)} here, {there} in the file")
    if strangers := [emotion for emotion in classes if emotion not in header.classes]:
        left.append(f"the head's rows of {', '.join(strangers)}: no such class in the file")
    return left


def _is_head(tensor: Tensor, own: Tensor, header: Header) -> bool:
    """Tell whether a tensor has a row of the right width for each class of the file."""
    return tensor.shape == (len(header.classes), *own.shape[1:])


def _what_is(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError:
        return "this one cannot be opened"
    if start == b"PK" or start[:1] == b"\x80":
        return "this is a pickle, which can run code and is never opened"
    return "this one is empty" if not start else "this one is of another type or cut short"
