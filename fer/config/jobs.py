"""From the words on the command line to checked configurations, before any work: one for each job of a sweep.

Hydra composes, `fer.schema` checks. Every mistake of every job is collected, so that the user sees them all at once.
"""

import itertools
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel, TypeAdapter, ValidationError

import fer.config.resolvers  # noqa: F401 (for OmegaConf)
from fer.config import hydra_inside
from fer.config.bounds import JOBS, excesses
from fer.config.dotted import leaves
from fer.config.from_weights import take_net
from fer.config.hydra_inside import Override
from fer.config.messages import OPEN, find, format_value, mistakes, sentences, unknown_key
from fer.config.words import PATHS, REFUSALS, first_line, parse_word, quote_path, quoted, words_of
from fer.errors import UserError, printable
from fer.paths import CONF

Model = TypeVar("Model", bound=BaseModel)

ENOUGH = 20  # jobs of a sweep that are looked at for mistakes once there is one
NET = "model=weights"  # is added where weights are started from: a net that nothing else tells
NAMED = ("augmentation", "model", "trainer")  # groups whose options are told apart by their names, and by nothing else


@dataclass(frozen=True)
class Command:
    """What the user typed: paths quoted for Hydra, flags apart."""

    conf: Path  # the folder of YAML files
    name: str  # of the primary one
    overrides: list[str]
    multirun: bool = False
    config_dir: Path | None = None  # a second folder with the user's own options

    @property
    def folders(self) -> list[Path]:
        """Ours, and the user's own if there is one."""
        return [folder for folder in (self.conf, self.config_dir) if folder]

    @cached_property
    def options(self) -> dict[str, list[str]]:
        """The names of the options of each group that the primary file's defaults list has."""
        primary = (self.conf / f"{self.name}.yaml").read_text(encoding="utf-8")
        return {
            group: sorted({path.stem for folder in self.folders for path in folder.glob(f"{group}/*.yaml")})
            for group in re.findall(r"^  - (\w+): ", primary, re.MULTILINE)
        }

    def shadowed(self) -> list[str]:
        """Say which of the user's own options have the name of one of ours, which Hydra would take."""
        own = self.config_dir.glob("*/*.yaml") if self.config_dir else ()
        places = [path.relative_to(self.config_dir) for path in own]
        return [
            f"{self.config_dir / place}: {place.parent}={place.stem} is built in: give your option another name"
            for place in places
            if (self.conf / place).exists()
        ]

    def misnamed(self, composed: DictConfig) -> list[str]:
        """Say which of the chosen options has another name in its file than the file's: runs and tables tell it."""
        chosen = {group: composed.hydra.runtime.choices.get(group) for group in NAMED}
        places = [folder / group / f"{name}.yaml" for group, name in chosen.items() for folder in self.folders]
        told = {path: re.search(r"^name: *[\"']?([^\"'\s#]*)", _text(path), re.MULTILINE) for path in places}
        return [
            f"{path}: expected name: {path.stem}, as the file is called, but got {found[1]}: change it, as tables and "
            "folders of runs tell it"
            for path, found in told.items()
            if found and found[1] not in (path.stem, "") and "${" not in found[1]
        ]

    def compose(self, words: list[str]) -> DictConfig:
        """Compose one job's configuration, as Hydra will."""
        return compose(self.name, words + self._places(), return_hydra_config=True)

    def chooses_net(self, experiment: str) -> bool:
        """Tell whether an experiment says which net is trained; raises what Hydra does where there is no such one."""
        place = hydra_inside.place_of_choice(self.name, [f"experiment={experiment}", *self._places()], "model")
        return bool(place and place.startswith("experiment/"))

    def _places(self) -> list[str]:
        folder = self.config_dir
        return [f"hydra.searchpath=[{quoted(f'file://{folder.as_posix()}')}]"] if folder else []


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@dataclass
class Job:
    """One training: its configuration, plain and checked, and the folder it would write to."""

    plain: dict[str, Any]
    schema: type[BaseModel]
    config: Any = None  # the checked model, if nothing is wrong
    folder: Path | None = None  # likewise; in a sweep, below the sweep's own, in which its name is unique
    composed: DictConfig | None = None  # by Hydra, its own settings included; of a sweep's jobs not kept
    unresolved: dict[str, Any] = field(default_factory=dict)  # as plain, but for what stands in place of a value
    is_queued: bool = False  # on a Slurm cluster, and so not to run on this machine
    is_kept: bool = True  # its settings, in its folder, which is then its own
    is_new: bool = False  # its folder, which nobody has named: if there is one of that name, another is made

    @property
    def joins(self) -> bool:
        """Whether it may work in its folder beside others: a search does that continues."""
        return bool(self.plain.get("sweep") and self.plain.get("resume"))

    def texts(self) -> tuple[str, str, str]:
        """Return the settings as `keep_settings` takes them: of the run, of Hydra, and the words."""
        own, hydra = (
            OmegaConf.masked_copy(self.composed, [key for key in self.composed if (key == "hydra") == is_hydras])
            for is_hydras in (False, True)
        )
        return OmegaConf.to_yaml(own), OmegaConf.to_yaml(hydra), OmegaConf.to_yaml(hydra.hydra.overrides.task)

    def part(self, name: str) -> Any:
        """Return the checked value of one key or section; None if it is wrong, whatever the others are."""
        try:
            return TypeAdapter(get_type_hints(self.schema, include_extras=True)[name]).validate_python(self.plain[name])
        except (KeyError, ValidationError):
            return None


def check_jobs(command: Command, schema: type[BaseModel]) -> list[Job]:
    """Compose and check the configuration of every job.

    Raises:
        UserError: with all mistakes of all jobs, a line each.
    """
    jobs, errors = read_jobs(command, schema)
    if errors:
        raise UserError(mistakes(errors))
    return jobs


def one_config(name: str, words: Sequence[str], schema: type[Model]) -> Model:
    """Return the configuration that the words of one job make of conf/NAME.yaml; paths as typed.

    Raises:
        UserError: with all that is wrong.
    """
    if errors := list(excesses(words, PATHS)):
        raise UserError(mistakes(errors))
    return check_jobs(Command(CONF, name, list(map(quote_path, words))), schema)[0].config


def read_jobs(command: Command, schema: type[BaseModel]) -> tuple[list[Job], list[str]]:
    """Compose and check the configuration of every job, and go on after mistakes.

    Returns:
        The jobs that could be composed, and all mistakes, a sentence each.
    """
    errors = command.shadowed()
    with initialize_config_dir(str(command.conf), version_base="1.3"):
        overrides = [override for word in command.overrides if (override := parse_word(word, errors))]
        if command.multirun:  # a sweep takes the last of several words for one key
            overrides = list({override.get_key_element(): override for override in overrides}.values())
        choices = [words for override in overrides if (words := words_of(override, command, errors))]
        if (count := math.prod(map(len, choices))) > JOBS:
            errors.append(f"-m: expected at most {JOBS} jobs in a sweep, but got {count}: sweep over fewer values")
            return [], errors
        jobs = []
        for words in itertools.product(*choices):
            if errors and len(jobs) >= ENOUGH:  # the same mistakes come again, and each job takes a third of a second
                break
            jobs.append(_read_job(command, list(words), schema, errors))
    return [job for job in jobs if job], list(dict.fromkeys(errors))


def name_net(command: Command) -> list[str]:
    """Return `model=weights` for a training that starts from weights while no word chooses a net."""
    with initialize_config_dir(str(command.conf), version_base="1.3"), suppress(*REFUSALS):
        overrides = [override for word in command.overrides if (override := parse_word(word, []))]
        typed = {override.key_or_group: override for override in overrides}
        starts = "weights" in typed and typed["weights"].value() is not None
        is_chosen = "model" not in command.options or "model" in typed
        if not starts or is_chosen or ("fit" in typed and typed["fit"].value() is False):
            return []
        chosen = typed.get("experiment")
        if not chosen:
            return [NET]
        names = chosen.sweep_string_iterator() if chosen.is_sweep_override() else [chosen.value()]
        return [] if any(map(command.chooses_net, names)) else [NET]
    return []


def name_jobs(words: list[str]) -> list[str]:
    """Return the words by which the folders of a sweep's jobs are named after the keys that are swept."""
    overrides = [override for word in words if (override := parse_word(word, []))]
    keys = [override.key_or_group for override in overrides if not override.key_or_group.startswith("hydra")]
    swept = {override.key_or_group for override in overrides if override.is_sweep_override()}
    named = swept or set(keys) - set(PATHS) - {"model" for word in words if word == NET}
    if not named:
        return ["hydra.sweep.subdir=defaults"]
    return [f"hydra.job.config.override_dirname.exclude_keys=[{','.join(key for key in keys if key not in named)}]"]


def _read_job(command: Command, words: list[str], schema: type[BaseModel], errors: list[str]) -> Job | None:
    """Compose one job as Hydra will; if that fails, name all keys at fault and check the rest."""
    try:
        composed = command.compose(words)
        try:
            take_net(composed)
        except UserError as error:
            errors.append(str(error))
            composed = command.compose([word for word in words if word != NET])  # to check the rest
        job = Job(_without_hydra(composed, True), schema, unresolved=_without_hydra(composed, False))
        job.composed = None if command.multirun else composed
        job.is_queued = "SlurmLauncher" in composed.hydra.launcher._target_
        job.is_kept = composed.hydra.output_subdir is not None
    except REFUSALS as error:
        if (rest := _without_faults(command, words, errors)) != words:
            return _read_job(command, rest, schema, errors)
        errors.append(first_line(error))
        return None
    errors += command.misnamed(composed)
    try:
        config = schema.model_validate(job.plain)
        key = "sweep" if command.multirun else "run"
        subdir = composed.hydra.sweep.subdir if command.multirun else ""
        if not (folder := job.plain.get("resume") or composed.hydra[key].dir):
            errors.append(f"hydra.{key}.dir: expected a folder, but got nothing")
        elif subdir != Path(subdir).name or subdir == "..":
            errors.append(f"hydra.sweep.subdir: expected a name for each job's folder, but got {format_value(subdir)}")
        else:
            job.config, job.folder = config, Path(folder) / subdir
            is_named = any(word.lstrip("+").startswith(f"hydra.{key}.dir=") for word in words)
            job.is_new = not is_named and not job.plain.get("resume")
    except ValidationError as error:
        errors += sentences(error, job.plain)
    except REFUSALS as error:
        errors.append(first_line(error))
    return job


def _without_hydra(composed: DictConfig, resolve: bool) -> dict[str, Any]:
    own = OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"])
    return OmegaConf.to_container(own, resolve=resolve)


def _without_faults(command: Command, words: list[str], errors: list[str]) -> list[str]:
    """Return the words without those whose key does not exist, or already does although it is to be added."""
    parsed = list(map(hydra_inside.parse, words))
    choices = [word for word, override in zip(words, parsed, strict=True) if _is_choice(override, command)]
    try:
        plain = OmegaConf.to_container(command.compose(choices))
    except REFUSALS:
        return words  # an option itself is at fault; Hydra says which
    kept = []
    for word, override in zip(words, parsed, strict=True):
        fault = None if word in choices else _key_fault(override, plain)
        errors += [fault] if fault else []
        kept += [] if fault else [word]
    return kept


def _is_choice(override: Override, command: Command) -> bool:
    return override.key_or_group in command.options or "/" in override.key_or_group or override.package is not None


def _key_fault(override: Override, plain: dict[str, Any]) -> str | None:
    key, line = override.key_or_group, override.input_line
    own = plain if key.startswith("hydra.") else {name: value for name, value in plain.items() if name != "hydra"}
    try:
        find(plain, key)
    except KeyError:
        if override.is_add() or override.is_force_add():
            return None
        hint = f" (to add it: +{line})" if key.startswith(OPEN) and not override.is_delete() else ""
        return unknown_key(key, own) + hint
    return f"{line}: {key} is already there: leave out the +" if override.is_add() else None


def differences(old: dict[str, Any], new: dict[str, Any], ignore: tuple[str, ...]) -> list[str]:
    """Return "key: old -> new" for every leaf in which two configurations differ, but for some keys and sections."""
    before, after = (dict(leaves(plain)) for plain in (old, new))
    keys = [key for key in before | after if key not in ignore and key.partition(".")[0] not in ignore]
    pairs = [(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]
    return [f"{printable(key)}: {printable(str(old))} -> {printable(str(new))}" for key, old, new in pairs]
