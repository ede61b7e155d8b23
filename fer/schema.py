"""The one typed schema of `conf/train.yaml`: names, types, ranges, and what must agree.

Pydantic checks a whole configuration at once and reports every mistake with its key, which OmegaConf's structured
configs, stopping at the first, cannot. Meanings and units stand in the YAML files, next to the defaults.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from fer.architectures import Fraction, Model, Section
from fer.data.schema import Dataset, Synthetic, classes_of
from fer.errors import printable
from fer.fields import KIND, Count, NotNegative, PathField, Positive, not_empty
from fer.monitor import monitor_mistake


def _metric(name: str) -> str:
    if wrong := monitor_mistake(name, None):
        raise ValueError(wrong)
    return name


def _project(name: str) -> str:
    if not name.strip() or not set(FORBIDDEN).isdisjoint(name):
        raise ValueError(f"expected a name without any of {FORBIDDEN}, but got {printable(name) or 'nothing'}")
    return name


Weighting = Literal["none", "balanced", "sqrt", "effective"]

FORBIDDEN = r"/\#?%:"  # in the name of a project, by wandb


class Augmentation(Section):
    """A strategy: names of transforms, in order, each with the Albumentations class it is made from."""

    name: str
    transforms: dict[str, dict[str, Any]]


class CrossEntropy(Section):
    """conf/loss/cross_entropy.yaml."""

    name: Literal["cross_entropy"]
    weighting: Weighting
    label_smoothing: Fraction


class Focal(Section):
    """conf/loss/focal.yaml."""

    name: Literal["focal"]
    gamma: NotNegative
    weighting: Weighting
    label_smoothing: Fraction


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
    betas: Annotated[tuple[Fraction, ...], Strict(False), Field(min_length=2, max_length=2)]
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


class TensorBoard(Section):
    """conf/logger/tensorboard.yaml."""


class Wandb(Section):
    """conf/logger/wandb.yaml."""

    project: Annotated[str, AfterValidator(_project)]
    offline: bool


class MLflow(Section):
    """conf/logger/mlflow.yaml."""

    experiment: Annotated[str, AfterValidator(_project)]
    uri: Annotated[str, BeforeValidator(not_empty)] | None


class Loggers(Section):
    """conf/logger/*.yaml: a section for each that is chosen, under its name."""

    tensorboard: TensorBoard | None = None
    wandb: Wandb | None = None
    mlflow: MLflow | None = None


class Search(Section):
    """conf/sweep/optuna.yaml."""

    name: Literal["optuna"]
    trials: Annotated[int, Field(gt=0, le=10_000)]
    startup: Count
    warmup: Count
    space: dict[str, Any]


Loss = Annotated[CrossEntropy | Focal, *KIND]
Optimizer = Annotated[Sgd | AdamW, *KIND]
Scheduler = Annotated[Cosine | Plateau, *KIND]


class TrainConfig(Section):
    """conf/train.yaml."""

    dataset: Dataset
    augmentation: Augmentation
    model: Model
    loss: Loss
    optimizer: Optimizer
    scheduler: Scheduler
    trainer: Trainer
    logger: Loggers = Loggers(tensorboard=TensorBoard())
    sweep: Search | None = None
    seed: Count
    batch_size: Annotated[int, Field(gt=0, le=65_536)]
    workers: Annotated[int, Field(ge=0, le=256)] | Literal["auto"]
    monitor: Annotated[str, AfterValidator(_metric)]
    ema: Fraction
    early_stopping: Count
    whole_faces: Count = 0
    teacher: PathField | None = None
    teacher_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    start_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    gradient_clip: NotNegative
    mixup: NotNegative
    cutmix: NotNegative
    not_sure_accuracy: Annotated[float, Field(ge=0, lt=1)] = 0.9
    tta: Literal["none", "flip", "tencrop", "all"]
    fit: bool
    test: bool
    groups: PathField | None = None
    fold: Annotated[int, Field(gt=0)] | None = None
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    export: bool = False
    weights: PathField | None
    resume: PathField | None

    @model_validator(mode="after")
    def _choices_agree(self) -> "TrainConfig":
        if wrong := monitor_mistake(self.monitor, self._classes()):
            raise ValueError(f"monitor: {wrong}")
        if not self.fit and self.weights is None:
            raise ValueError("fit=false: expected the weights to evaluate, but weights is null: add weights=FILE")
        if self.start_share and not (self.fit and self.weights):
            raise ValueError(
                f"start_share={self.start_share:g}: expected a training that starts from weights=FILE, of which the "
                "net is to keep this share: name them, or leave start_share out"
            )
        if self.teacher and not self.fit:
            raise ValueError("fit=false: expected no teacher, since an evaluation teaches nothing: leave teacher out")
        if self.teacher and self.fold:
            raise ValueError(
                "fold: expected no teacher, which may have seen the faces that are left out: leave one out"
            )
        if self.teacher and self.dataset.labels == "multi":
            raise ValueError(
                "dataset.labels=multi: expected no teacher, since its answers are shares: set dataset.labels=soft"
            )
        if not self.fit and self.resume is not None:
            raise ValueError("fit=false: expected no resume, since an evaluation starts anew: leave resume out")
        if not self.fit and self.trainer.shared_by:
            raise ValueError(
                "fit=false: expected one device, since one process evaluates: leave out trainer=ddp, and set "
                "trainer.devices=1"
            )
        if self.fold and self.fold > self.folds:
            raise ValueError(f"fold: expected a number from 1 to folds={self.folds}, but got {self.fold}")
        if self.fold and not self.fit:
            raise ValueError("fit=false: expected no fold, since an evaluation trains on none: leave fold out")
        if self.groups and not self.test:
            raise ValueError("groups: expected test=true, since the groups are of test faces: leave groups out")
        if self.sweep and (self.test or not self.fit or self.trainer.shared_by):
            raise ValueError(
                "sweep: expected test=false, fit=true and one device for each net, since a search trains one net after "
                "another and must not look at the test split: leave out trainer=ddp, and set trainer.devices=1"
            )
        if isinstance(self.dataset, Synthetic):
            self.dataset.require_room(self.model.input_size)
        if self.trains_others and self.dataset.labels == "multi":
            raise ValueError(
                "dataset.others=uniform: expected labels other than multi, by which a net is right with any class: set "
                "dataset.labels=soft"
            )
        if self.mixup + self.cutmix > 0 and self.dataset.labels == "multi":
            raise ValueError("dataset.labels=multi: expected mixup=0 and cutmix=0: mixed faces have no best label")
        return self

    @property
    def trains_others(self) -> bool:
        """Whether training faces of classes that the net does not have are trained, too, as none of those it has."""
        return getattr(self.dataset, "others", "drop") == "uniform"

    def _classes(self) -> tuple[str, ...] | None:
        """The names of the classes, unless only the data or a weights file tells them."""
        return classes_of(self.dataset) if self.fit else None
