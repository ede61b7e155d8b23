"""The typed schema of `conf/infer.yaml`; meanings and units stand in the YAML files, next to the defaults."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, Strict, model_validator

from fer.inference.kinds import mode_of
from fer.schema import KIND, NotNegative, Place, Section, ShippedPlace

Pixels = Annotated[int, Field(gt=0, le=100_000)]  # no picture that can be opened is wider
Share = Annotated[float, Field(ge=0, le=1)]


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
    model: ShippedPlace | None
    score: Share
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


class Heatmap(Section):
    """How an explanation is drawn."""

    target: str | None
    alpha: Share
    colormap: Literal["turbo", "jet", "viridis", "inferno", "magma"]


class Draw(Section):
    """What is drawn beside the boxes."""

    bars: bool
    labels: bool
    heatmap: Literal["auto"] | bool


class Crop(Section):
    """What part of a frame a face's box stands for."""

    margin: Annotated[float, Field(gt=0.2, le=4)]
    shift: Annotated[float, Field(ge=-1, le=1)]
    rotate: bool


Detector = Annotated[YuNet | Haar | NoDetector, *KIND]


class InferConfig(Section):
    """conf/infer.yaml."""

    detector: Detector
    mode: Literal["auto", "webcam", "video", "image", "crop"]  # checked, never auto: the input tells
    input: str | None
    output: Place | None
    weights: Place
    device: Literal["auto", "cpu", "cuda", "mps"]
    show: bool
    format: Literal["jsonl", "csv"]
    not_sure: Annotated[float, Field(ge=0, lt=1)]
    smoothing: NotNegative
    explainer: Literal["gradcam", "gradcam++", "layercam", "eigencam", "none"]
    heatmap: Heatmap
    draw: Draw
    crop: Crop

    @model_validator(mode="before")
    @classmethod
    def _mode_by_input(cls, plain: Any) -> Any:
        if plain.get("mode") != "auto" or not isinstance(plain.get("input"), str | None):
            return plain
        return plain | {"mode": mode_of(plain.get("input"))}

    @model_validator(mode="after")
    def _choices_agree(self) -> "InferConfig":
        if self.input in (None, "") and self.mode != "webcam":
            raise ValueError(f"mode={self.mode}: expected an input, but input is null: add input=FILE")
        if self.draw.heatmap is True and self.explainer == "none":
            raise ValueError("draw.heatmap=true: expected an explainer, but explainer=none: choose gradcam")
        if self.mode == "webcam" and not self.show and self.output is None:
            raise ValueError("show=false: expected an output to record to, but output is null: add output=FILE.mp4")
        return self
