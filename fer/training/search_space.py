"""The space of a search: which keys are searched, between which values, and what one trial's configuration is."""

import copy
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from fer.config.messages import find, sentences, unknown_key

RANGE = {"low", "high", "log"}
Range = dict[str, Any] | list[Any]  # {low, high, log}, or what to choose from


def ranges(space: dict[str, Any], prefix: str = "") -> dict[str, Range]:
    """Return the range of each key, dotted, from sections nested as in the configuration."""
    found: dict[str, Range] = {}
    for key, value in space.items():
        if isinstance(value, dict) and not RANGE & set(value):
            found |= ranges(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def place(plain: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with other values at some dotted keys."""
    changed = copy.deepcopy(plain)
    for key, value in values.items():
        section, _, leaf = key.rpartition(".")
        (find(changed, section) if section else changed)[leaf] = value
    return changed


def space_mistakes(plain: dict[str, Any], schema: type[BaseModel]) -> Iterator[str]:
    """Yield what is wrong with the space of a configuration, a sentence each."""
    searched = ranges(plain["sweep"]["space"])
    if not searched:
        yield "sweep.space: expected keys to search, but it is empty"
    for key, values in searched.items():
        yield from _key_mistakes(key, values, plain, schema)


def _key_mistakes(key: str, values: Range, plain: dict[str, Any], schema: type[BaseModel]) -> Iterator[str]:
    own = {name: value for name, value in plain.items() if name != "sweep"}
    try:
        present = find(own, key)
    except KeyError:
        yield f"sweep.space.{unknown_key(key, own)} (to search without it: ~sweep.space.{key})"
        return
    if key == "seed":
        yield "sweep.space.seed: expected a setting to search, but seed cannot be searched: sweep it, -m seed=1,2,3"
    elif isinstance(present, dict):
        yield f"sweep.space.{key}: expected a setting to search, but this is a section"
    elif fault := _range_fault(values):
        yield f"sweep.space.{key}: {fault}"
    else:
        for value in corners(values, present):
            try:
                schema.model_validate(place(plain, {key: value}) | {"sweep": None})
            except ValidationError as error:
                yield from (f"sweep.space.{sentence}" for sentence in sentences(error, place(plain, {key: value})))


def _range_fault(values: Range) -> str | None:
    """Say what is wrong with a range by itself."""
    if isinstance(values, list):
        return None if len(values) > 1 else "expected at least two values to choose from"
    if not isinstance(values, dict) or not {"low", "high"} <= set(values) <= RANGE:
        return f"expected {{low, high}}, log: true beside them, or a list of values, but got {values}"
    low, high, log = values["low"], values["high"], values.get("log", False)
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high)):
        return f"expected numbers, but got {low} and {high}"
    if not low < high:
        return f"expected low below high, but got {low} and {high}"
    if not isinstance(log, bool):
        return f"log: expected true or false, but got {log}"
    return f"expected low above 0 beside log: true, but got {low}" if log and low <= 0 else None


def corners(values: Range, present: Any) -> list[Any]:
    """Return the values that stand for a range: all that can be chosen, or its ends."""
    if isinstance(values, list):
        return values
    whole = is_whole(values, present)
    return [int(values[end]) if whole else float(values[end]) for end in ("low", "high")]


def is_whole(values: dict[str, Any], present: Any) -> bool:
    """Tell whether a range is over whole numbers: those of a key that is one now, between ends typed as such.

    A strength that somebody has set to 1 is a whole number too, but its range has ends like 0.0.
    """
    return all(type(number) is int for number in (present, values["low"], values["high"]))
