"""The typed schema of `conf/infer.yaml`; meanings and units stand in the YAML files, next to the defaults."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fer.architectures import Section
from fer.config.messages import nearest
from fer.errors import UserError
from fer.faces.schema import Crop, DetectorConfig, UnitInterval
from fer.fields import NotNegative, PathField
from fer.inference.io.input_kind import mode_of
from fer.paths import CONF


class Explainer(Section):
    """conf/explainer/*.yaml: what makes the heatmaps."""

    name: Literal["auto", "gatedcam", "gradcam", "gradcam++", "layercam", "eigencam", "none"]
    layer: Annotated[int, Field(ge=1)] | None = None


class Heatmap(Section):
    """How an explanation is drawn."""

    target: str | None
    alpha: UnitInterval
    colormap: Literal["turbo", "jet", "viridis", "inferno", "magma"]


class Draw(Section):
    """What is drawn beside the boxes."""

    bars: bool
    labels: bool
    heatmap: Literal["auto"] | bool


class PipelineConfig(Section):
    """How faces are found, cut out, answered and explained: a part of conf/infer.yaml."""

    detector: DetectorConfig
    not_sure: Annotated[float, Field(ge=0, lt=1)] | Literal["auto"]
    smoothing: NotNegative
    explainer: Explainer
    heatmap: Heatmap
    crop: Crop


def default_options(detector: str, explainer: str | None = None) -> dict[str, Any]:
    """Return the values that conf/infer.yaml and the files of a detector and an explainer have for a `PipelineConfig`.

    Raises:
        UserError: if there is no such detector or explainer.
    """
    from omegaconf import OmegaConf

    options = OmegaConf.to_container(OmegaConf.load(CONF / "infer.yaml"))
    usual = next(choice["explainer"] for choice in options["defaults"] if "explainer" in choice)
    chosen = {"detector": detector, "explainer": usual if explainer is None else explainer}
    values = {key: options[key] for key in PipelineConfig.model_fields if key in options}
    for group, option in chosen.items():
        known = tuple(sorted(path.stem for path in (CONF / group).glob("*.yaml")))
        if option not in known:
            raise UserError(f"{group}={option}: expected one of {', '.join(known)}{nearest(str(option), known)}")
        values[group] = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"))
    return values


class InferConfig(PipelineConfig):
    """conf/infer.yaml."""

    mode: Literal["auto", "webcam", "video", "image", "crop"]  # checked, never auto: the input tells
    input: str | None
    output: PathField | None
    weights: PathField
    device: Literal["auto", "cpu", "cuda", "mps", "coreml", "openvino"]
    show: bool
    format: Literal["jsonl", "csv"]
    draw: Draw

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
        if self.draw.heatmap is True and self.explainer.name == "none":
            raise ValueError("draw.heatmap=true: expected an explainer, but explainer=none: choose gradcam")
        if self.mode == "webcam" and not self.show and self.output is None:
            raise ValueError("show=false: expected an output to record to, but output is null: add output=FILE.mp4")
        return self
