"""The typed schema of conf/dataset."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, Strict

from fer.architectures import Section, Whole
from fer.emotions import class_names
from fer.fields import KIND, Count, PathField


def _one_together(shares: tuple[float, ...]) -> tuple[float, ...]:
    if abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"expected shares of train, val and test that make 1, but got {sum(shares):.6g}")
    return shares


Faces = Annotated[int, Field(ge=12)]
Shares = Annotated[
    tuple[Annotated[float, Field(gt=0, lt=1)], ...],
    Strict(False),
    Field(min_length=3, max_length=3),
    AfterValidator(_one_together),
]
OfficialSplit = Literal["official", "as_is"]
OnError = Literal["raise", "skip"]
Others = Literal["drop", "uniform"]

DRAWN = 500_000_000  # pixels of a drawn split: 16 GB while it is drawn, 120,000 faces of 64 pixels


class Fer2013(Section):
    """conf/dataset/fer2013.yaml."""

    name: Literal["fer2013"]
    labels: ClassVar[str] = "one-hot"
    root: PathField
    classes: Annotated[Literal[6, 7], Whole]
    split: OfficialSplit = "official"
    on_error: OnError
    others: Others = "drop"


class FerPlus(Section):
    """conf/dataset/ferplus.yaml."""

    name: Literal["ferplus"]
    root: PathField
    classes: Annotated[Literal[6, 7, 8], Whole]
    labels: Literal["majority", "probability", "soft", "multi"]
    split: OfficialSplit = "official"
    on_error: OnError
    others: Others = "drop"


class Folder(Section):
    """conf/dataset/folder.yaml."""

    name: Literal["folder"]
    labels: ClassVar[str] = "one-hot"
    root: PathField
    classes: Annotated[Literal[6, 7, 8, "own"] | None, Whole]
    split: Shares | None = None
    seed: Count = 0
    on_error: OnError
    others: Others = "drop"


class Synthetic(Section):
    """conf/dataset/synthetic.yaml."""

    name: Literal["synthetic"]
    labels: ClassVar[str] = "one-hot"
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


Dataset = Annotated[Fer2013 | FerPlus | Folder | Synthetic, *KIND]


def classes_of(dataset: Dataset) -> tuple[str, ...] | None:
    """Return the names of a dataset's classes, unless only its files tell them."""
    return class_names(dataset.classes) if isinstance(dataset.classes, int) else None
