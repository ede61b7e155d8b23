"""Which corruptions a net's training has seen: by the strategy that its weights file names, and its command changed."""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from fer.config.jobs import one_config
from fer.errors import UserError
from fer.evaluation.robustness.corruptions import ALL
from fer.schema import TrainConfig

LIGHT, BOXES = ("dark", "bright", "contrast"), ("mask", "sunglasses")
SIMILAR = {  # Albumentations' transforms, and the corruptions that are like them; boxes cover a face as a mask does
    "Blur": ("blur",),
    "GaussianBlur": ("blur",),
    "MedianBlur": ("blur",),
    "AdvancedBlur": ("blur",),
    "Defocus": ("blur",),
    "MotionBlur": ("motion blur",),
    "GaussNoise": ("noise",),
    "ISONoise": ("noise",),
    "MultiplicativeNoise": ("noise",),
    "RandomBrightnessContrast": LIGHT,
    "ColorJitter": LIGHT,
    "RandomGamma": ("dark", "bright"),
    "CLAHE": ("contrast",),
    "RandomToneCurve": LIGHT,
    "ImageCompression": ("JPEG",),
    "Downscale": ("low resolution",),
    "Rotate": ("rotation",),
    "SafeRotate": ("rotation",),
    "ShiftScaleRotate": ("rotation",),
    "Affine": ("rotation",),
    "CoarseDropout": BOXES,
    "Erasing": BOXES,
    "GridDropout": BOXES,
    "ConstrainedCoarseDropout": BOXES,
    "XYMasking": BOXES,
}


def seen_by(training: Mapping[str, Any]) -> dict[str, list[str]] | None:
    """Return, by corruption, the names of the strategy's transforms that are like it.

    Args:
        training: of a weights file's header; of several trainings in a row, the last.

    Returns:
        A list for each of `ALL`, empty if the training has not seen it; None if its strategy is not known here.
    """
    transforms = _transforms(training)
    return None if transforms is None else seen_in(transforms)


def seen_in(transforms: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return, by corruption, the names of a strategy's transforms that are like it, or that may choose one that is."""
    seen: dict[str, list[str]] = {name: [] for name in ALL}
    for name, arguments in transforms.items():
        alike = {corruption for part in _parts(arguments) for corruption in _alike(part)}
        for corruption in alike:
            seen[corruption].append(name)
    return seen


def _parts(arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a transform, and all between which it chooses."""
    if arguments.get("p") == 0:
        return
    yield arguments
    for part in arguments.get("transforms", ()):
        yield from _parts(part)


def _alike(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    kind = str(arguments.get("_target_")).rpartition(".")[2]
    return () if kind == "Affine" and not arguments.get("rotate") else SIMILAR.get(kind, ())


def _transforms(training: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the transforms of a training's strategy, as its command changed it; None if there is no such strategy."""
    name, command = training.get("augmentation"), training.get("command", "")
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]{1,40}", name) or not isinstance(command, str):
        return None
    try:
        changes = [word for word in shlex.split(command) if re.match(r"[+~]*augmentation\.", word)]
        return one_config("train", [f"augmentation={name}", *changes], TrainConfig).augmentation.transforms
    except (UserError, ValueError):  # a strategy of somebody's own, or of another version
        return None
