"""Augmentation strategies: from a mapping of names to transforms in `conf/augmentation` to one Albumentations pipeline.

This is the project's only door to Hydra's instantiate, and it lets nothing but Albumentations' classes through.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from fer.config.messages import nearest, sentences
from fer.errors import UserError

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its import asks the network for a newer version
TRIES = 100  # faces that a strategy is tried on: a crop of one face in ten is missed once in 40,000 times


def build_strategy(
    transforms: Mapping[str, Mapping[str, Any]], size: int, whole: bool = False
) -> Callable[..., dict[str, Any]] | None:
    """Return the Albumentations pipeline of a strategy, or None if it has no transforms.

    Args:
        transforms: name -> {_target_: albumentations.Class, argument: value}, in the order they are applied.
        size: side of the faces it will see, in pixels.
        whole: leave out what makes other sizes of faces, such as a crop.

    Raises:
        UserError: naming the first transform that cannot be built, or returns no square of uint8; or if the strategy
            makes faces of several sizes, which do not fit into one batch.
    """
    import albumentations

    face, built = np.zeros((size, size), np.uint8), []
    for name, arguments in transforms.items():
        transform, made = _build(name, arguments, face)
        if not (whole and made.shape != face.shape):
            built.append(transform)
            face = made
    if not built:
        return None
    strategy = albumentations.Compose(built)
    blank = np.zeros((size, size), np.uint8)
    sides = {len(face), *(len(strategy(image=blank)["image"]) for _ in range(TRIES))}
    if len(sides) > 1:
        found = ", ".join(map(str, sorted(sides)))
        raise UserError(
            "augmentation.transforms: expected faces of one size, which one batch needs, but got sides of "
            f"{found} pixels; a transform that crops needs p: 1"
        )
    return strategy


def _build(name: str, arguments: Mapping[str, Any], face: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return a transform, and what it makes of a face (S, S) uint8."""
    import albumentations
    from hydra.utils import instantiate

    key = f"augmentation.transforms.{name}"
    try:
        _require_known(arguments)
        transform = instantiate(dict(arguments), _convert_="all")
        certain = instantiate({**arguments, "p": 1.0}, _convert_="all")
        face = albumentations.Compose([certain])(image=face)["image"]
        if face.ndim != 2 or len(set(face.shape)) != 1 or face.dtype != np.uint8:
            raise ValueError(f"expected square uint8 faces back, but got {face.shape} {face.dtype}")
    except Exception as error:  # whatever a transform's constructor or a user's argument raises
        raise UserError(f"{key}{_reason(error, dict(arguments))}") from error
    return transform, face


def _require_known(arguments: Any) -> None:
    """Refuse every _target_ but Albumentations' transforms, at any depth, and every argument that they do not have."""
    import albumentations

    if isinstance(arguments, list | tuple):
        for item in arguments:
            _require_known(item)
    if not isinstance(arguments, Mapping):
        return
    door, _, target = str(arguments.get("_target_")).partition(".")
    kinds = (albumentations.BasicTransform, albumentations.BaseCompose)
    known = {name: kind for name, kind in vars(albumentations).items() if isinstance(kind, type)}
    known = {name: kind for name, kind in known.items() if issubclass(kind, kinds)}
    if door != "albumentations" or target not in known:
        found = arguments.get("_target_", "none")
        raise ValueError(f"expected _target_: albumentations.<Transform>, but got {found}{nearest(target, known)}")
    has = inspect.signature(known[target]).parameters
    for name, value in arguments.items():
        if name != "_target_" and name not in has:
            hint = nearest(name, has) or f"; it has {', '.join(has)}"
            raise ValueError(f"{target} has no argument {name}{hint}")
        _require_known(value)


def _reason(error: BaseException, arguments: dict[str, Any]) -> str:
    """Return ".argument: what is wrong" if Albumentations' own schema says so, else ": what is wrong"."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    if isinstance(error, ValidationError):
        return f".{sentences(error, arguments)[0]}"
    return f": {' '.join(str(error).split())}"
