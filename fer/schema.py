"""The one typed schema of `conf/train.yaml`: names, types, ranges, and what must agree.

Pydantic checks a whole configuration at once and reports every mistake with its key, which OmegaConf's structured
configs, stopping at the first, cannot. Meanings and units stand in the YAML files, next to the defaults.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, Strict, model_validator


def _not_empty(path: Any) -> Any:
    if path == "":
        raise ValueError("expected a path, but got nothing")  # to pathlib it would be the current folder
    return path


def _whole(number: Any) -> Any:
    if isinstance(number, bool | float):  # Literal compares by value: it would take 6.0 for 6 and true for 1
        raise ValueError(f"expected a whole number, but got {str(number).lower()}")
    return number


Whole = BeforeValidator(_whole)
Place = Annotated[Path, Strict(False), BeforeValidator(_not_empty)]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**32)]
InputSize = Annotated[int, Field(ge=16, le=512)]
Faces = Annotated[int, Field(ge=12)]
Widths = Annotated[tuple[Annotated[int, Field(gt=0, le=4096)], ...], Strict(False), Field(min_length=1, max_length=6)]
Depths = Annotated[tuple[Annotated[int, Field(gt=0, le=200)], ...], Strict(False), Field(min_length=1, max_length=6)]
OnError = Literal["raise", "skip"]
Weighting = Literal["none", "balanced", "sqrt", "effective"]

MOST = 200  # million parameters: with gradients, averages and AdamW's moments 4 GB, which a laptop can hold
DRAWN = 500_000_000  # pixels of a drawn split: 16 GB while it is drawn, 120,000 faces of 64 pixels


class Section(BaseModel):
    """A part of the configuration: unknown keys are mistakes, YAML's types count, nothing changes after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Fer2013(Section):
    """conf/dataset/fer2013.yaml."""

    name: Literal["fer2013"]
    root: Place
    classes: Annotated[Literal[6, 7], Whole]
    on_error: OnError


class FerPlus(Section):
    """conf/dataset/ferplus.yaml."""

    name: Literal["ferplus"]
    root: Place
    classes: Annotated[Literal[6, 7, 8], Whole]
    labels: Literal["majority", "probability", "soft", "multi"]
    on_error: OnError


class Folder(Section):
    """conf/dataset/folder.yaml."""

    name: Literal["folder"]
    root: Place
    classes: Annotated[Literal[6, 7, 8] | None, Whole]
    on_error: OnError


class Synthetic(Section):
    """conf/dataset/synthetic.yaml."""

    name: Literal["synthetic"]
    classes: Annotated[Literal[6, 7], Whole]
    train: Faces
    val: Faces
    test: Faces
    seed: Count

    def require_room(self, side: int) -> None:
        """Raise a ValueError if a split of faces of `side` pixels takes more memory than people have."""
        most = DRAWN // side**2
        for name in ("train", "val", "test"):
            if (count := getattr(self, name)) > most:
                raise ValueError(
                    f"dataset.{name}: expected at most {most} drawn faces of {side} pixels, as more take over 16 GB, "
                    f"but got {count}"
                )


class Augmentation(Section):
    """A strategy: names of transforms, in order, each with the Albumentations class it is made from."""

    name: str
    transforms: dict[str, dict[str, Any]]


class Architecture(Section):
    """The arguments of `fer.models.se_resnet.SEResNet` but for the number of classes, as weights files hold them."""

    widths: Widths
    depths: Depths
    stem_stride: Annotated[Literal[1, 2], Whole]
    reduction: PositiveInt
    dropout: Share
    drop_path: Share

    @model_validator(mode="after")
    def _stages_agree(self) -> Self:
        if len(self.widths) != len(self.depths):
            raise ValueError(f"expected as many depths as widths, but got {self.depths} for {self.widths}")
        if (found := self.parameters() / 1e6) > MOST:
            raise ValueError(
                f"expected a net of at most {MOST} million parameters, but these widths and depths make {found:,.0f} "
                "million: take smaller ones"
            )
        return self

    def parameters(self) -> int:
        """Return how many the net has but for its head, by arithmetic: to build it takes torch, and memory."""
        inputs = self.widths[0]
        total = 11 * inputs  # the stem
        for width, depth in zip(self.widths, self.depths, strict=True):
            hidden = max(width // self.reduction, 4)
            total += depth * (18 * width**2 + 4 * width + 2 * hidden * width + hidden + width)
            total += 9 * width * (inputs - width)  # the first block's first convolution
            total += (inputs + 2) * width if inputs != width else 0  # and its shortcut
            inputs = width
        return total

    def require_size(self, side: int) -> None:
        """Raise a ValueError if faces of `side` pixels are too small to be halved as often as the stages do."""
        if side < (needed := 2 * self.stem_stride * 2 ** (len(self.widths) - 1)):
            raise ValueError(f"expected input_size of at least {needed} for these stages, but got {side}")


class Model(Architecture):
    """conf/model/*.yaml: the net, and the side of its input."""

    name: str
    input_size: InputSize

    @model_validator(mode="after")
    def _size_suits_stages(self) -> Self:
        self.require_size(self.input_size)
        return self

    def architecture(self) -> dict[str, Any]:
        """Return SEResNet's arguments but for the number of classes."""
        return self.model_dump(exclude={"name", "input_size"})


class CrossEntropy(Section):
    """conf/loss/cross_entropy.yaml."""

    name: Literal["cross_entropy"]
    weighting: Weighting
    label_smoothing: Share


class Focal(Section):
    """conf/loss/focal.yaml."""

    name: Literal["focal"]
    gamma: NotNegative
    weighting: Weighting
    label_smoothing: Share


class Sgd(Section):
    """conf/optimizer/sgd.yaml."""

    name: Literal["sgd"]
    lr: Positive
    momentum: Annotated[float, Field(gt=0, lt=1)]
    weight_decay: NotNegative


class AdamW(Section):
    """conf/optimizer/adamw.yaml."""

    name: Literal["adamw"]
    lr: Positive
    betas: Annotated[tuple[Share, ...], Strict(False), Field(min_length=2, max_length=2)]
    weight_decay: NotNegative


class Cosine(Section):
    """conf/scheduler/cosine.yaml."""

    name: Literal["cosine"]
    warmup: Annotated[float, Field(ge=0, le=0.9)]
    floor: Annotated[float, Field(ge=0, le=1)]


class Plateau(Section):
    """conf/scheduler/plateau.yaml."""

    name: Literal["plateau"]
    factor: Annotated[float, Field(gt=0, lt=1)]
    patience: Count


class Trainer(Section):
    """conf/trainer/*.yaml: the hardware; and how long to train."""

    name: str
    max_epochs: Annotated[int, Field(gt=0, le=100_000)]
    accelerator: Literal["auto", "cpu", "gpu", "mps", "cuda"]
    devices: Annotated[int, Field(gt=0, le=64)] | Literal["auto"]
    num_nodes: Annotated[int, Field(gt=0, le=1024)]
    strategy: Literal["auto", "ddp"]
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
    compile: bool

    @model_validator(mode="after")
    def _cpu_devices_are_counted(self) -> "Trainer":
        if self.accelerator == "cpu" and self.devices == "auto":
            raise ValueError("expected a number of processes in trainer.devices beside accelerator=cpu, but got auto")
        return self

    @property
    def shared_by(self) -> str | None:
        """The setting by which several processes train one net, as with trainer=ddp; None if one process does."""
        alone = {"strategy": "auto", "devices": 1, "num_nodes": 1}
        shared = (f"trainer.{key}={getattr(self, key)}" for key, value in alone.items() if getattr(self, key) != value)
        return next(shared, None)


class Search(Section):
    """conf/sweep/optuna.yaml."""

    name: Literal["optuna"]
    trials: Annotated[int, Field(gt=0, le=10_000)]
    startup: Count
    warmup: Count
    space: dict[str, Any]


Dataset = Annotated[Fer2013 | FerPlus | Folder | Synthetic, Field(discriminator="name")]
Loss = Annotated[CrossEntropy | Focal, Field(discriminator="name")]
Optimizer = Annotated[Sgd | AdamW, Field(discriminator="name")]
Scheduler = Annotated[Cosine | Plateau, Field(discriminator="name")]


class TrainConfig(Section):
    """conf/train.yaml."""

    dataset: Dataset
    augmentation: Augmentation
    model: Model
    loss: Loss
    optimizer: Optimizer
    scheduler: Scheduler
    trainer: Trainer
    sweep: Search | None = None
    seed: Count
    batch_size: Annotated[int, Field(gt=0, le=65_536)]
    workers: Annotated[int, Field(ge=0, le=256)] | Literal["auto"]
    monitor: Literal["val/accuracy", "val/balanced_accuracy", "val/f1_macro", "val/loss"]
    ema: Share
    early_stopping: Count
    gradient_clip: NotNegative
    mixup: NotNegative
    cutmix: NotNegative
    tta: Literal["none", "flip", "tencrop", "all"]
    fit: bool
    test: bool
    weights: Place | None
    resume: Place | None

    @model_validator(mode="after")
    def _choices_agree(self) -> "TrainConfig":
        if not self.fit and self.weights is None:
            raise ValueError("fit=false: expected the weights to evaluate, but weights is null: add weights=FILE")
        if not self.fit and self.resume is not None:
            raise ValueError("fit=false: expected no resume, since an evaluation starts anew: leave resume out")
        if self.sweep and (self.test or not self.fit or self.trainer.shared_by):
            raise ValueError(
                "sweep: expected test=false, fit=true and one device for each net, since a search trains one net after "
                "another and must not look at the test split: leave out trainer=ddp, and set trainer.devices=1"
            )
        if isinstance(self.dataset, Synthetic):
            self.dataset.require_room(self.model.input_size)
        if self.mixup + self.cutmix > 0 and getattr(self.dataset, "labels", None) == "multi":
            raise ValueError("dataset.labels=multi: expected mixup=0 and cutmix=0: mixed faces have no best label")
        return self
