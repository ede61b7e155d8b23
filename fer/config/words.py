"""The words of a command, each by itself: paths quoted for Hydra's grammar, values to sweep over, known options."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from fer.config import hydra_inside
from fer.config.bounds import JOBS
from fer.config.hydra_inside import Override
from fer.config.messages import nearest
from fer.errors import printable
from fer.paths import resolve_weights

if TYPE_CHECKING:
    from fer.config.jobs import Command

# Their values are taken as typed, since Hydra's grammar trips over blanks, accents, brackets, "=", "?" and ",".
PATHS = (
    *("dataset.root", "weights", "teacher", "resume", "groups", "hydra.run.dir", "hydra.sweep.dir"),
    *("input", "output", "detector.model"),
)
SWEPT = PATHS[:3]  # of them, those of which a sweep can have several
AS_TYPED = (*PATHS, "logger.mlflow.uri", "heatmap.target")  # a class may have a name with accents
# What composing raises.
REFUSALS = (
    HydraException,
    OmegaConfBaseException,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    OSError,
)
SEVERAL = ("logger",)  # groups of which a run can have several options, as a list
FOREIGN = ("hydra.sweeper", "hydra/sweeper", "hydra.callbacks")  # would start other jobs than those that were checked


def quote_path(word: str, multirun: bool = False) -> str:
    """Return `key=path` with the path quoted for Hydra and `~` expanded; other words as they are.

    Args:
        word: as typed.
        multirun: whether a list of existing paths is several values to sweep over.
    """
    key, equals, value = word.partition("=")
    if key.lstrip("+") not in AS_TYPED or not equals or value in ("", "null") or _is_quoted(word, value):
        return word
    paths = [os.path.expanduser(path) for path in value.split(",")]  # noqa: PTH111 (pathlib's fails for ~nobody)
    files = _files(key, [path for path in paths if path != "null"])
    is_list = multirun and key in SWEPT and not _exists(value) and all(map(_exists, files))
    values = paths if is_list else [os.path.expanduser(value)]  # noqa: PTH111
    return f"{key}={','.join(path if path == 'null' else quoted(path) for path in values)}"


def _files(key: str, words: list[str]) -> list[str | Path]:
    return list(map(resolve_weights, words)) if key in ("weights", "teacher") else words


def _exists(path: str | Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (pathlib's fails for a name that is too long)


def quoted(text: str) -> str:
    """Return a text in quotes, as Hydra's grammar takes it whole."""
    escaped = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), text)
    return f"'{escaped}'"


def _is_quoted(word: str, value: str) -> bool:
    if value[0] not in "'\"" or value[0] != value[-1]:
        return False
    try:
        return bool(hydra_inside.parse(word))
    except HydraException:
        return False


def parse_word(word: str, errors: list[str]) -> Override | None:
    """Return what a word means to Hydra; None, and a sentence among the errors, if it means nothing."""
    with suppress(HydraException):
        override = hydra_inside.parse(word)
        if override.key_or_group:
            return override
    hint = "quote what has blanks or special characters: 'key=\"a, b\"'" if "=" in word else "see --help"
    errors.append(f"{printable(word)}: expected key=value; {hint}")
    return None


def words_of(override: Override, command: "Command", errors: list[str]) -> list[str]:
    """Return the words that a word stands for: several if its key is swept, none if all of them are wrong."""
    words = [override.input_line]
    if override.key_or_group == "hydra.mode":
        errors.append("hydra.mode: expected -m for a sweep, and nothing for one run")
        return []
    if override.is_hydra_override() and _is_foreign(override):
        errors.append(
            f"{override.input_line}: expected hydra/launcher=basic, parallel or slurm, and their keys: nothing else "
            "may start the jobs"
        )
        return []
    if override.key_or_group == "hydra/launcher" and not command.multirun:
        errors.append(f"{override.input_line}: launches the jobs of a sweep: add -m")
        return []
    if override.is_sweep_override() and override.key_or_group in SEVERAL:
        key, _, names = override.input_line.partition("=")
        errors.append(f"{key}={names}: several for one run stand in brackets: {key}=[{names}]")
        return []
    if override.is_sweep_override() and not command.multirun:
        errors.append(f"{override.input_line}: several values make a sweep: add -m, or put a list into brackets")
        return []
    if override.is_sweep_override():
        try:
            if _is_endless(override.value()):
                raise ValueError(f"expected at most {JOBS} values for a sweep: take larger steps")
            words = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        except REFUSALS as error:
            errors.append(f"{override.input_line}: {first_line(error)}")
            return []
    if override.is_delete():
        return words
    launchers = {"hydra/launcher": hydra_inside.options_of("hydra/launcher")}
    options = command.options | launchers
    found = {word: _wrong_option(override.key_or_group, word.partition("=")[2], options) for word in words}
    errors += filter(None, found.values())
    return [word for word in words if not found[word]]


def _is_foreign(override: Override) -> bool:
    """Tell whether a word would have Hydra call something else than it does by the files in conf/."""
    key = override.key_or_group
    return "_target_" in override.input_line or (key.startswith(FOREIGN) and key != "hydra.sweeper.max_batch_size")


def _is_endless(value: Any) -> bool:
    """Tell whether a range has more values than a sweep has jobs; `range(1000000000)` is not to be counted by them."""
    return isinstance(value, hydra_inside.RangeSweep) and abs(value.stop - value.start) > JOBS * abs(value.step) > 0


def _wrong_option(key: str, value: str, options: dict[str, list[str]]) -> str | None:
    """Say what is wrong with the choice of an option, if it is one."""
    group, value = key.removesuffix(".name"), value.strip("'\"")
    if group != key and value in options.get(group, ()):
        return f"{key}={value}: choose an option by {group}={value}, which brings its other keys along"
    if key not in options:
        return None
    is_list = key in SEVERAL and value.startswith("[")
    chosen = [name.strip(" '\"") for name in value.strip("[]").split(",")] if is_list else [value]
    if not (wrong := [name for name in chosen if name not in options[key]]):
        return None
    value = wrong[0]
    return f"{key}={value}: expected one of {', '.join(options[key])}{nearest(value, options[key])}"


def first_line(error: Exception) -> str:
    """Return what an error says, in short; if it says nothing, its kind."""
    return next(iter(str(error).strip().splitlines()), f"Hydra refuses the settings ({type(error).__name__})")
