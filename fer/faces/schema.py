"""The typed schema of conf/detector, and of how a face is cut out."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Strict

from fer.architectures import Section
from fer.fields import KIND, NotNegative, ShippedPathField
from fer.paths import CONF

Pixels = Annotated[int, Field(gt=0, le=100_000)]  # no picture that can be opened is wider
UnitInterval = Annotated[float, Field(ge=0, le=1)]


def _inside(area: tuple[float, ...]) -> tuple[float, ...]:
    left, top, width, height = area
    if max(area) > 1:
        raise ValueError(
            "expected shares of the picture's width and height, at most 1, but got "
            f"{max(area):g}: divide pixels by them"
        )
    if min(width, height) == 0 or max(left + width, top + height) > 1 + 1e-6:  # 0.9 + 0.1 may be a little more than 1
        raise ValueError(
            "expected left, top, width and height of a part of the picture, left + width and top + height at most 1, "
            f"but got {list(area)}"
        )
    return area


Area = Annotated[tuple[NotNegative, ...], Strict(False), Field(min_length=4, max_length=4), AfterValidator(_inside)]


class YuNet(Section):
    """conf/detector/auto.yaml and yunet.yaml."""

    name: Literal["auto", "yunet"]
    model: ShippedPathField | None
    score: UnitInterval
    min_size: Pixels
    width: Annotated[Pixels, Field(ge=32)]
    every: Annotated[int, Field(gt=0, le=10_000)]
    area: Area | None = None


class Haar(Section):
    """conf/detector/haar.yaml."""

    name: Literal["haar"]
    min_size: Pixels
    width: Annotated[Pixels, Field(ge=32)]
    every: Annotated[int, Field(gt=0, le=10_000)]
    area: Area | None = None


class NoDetector(Section):
    """conf/detector/none.yaml."""

    name: Literal["none"]


class Crop(Section):
    """What part of a frame a face's box stands for."""

    margin: Annotated[float, Field(gt=0.2, le=4)]
    shift: Annotated[float, Field(ge=-1, le=1)]
    rotate: bool


def usual_crop() -> Crop:
    """Return the crop of conf/infer.yaml."""
    from omegaconf import OmegaConf

    return Crop.model_validate(OmegaConf.to_container(OmegaConf.load(CONF / "infer.yaml").crop))


DetectorConfig = Annotated[YuNet | Haar | NoDetector, *KIND]
