"""What a configuration and a weights file may say of a net: the typed arguments of each architecture.

One class for each entry of `fer.models.factory.NETS`, of the same name: it says which arguments there are and how large
the net may be, before torch is imported or memory is taken.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, Strict, model_validator

DEFAULT = "se_resnet"  # what a weights file without a name holds
MAX_MILLIONS = 200  # parameters: with gradients, averages and AdamW's moments 4 GB, which a laptop can hold


def _whole(number: Any) -> Any:
    if isinstance(number, bool | float):  # Literal compares by value: it would take 6.0 for 6 and true for 1
        raise ValueError(f"expected a whole number, but got {str(number).lower()}")
    return number


Whole = BeforeValidator(_whole)
Fraction = Annotated[float, Field(ge=0, lt=1)]
InputSize = Annotated[int, Field(ge=16, le=512)]
Widths = Annotated[tuple[Annotated[int, Field(gt=0, le=4096)], ...], Strict(False), Field(min_length=1, max_length=6)]
Depths = Annotated[tuple[Annotated[int, Field(gt=0, le=200)], ...], Strict(False), Field(min_length=1, max_length=6)]


class Section(BaseModel):
    """A part of the configuration: unknown keys are mistakes, YAML's types count, nothing changes after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Architecture(Section):
    """The arguments of a net but for the number of classes."""

    def smallest(self) -> int:
        """Return the side of the smallest faces that the net can look at, in pixels."""
        return 1


class Stages(Architecture):
    """What nets of stages have in common, each of which but the first halves the resolution."""

    widths: Widths
    depths: Depths

    @model_validator(mode="after")
    def _stages_agree(self) -> Self:
        if len(self.widths) != len(self.depths):
            raise ValueError(f"expected as many depths as widths, but got {self.depths} for {self.widths}")
        if (found := self.parameters() / 1e6) > MAX_MILLIONS:
            raise ValueError(
                f"expected a net of at most {MAX_MILLIONS} million parameters, but these widths and depths make "
                f"{found:,.0f} million: take smaller ones"
            )
        return self

    def parameters(self) -> int:
        """Return how many the net has but for its head, by arithmetic: to build it takes torch, and memory."""
        raise NotImplementedError

    def smallest(self) -> int:
        """See `Architecture`."""
        return 2 ** len(self.widths)


class SEResNet(Stages):
    """The arguments of `fer.models.se_resnet.SEResNet` but for the number of classes."""

    stem_stride: Annotated[Literal[1, 2], Whole]
    reduction: PositiveInt
    dropout: Fraction
    drop_path: Fraction

    def parameters(self) -> int:
        """See `Stages`."""
        inputs = self.widths[0]
        total = 11 * inputs  # the stem
        for width, depth in zip(self.widths, self.depths, strict=True):
            hidden = max(width // self.reduction, 4)
            total += depth * (18 * width**2 + 4 * width + 2 * hidden * width + hidden + width)
            total += 9 * width * (inputs - width)  # the first block's first convolution
            total += (inputs + 2) * width if inputs != width else 0  # and its shortcut
            inputs = width
        return total

    def smallest(self) -> int:
        """See `Architecture`."""
        return self.stem_stride * super().smallest()


class VGG(Stages):
    """The arguments of `fer.models.vgg.VGG` but for the number of classes."""

    hidden: Annotated[int, Field(gt=0, le=4096)]
    dropout: Fraction

    def parameters(self) -> int:
        """See `Stages`."""
        total, inputs = 0, 1
        for width, depth in zip(self.widths, self.depths, strict=True):
            total += 9 * width * (inputs + (depth - 1) * width) + 2 * width * depth
            inputs = width
        return total + (inputs + 1) * self.hidden


class Timm(Architecture):
    """The arguments of `fer.models.timm_net.TimmNet` but for the number of classes and the start."""

    backbone: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,80}(\.[a-z0-9_]{1,80})?$")]  # a name, and no address
    dropout: Fraction

    def smallest(self) -> int:
        """See `Architecture`."""
        return 32  # most backbones halve them five times


ARCHITECTURES: dict[str, type[Architecture]] = {
    "se_resnet": SEResNet,
    "vgg": VGG,
    "timm": Timm,
}


def require_size(architecture: Architecture, side: int) -> None:
    """Raise a ValueError if faces of `side` pixels are too small to be halved as often as the net does."""
    if side < (needed := architecture.smallest()):
        raise ValueError(f"expected input_size of at least {needed} for these stages, but got {side}")


def check_arguments(architecture: dict[str, Any]) -> dict[str, Any]:
    """Return a weights file's architecture, its arguments checked by their schema.

    Raises:
        ValueError: if there is no such architecture, or (ValidationError) an argument is wrong.
    """
    return name_arguments(architecture.get("name", DEFAULT), typed(architecture).model_dump())


def typed(architecture: dict[str, Any]) -> Architecture:
    """Return a weights file's architecture by its schema; raises as `check_arguments`."""
    if (name := architecture.get("name", DEFAULT)) not in ARCHITECTURES:
        raise ValueError(f"expected a name among {', '.join(ARCHITECTURES)}, but got {name!r}")
    arguments = {key: value for key, value in architecture.items() if key != "name"}
    return ARCHITECTURES[name].model_validate(arguments)


def name_arguments(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments with the architecture's name, which the first one's files do not have."""
    return ({} if name == DEFAULT else {"name": name}) | arguments


def _default(section: Any) -> Any:
    return {"architecture": DEFAULT} | section if isinstance(section, dict) else section


class _Option(Section):
    """What each file of conf/model has beside the architecture's arguments: its name, and the side of the faces."""

    name: str
    input_size: InputSize

    @model_validator(mode="after")
    def _size_suits_stages(self) -> Self:
        require_size(self, self.input_size)
        return self

    def arguments(self) -> dict[str, Any]:
        """Return what the factory builds the net from, as weights files hold it."""
        settings = self.model_dump(exclude={"name", "input_size", "architecture", "pretrained"})
        return name_arguments(self.architecture, settings)


class SEResNetOption(SEResNet, _Option):
    """conf/model/*.yaml of the SE-ResNet."""

    architecture: Literal["se_resnet"] = DEFAULT


class VGGOption(VGG, _Option):
    """conf/model/vgg.yaml."""

    architecture: Literal["vgg"]


class TimmOption(Timm, _Option):
    """conf/model/timm.yaml."""

    architecture: Literal["timm"]
    pretrained: bool


Model = Annotated[
    SEResNetOption | VGGOption | TimmOption,
    Field(discriminator="architecture"),
    BeforeValidator(_default),
]
