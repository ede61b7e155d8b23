"""From the words of a command, or of `fer.train`, to checked jobs and the folder that they work in."""

import argparse
import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from fer.errors import UserError, printable
from fer.paths import CONF, is_address
from fer.processes import is_helper


def parse_words(words: list[str], bare: str | None) -> tuple[Any, list[str]]:
    """Return the parsed command line, and its words in the one order that Hydra takes: flags first.

    Args:
        words: as typed; is changed.
        bare: the key of a word that is a file or an address by itself.

    Raises:
        UserError: if they are not settings and flags.
    """
    from fer.config.bounds import excesses
    from fer.config.hydra_inside import flags_parser
    from fer.config.messages import mistakes
    from fer.config.words import PATHS, quote_path

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}: settings are written key=value, without dashes; see --help")

    if errors := list(excesses(words, PATHS)):
        raise UserError(mistakes(errors))
    parser = flags_parser()
    parser.error = refuse
    flags = parser.parse_intermixed_args(words)
    if flags.config_path or flags.config_name or flags.experimental_rerun:
        raise UserError(
            "--config-path, --config-name, --experimental-rerun: expected the settings of conf/ in their place"
        )
    if flags.cfg and flags.multirun:
        raise UserError("--cfg: expected one run to show, but -m makes a sweep: leave out -m")
    _require_options(flags.config_dir)
    for override in flags.overrides:
        words.remove(override)
    settings = [_with_key(word, bare) for word in flags.overrides]
    if settings != flags.overrides and sum(word.startswith(f"{bare}=") for word in settings) > 1:
        raise UserError(f"{bare}: expected one, but got several: name their folder, or quote a pattern: 'photos/*.jpg'")
    flags.overrides = [quote_path(word, flags.multirun) for word in settings]
    return flags, words + flags.overrides


def own_options(words: list[str]) -> Path | None:
    """Return the folder that --config-dir names, without Hydra, whose import takes longer than the page."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config-dir", "-cd", nargs="?")
    return _require_options(parser.parse_known_args(words)[0].config_dir)


def _require_options(folder: str | None) -> Path | None:
    if folder and not Path(folder).is_dir():
        raise UserError(f"--config-dir={folder}: expected a folder of options, but there is no such folder")
    return Path(folder).resolve() if folder else None


def _with_key(word: str, key: str | None) -> str:
    """Return `key=word` for a word that is a file, a folder, a pattern, an address or a number; others as they are.

    Raises:
        UserError: for a word that is neither that nor a setting.
    """
    if key is None:
        return word
    path = os.path.expanduser(word)  # noqa: PTH111 (pathlib's fails for ~nobody)
    if is_address(word) or os.path.exists(path) or word.isdecimal():  # noqa: PTH110 (a name may be too long)
        return f"{key}={word}"
    if "=" in word or word.startswith(("~", "+")):
        return word
    if not set("*?[").isdisjoint(word):
        return f"{key}={word}"
    raise UserError(
        f"{printable(word)}: expected key=value, or a file, a folder or an address, but there is no file of that name"
    )


def check_words(flags: Any, name: str, model: Any, check: Callable[..., None]) -> tuple[list[Any], list[str]]:
    """Check all jobs; return them, and the words that name their net and their folders.

    Args:
        flags: of `parse_words`.
        name: of conf/NAME.yaml.
        model: the pydantic model of the configuration.
        check: as `fer.command.main` takes it.

    Raises:
        UserError: with all mistakes of all jobs, a line each.
    """
    if flags.hydra_help or flags.info or flags.shell_completion:
        return [], []
    from fer.config.jobs import Command, name_jobs, name_net, read_jobs
    from fer.config.messages import mistakes

    own = _require_options(flags.config_dir)
    command = Command(CONF, name, flags.overrides, flags.multirun, own)
    names = name_net(command)
    names += name_jobs(flags.overrides + names) if flags.multirun else []
    command = replace(command, overrides=flags.overrides + names)
    jobs, errors = read_jobs(command, model)
    if not flags.cfg:
        try:
            check(jobs, flags.multirun)
        except UserError as error:
            errors += error.args
        except OSError as error:  # a name that is too long, a folder that may not be looked into
            errors.append(f"{printable(str(error.filename))}: cannot be looked at: {error.strerror}")
    if errors:
        raise UserError(mistakes(list(dict.fromkeys(errors))))
    return jobs, names


@contextlib.contextmanager
def owned(jobs: list[Any], flags: Any, check: Callable[..., None]) -> Iterator[tuple[Path, bool]]:
    """Take the folder of the run or the sweep before anything is written there.

    Yields:
        The folder, and whether the settings are to be kept in it.

    Raises:
        UserError: if it cannot be made, or another process works or has worked there meanwhile.
        RunError: if the disk is full.
    """
    folder = jobs[0].folder.parent if flags.multirun else jobs[0].folder
    if is_helper() and jobs[0].is_new:  # it writes nothing, but Hydra makes a folder
        folder = Path(tempfile.mkdtemp(prefix="fer-"))  # not another one, named by the moment
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if is_helper() or not jobs[0].is_kept:
        yield folder, False
        return
    from fer.run_folder import AtWork, make_folder, taken

    with contextlib.ExitStack() as held:
        try:
            folder = held.enter_context(taken(folder, jobs[0].is_new))
        except AtWork:
            if not jobs[0].joins:
                raise
            yield folder, False
            return
        for job in jobs:
            job.folder = folder / job.folder.name if flags.multirun else folder
        check(jobs, flags.multirun)  # again, as another process may have come and gone
        for job in jobs:
            make_folder(job.folder)  # while there is room, so that no job ends the sweep for want of it
        yield folder, True
