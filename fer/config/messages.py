"""What is wrong with a configuration, as sentences that name the key, what was expected, and the nearest valid name."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from fer.errors import printable

OPEN = "augmentation.transforms."  # the one place where a user adds keys

# Pydantic's kinds of errors, as what was expected instead.
EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "path_type": "a path",
    "tuple_type": "a list in brackets",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "greater_than": "more than {gt:.15g}",
    "greater_than_equal": "at least {ge:.15g}",
    "less_than": "less than {lt:.15g}",
    "less_than_equal": "at most {le:.15g}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "literal_error": "{expected}",
}


SECTIONS = ("dict_type", "model_type", "model_attributes_type")


def mistakes(errors: list[str]) -> str:
    """Return one error as it is, several as a list under a heading."""
    if len(errors) == 1:
        return errors[0]
    return "\n  - ".join([f"{len(errors)} settings are wrong", *errors])


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" with the name that looks most like `word`, in whatever case, or nothing."""
    names = {_letters(name): name for name in known}
    found = get_close_matches(_letters(word), names, 1, 0.6)
    return f"; did you mean {names[found[0]]}?" if found else ""


def _letters(word: str) -> str:
    return word.lower().replace("+", "plus")


def unknown_key(key: str, plain: dict[str, Any]) -> str:
    """Say that a key does not exist, and which one may be meant.

    Args:
        key: dotted.
        plain: the configuration without the key.
    """
    section, _, leaf = key.rpartition(".")
    beside = _section(plain, section)
    names = [name for name in _names(plain) if not key.startswith(f"{name}.") or not _section(plain, name)]
    by_leaf = {} if section else {name.rpartition(".")[2]: name for name in names}
    for word, known, likeness in ((leaf, beside, 0.6), (key, [] if beside else names, 0.8), (leaf, by_leaf, 0.75)):
        if found := get_close_matches(word.lower(), list(known), 1, likeness):
            meant = by_leaf.get(found[0], found[0]) if known is by_leaf else found[0]
            prefix = f"{section}." if known is beside and section else ""
            return f"{key}: unknown key; did you mean {prefix}{meant}?"
    if not section or not beside:
        return f"{key}: unknown key; --help shows all"
    owner = f"{section}={beside['name']}" if "name" in beside else section
    return f"{key}: unknown key; {owner} has {', '.join(name for name in beside if name != 'name')}"


def _section(plain: dict[str, Any], key: str) -> dict[str, Any]:
    try:
        found = find(plain, key) if key else plain
    except KeyError:
        return {}
    return found if isinstance(found, dict) else {}


def find(plain: Any, key: str) -> Any:
    """Return what stands at a dotted key.

    Raises:
        KeyError: if there is nothing.
    """
    for part in key.split("."):
        if not isinstance(plain, dict):
            raise KeyError(key)
        plain = plain[part]
    return plain


def sentences(error: ValidationError, plain: dict[str, Any]) -> list[str]:
    """Turn pydantic's errors into "key: expected ..., but got ...", one for each key."""
    by_key: dict[str, list[dict[str, Any]]] = {}
    for item in error.errors():
        names_no_value = item["type"] in ("missing", "extra_forbidden")
        by_key.setdefault(_dotted(item["loc"], plain, names_no_value), []).append(item)
    parents = {key for key in by_key if any(other.startswith(f"{key}.") for other in by_key)}
    return [_sentence(key, items, plain) for key, items in by_key.items() if key not in parents]


def _sentence(key: str, items: list[dict[str, Any]], plain: dict[str, Any]) -> str:
    item = items[0]
    if item["type"] == "extra_forbidden" and (group := _unpacked(key, item["input"])):
        return (
            f'{key}: expected "# @package _global_" as the first line of the file of {group}=..., as it sets keys of '
            "other groups: add that line"
        )
    if item["type"] == "extra_forbidden":
        return unknown_key(key, _without(plain, key))
    if item["type"] == "missing":
        return f"{key}: expected a value, but it is missing"
    if item["type"] == "union_tag_invalid":
        wrong, known = item["ctx"]["tag"], item["ctx"]["expected_tags"].replace("'", "")
        which = item["ctx"]["discriminator"].replace("'", "")
        return (
            f"{key}.{which}: expected one of {known}, but got {format_value(wrong)}{nearest(wrong, known.split(', '))}"
        )
    if item["type"] not in EXPECTED:
        message = item["msg"].removeprefix("Value error, ")
        return f"{key}: {message}" if key else message
    expected = [EXPECTED[one["type"]].format(**one.get("ctx", {})) for one in items if one["type"] in EXPECTED]
    words = " or ".join(expected).replace("'", "")
    hint = nearest(str(item["input"]), _choices(items))
    if item["type"] in SECTIONS and isinstance(item["input"], str) and "." not in key:
        hint = f'; a file chooses an option by "defaults: [override /{key}: {printable(item["input"])}]"'
    return f"{key}: expected {words}, but got {format_value(item['input'])}{hint}"


def _unpacked(key: str, found: Any) -> str | None:
    """Return the group of an option's file whose keys lie in the group, as its first line does not say otherwise."""
    group, _, inner = key.rpartition(".")
    is_whole = key == "experiment" or (group and group == inner)
    return (group or key) if is_whole and isinstance(found, dict) else None


def _choices(items: list[dict[str, Any]]) -> list[str]:
    listed = ", ".join(item["ctx"]["expected"] for item in items if item["type"] == "literal_error")
    return [word.strip("'") for word in listed.replace(" or ", ", ").split(", ") if word]


def format_value(value: Any) -> str:
    """Return a value as one would type it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return printable(repr(value)) if value != "" else "nothing"


def _dotted(location: tuple[str | int, ...], plain: Any, names_no_value: bool) -> str:
    """Join pydantic's location, without the names of union members that it mixes in.

    Args:
        location: of a mistake.
        plain: the configuration.
        names_no_value: whether the last part is a key that `plain` has not, or the schema has not.
    """
    parts, node = [], plain
    for index, part in enumerate(location):
        items = dict(enumerate(node)) if isinstance(node, list) else node
        if isinstance(items, dict) and part in items:
            node = items[part]
        elif index + 1 < len(location) or not isinstance(node, dict) or not names_no_value:
            continue
        parts.append(str(part))
    return ".".join(parts)


def _names(plain: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every key and section."""
    for key, value in plain.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{key}.")


def _without(plain: dict[str, Any], key: str) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    kept = {name: value for name, value in plain.items() if name != first}
    if rest and isinstance(plain.get(first), dict):
        kept[first] = _without(plain[first], rest)
    return kept
