"""Types of settings that several schemas share: paths, numbers in a range, and sections that come in several."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from fer.paths import resolve_weights


def not_empty(path: Any) -> Any:
    """Refuse an empty text: to pathlib it would be the current folder."""
    if path == "":
        raise ValueError("expected a path, but got nothing")
    return path


def _with_name(section: Any) -> Any:
    """Let a section that lacks its name have an empty one: of that, pydantic tells which names there are."""
    return {"name": ""} | section if isinstance(section, dict) else section


KIND = Field(discriminator="name"), BeforeValidator(_with_name)  # of a section that comes in several
PathField = Annotated[Path, Strict(False), BeforeValidator(not_empty)]
ShippedPathField = Annotated[PathField, AfterValidator(resolve_weights)]  # of what may come with the project
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**32)]
