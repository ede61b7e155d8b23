"""The one file format between training and inference: safetensors with all that inference needs in its header.

The header is that of `fer.header`. No pickle, no Lightning, no configuration is needed to read a file. What a file says
is not trusted: its header is checked by training's own schema, its tensors' names, types and shapes are compared with
the header, and only then are they loaded.
"""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from fer.atomic import atomic_file
from fer.errors import RunError, UserError, printable
from fer.header import FORMAT, Header, no_safetensors, parse, readable_weights
from fer.models.factory import build_net
from fer.paths import resolve_weights

WHOLE, REAL = ("I64",), ("F16", "BF16", "F32")  # of batch norm's counters, and of all else


def rounded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a net's state with the precision that a weights file keeps: float16 for all but vectors and scalars.

    Those, batch norm's statistics among them, weigh little and may be small. A net that is evaluated with its rounded
    state reaches the same figures when it comes back from the file.
    """
    return {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in state.items()}


def between(start: dict[str, Tensor], end: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return a state on the straight line between two: a share of where a fine-tuning began, the rest of its end.

    As Wortsman et al., Robust Fine-Tuning of Zero-Shot Models, 2022, do it; docs/recipe.md has what it brought here.
    Counters are those of the end.
    """
    return {
        name: torch.lerp(tensor.float(), start[name].float(), share) if tensor.is_floating_point() else tensor
        for name, tensor in end.items()
    }


def save_weights(path: Path, state: dict[str, Tensor], header: Header) -> None:
    """Write a net's state, rounded, and its header; a half-written file never replaces a good one.

    Raises:
        RunError: if the file cannot be written.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in rounded(state).items()}
    try:
        with atomic_file(path, "wb") as file:
            file.write(save(state, {"format": FORMAT, **header.texts()}))
    except OSError as error:
        raise RunError(f"{path} could not be written ({error})") from error


def digest(path: Path) -> str:
    """Return the SHA-256 of a weights file."""
    return hashlib.sha256(resolve_weights(path).read_bytes()).hexdigest()


def read_weights(path: Path) -> tuple[dict[str, Tensor], Header]:
    """Return the tensors and the header of a weights file, which a name or a path means, as everywhere here.

    Raises:
        UserError: if the file is missing, no safetensors file (a pickle is never opened), damaged, or not one of ours.
    """
    state, header, _ = _read(path)
    return state, header


def load_net(path: Path) -> tuple[nn.Module, Header]:
    """Return the net of a weights file, in eval mode on the CPU, and the file's header.

    Raises:
        UserError: as `read_weights`.
    """
    state, header, net = _read(path)
    kinds = {name: tensor.dtype for name, tensor in net.state_dict().items()}
    net.load_state_dict({name: tensor.to(kinds[name], copy=True) for name, tensor in state.items()}, assign=True)
    if any(tensor.is_meta for tensor in net.buffers()):  # those that no file holds, as some of timm's nets have
        net, loaded = build_net(len(header.classes), header.architecture), net
        net.load_state_dict(loaded.state_dict())
    return net.eval(), header


def _read(path: Path) -> tuple[dict[str, Tensor], Header, nn.Module]:
    """Return a file's tensors, its header, and the net that they fit, which has no memory yet.

    Raises:
        UserError: as `read_weights`.
    """
    source = readable_weights(path)
    try:
        with safe_open(source, framework="pt") as file:
            header = parse(file.metadata() or {})
            shapes = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            net = _fitting({name: (part.get_dtype(), part.get_shape()) for name, part in shapes.items()}, header)
            state = {name: file.get_tensor(name) for name in shapes}
        _require_numbers(state)
    except (SafetensorError, OSError) as error:
        raise no_safetensors(path, source, error) from error
    except (ValueError, ImportError) as error:
        raise UserError(f"weights={path}: {error}") from error
    return state, header, net


def transplant(net: nn.Module, classes: tuple[str, ...], path: Path) -> list[str]:
    """Start `net` from a weights file: tensors of equal name and shape, and the head class by class, by name.

    Returns:
        A few words for each thing that was not taken over.
    """
    state, header = read_weights(path)
    own, left = net.state_dict(), []
    rows = {new: header.classes.index(emotion) for new, emotion in enumerate(classes) if emotion in header.classes}
    for name, tensor in own.items():
        if name.startswith("head.") and state[name].shape[1:] == tensor.shape[1:]:
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


def _fitting(found: dict[str, tuple[str, list[int]]], header: Header) -> nn.Module:
    """Return the net of a header, without memory for its tensors, if those of the file fit it.

    Args:
        found: type and shape of each tensor in the file.
        header: what the file says of itself.

    Raises:
        ValueError: naming the first tensor that does not fit.
    """
    if "name" not in header.architecture:
        blocks = sum(name.endswith(".conv1.weight") for name in found)  # counted first: to build many takes long
        if blocks != (wanted := sum(header.architecture["depths"])):
            raise _misfit(f"{wanted} blocks", f"{blocks}")
    with torch.device("meta"):
        net = build_net(len(header.classes), header.architecture)
    expected = net.state_dict()
    for name in [*expected, *found]:
        if name not in found:
            raise _misfit(printable(name), "no such tensor")
        if name not in expected:
            raise _misfit("no other tensors", printable(name))
        (kind, shape), tensor = found[name], expected[name]
        if tuple(shape) != tuple(tensor.shape):
            raise _misfit(f"{name} of shape {tuple(tensor.shape)}", f"{tuple(shape)}")
        if kind not in (kinds := REAL if tensor.is_floating_point() else WHOLE):
            raise _misfit(f"{name} as {' or '.join(kinds)}", kind)
    return net


def _misfit(expected: str, found: str) -> ValueError:
    return ValueError(
        f"the tensors do not fit the architecture in the file's header: expected {expected}, but got {found}"
    )


def _require_numbers(state: dict[str, Tensor]) -> None:
    """Raise a ValueError for a tensor whose numbers no training leaves."""
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise ValueError(f"expected finite numbers, but {name} holds others: train again")
        if name.endswith("running_var") and tensor.min() < 0:
            raise ValueError(f"expected variances of at least 0, but {name} holds others: train again")
