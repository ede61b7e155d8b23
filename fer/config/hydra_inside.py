"""Hydra's inside: all that has no public interface and that a newer Hydra may change, in one place.

tests/test_hydra_inside.py says which of it has changed. Hydra is bounded below 1.4 for its sake.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from hydra.version import VersionBase

__all__ = ["JobReturn", "JobStatus", "Override", "RangeSweep", "apart", "error_of", "failed", "flags_parser"]
__all__ += ["options_of", "parse", "place_of_choice", "skip_check"]

_ONE = Lock()


def flags_parser() -> argparse.ArgumentParser:
    """Return the parser of Hydra's own flags (-m, --cfg, --config-dir, ...), with the words as `overrides`."""
    return get_args_parser()


def parse(word: str) -> Override:
    """Return what a word (`key=value`, `~key`, `+key=value`) means.

    Raises:
        HydraException: if it means nothing.
    """
    hydra = GlobalHydra.instance()
    parser = OverridesParser.create(hydra.config_loader() if hydra.is_initialized() else None)
    return parser.parse_overrides([word])[0]  # parse_override would know no options, which glob() asks for


def options_of(group: str) -> list[str]:
    """Return the names of a group's options, plugins' included; while Hydra is initialised."""
    return GlobalHydra.instance().config_loader().get_group_options(group)


def place_of_choice(name: str, words: list[str], group: str) -> str | None:
    """Return the file (`experiment/laptop`) that chooses a group's option, if one beside the primary file does."""
    defaults = GlobalHydra.instance().config_loader().compute_defaults_list(name, words, RunMode.RUN)
    found = defaults.overrides.override_metadata.get(group)
    return found.containing_config_path if found else None


def skip_check() -> None:
    """Have a sweep not compose every job once more only to check it: `fer.command` has."""
    Sweeper.validate_batch_is_legal = lambda *_: None


def failed(overrides: Any, error: Exception) -> JobReturn:
    """Return what a launcher returns for a job that failed."""
    return JobReturn(overrides, _return_value=error, status=JobStatus.FAILED)


def error_of(returned: JobReturn) -> Exception | None:
    """Return why a job failed, None if it did not."""
    return returned._return_value if returned.status == JobStatus.FAILED else None


@contextmanager
def apart() -> Iterator[None]:
    """Compose beside a program's own Hydra, as in a notebook that has initialised one: it is the same afterwards.

    Threads do so one after another, as a process has one Hydra.
    """
    kinds, known = (GlobalHydra, VersionBase), Singleton._instances
    with _ONE:
        kept = {kind: known.pop(kind) for kind in kinds if kind in known}
        try:
            yield
        finally:
            for kind in kinds:
                known.pop(kind, None)
            known.update(kept)
