"""Whether the checkpoints in a folder can resume a training; anybody may have changed them."""

from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from fer.errors import UserError, printable

LOGGED = ("train/loss", "train/accuracy", "train/images_per_second", "val/loss", "val/accuracy")  # in every history


def require_resumable(folder: Path, trainer: Trainer, module: LightningModule) -> None:
    """Compare best.ckpt and last.ckpt with what this training would write, before Lightning believes them.

    It takes a checkpoint without the loops' state, for example, and trains all epochs again.

    Args:
        folder: of the checkpoints.
        trainer: with the callbacks that take up what the checkpoint kept of them.
        module: not yet trained.

    Raises:
        UserError: if one of them cannot be gone on from.
    """
    state = {"state_dict": module.state_dict()}
    watchers = {watcher.state_key: kept for watcher in trainer.callbacks if (kept := watcher.state_dict())}
    training = {
        "pytorch-lightning_version": "",
        "epoch": 0,
        "global_step": 0,
        "loops": {"fit_loop": trainer.fit_loop.state_dict()},
        "callbacks": watchers,
        "optimizer_states": [{"state": {}, "param_groups": []}],
        "lr_schedulers": [{}],
    }
    if any(isinstance(watcher, WeightAveraging) for watcher in trainer.callbacks):
        training |= {"current_model_state": module.state_dict(), "averaging_state": {"n_averaged": torch.tensor(0)}}
    for name, expected in {"best.ckpt": state, "last.ckpt": state | training}.items():
        try:
            _require_like(found := _load(folder / name), expected)
            if more := found["state_dict"].keys() - state["state_dict"].keys():
                raise ValueError(f"state_dict has {printable(str(more.pop()))}, which this net has not")
            if "callbacks" in expected:
                _require_history(found["callbacks"]["Record"]["history"], (module.config.monitor, *LOGGED))
        except ValueError as fault:
            raise UserError(
                f"{folder / name}: expected a checkpoint of this run, but {fault}: to start the run anew, delete "
                f"{folder} and run the same command"
            ) from fault


def _load(path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds; nothing in it is run."""
    if not path.is_file():
        raise ValueError("there is no such file")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file makes of the readers of ZIP, pickle and tensors
        raise ValueError("it is damaged, or something else") from error
    if not isinstance(found, dict):
        raise ValueError("it is something else")
    return found


def _require_like(found: Any, expected: Any, place: str = "") -> None:
    """Raise a ValueError if a part of a checkpoint lacks a key, or is of another kind or shape than expected."""
    kind = int | float if isinstance(expected, float) else dict if isinstance(expected, dict) else type(expected)
    if isinstance(expected, Tensor) and (not isinstance(found, Tensor) or found.shape != expected.shape):
        raise ValueError(f"{place} is no tensor of shape {tuple(expected.shape)}")
    if expected is not None and not isinstance(found, kind):
        raise ValueError(f"{place} is something else")
    if isinstance(expected, list) and expected:  # an empty one stands for any
        if len(found) != len(expected):
            raise ValueError(f"{place} has {len(found)} parts, not {len(expected)}")
        found, expected = (dict(enumerate(parts)) for parts in (found, expected))
    for key, part in expected.items() if isinstance(expected, dict) else ():
        inner = f"{place}.{key}".lstrip(".")
        if key not in found:
            raise ValueError(f"it has no {inner}")
        _require_like(found[key], part, inner)


def _require_history(history: dict[str, Any], names: tuple[str, ...]) -> None:
    """Raise a ValueError if figures of an epoch are missing, or are no (epoch, value)."""
    for name in dict.fromkeys((*names, *history)):
        points = history.get(name)
        if not isinstance(points, list) or not points or not all(map(_is_point, points)):
            raise ValueError(f"its history of {printable(str(name))} is something else")


def _is_point(point: Any) -> bool:
    is_pair = isinstance(point, tuple | list) and len(point) == 2
    return is_pair and isinstance(point[0], int) and isinstance(point[1], int | float)
