"""What `train.py` does around Hydra: help, checks before any work, and exit codes.

0 done; 1 the run failed; 2 the user's mistake, in one sentence; 130 and 143 interrupted and terminated.
"""

import argparse
import atexit
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from fer.console import lost
from fer.counting import counted
from fer.errors import JobFailed, RunError, Terminated, UserError, is_full, printable
from fer.hydra_job import DONE, FAILED, INTERRUPTED, MISTAKE, TERMINATED, HydraJob, prepare, refresh, say
from fer.paths import CONF, is_address
from fer.processes import is_helper


def main(
    script: str,
    schema: Callable[[], Any],
    check: Callable[[list[Any], bool], None],
    task: Callable[[Any, Path], Any],
    report: Callable[[Path], Any] | None = None,
    bare: str | None = None,
) -> NoReturn:
    """Run the command of a script and exit with its code.

    Args:
        script: its path; fer/commands/NAME.py has conf/NAME.yaml, and its docstring begins the help page.
        schema: returns the pydantic model of the configuration.
        check: takes the jobs and whether they are a sweep; raises UserError with a sentence for each mistake.
        task: takes the checked configuration and the run's folder.
        report: takes a sweep's folder, after each of its jobs, so that it is up to date when one fails, and at the end.
        bare: the key of a word that is a file or an address by itself.
    """
    prepare()
    try:
        code = _run(Path(script).resolve(), schema, check, task, report, bare)
    except UserError as error:
        code = say(f"error: {error}", MISTAKE)
    except RunError as error:
        code = say(f"failed: {error}", FAILED)
    except OSError as error:
        if not is_full(error):
            raise
        code = say(f"failed: {error}", FAILED)
    except KeyboardInterrupt:
        code = say("interrupted", INTERRUPTED)
    except Terminated:
        code = say("terminated", TERMINATED)
    is_page, error = code is None, lost()
    if error and not code and not (is_page and isinstance(error, BrokenPipeError)):  # as of --help | head
        code = say(f"failed: a part of what was said on stdout is lost ({error}); all else is done", FAILED)
    sys.exit(code or DONE)


def _run(
    script: Path,
    schema: Callable[[], Any],
    check: Callable[..., None],
    task: Callable[..., Any],
    report: Any,
    bare: str | None,
) -> int | None:
    """Return the exit code; None after a page, of which nobody has to read all."""
    words = sys.argv[1:]
    if {"--help", "-h"} & set(words):
        from fer.config.help_page import help_page

        return print(help_page(script, _own_options(words)), flush=True)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints its own error page and exits with 1
    import hydra

    from fer.config.hydra_inside import skip_check
    from fer.config.words import quote_path

    skip_check()
    flags, words = _parse(words, bare)
    model, is_page = schema(), flags.cfg or flags.hydra_help or flags.info or flags.shell_completion
    jobs, names = _check(flags, script, model, check)
    job = HydraJob(model, task, report, flags.multirun)
    start = hydra.main(config_path=str(CONF), config_name=script.stem, version_base="1.3")(job)
    if is_page:
        sys.argv[1:] = words + names
        with _told_plainly():
            return start()
    with _owned(jobs, flags, check) as (folder, job.keeps):
        if flags.multirun:
            print(f"a sweep of {counted(len(jobs), 'job')} in {printable(str(folder))}", flush=True)
        key = "sweep" if flags.multirun else "run"
        sys.argv[1:] = [*words, *names, "hydra.output_subdir=null", quote_path(f"hydra.{key}.dir={folder}")]
        return _launch(start, job, folder, jobs[0].is_queued)


def _launch(start: Callable[[], None], job: HydraJob, folder: Path, is_queued: bool) -> int:
    """Have Hydra call the job, once or for each of a sweep."""
    try:
        with _told_plainly():
            if is_queued:
                from fer.slurm import waiting

                with waiting(folder):
                    start()
            else:
                start()
    except JobFailed:
        _finish(job.report, folder)
        return say("failed: not every job of the sweep went well; see their errors above", FAILED)
    if job.multirun:
        _finish(job.report, folder)
    if job.error:
        raise job.error
    return DONE


@contextlib.contextmanager
def _told_plainly() -> Iterator[None]:
    """Turn what Hydra raises into a sentence."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from fer.config.words import first_line
    from fer.run_folder import cannot_make

    try:
        yield
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, AssertionError) as error:
        raise UserError(first_line(error)) from error
    except OSError as error:
        raise cannot_make(Path(error.filename or "the folder"), error) from error


def _parse(words: list[str], bare: str | None) -> tuple[Any, list[str]]:
    """Return the parsed command line, and its words in the one order that Hydra takes: flags first."""
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


def _own_options(words: list[str]) -> Path | None:
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


def _check(flags: Any, script: Path, model: Any, check: Callable[..., None]) -> tuple[list[Any], list[str]]:
    """Check all jobs; return them, and the words that name their net and their folders.

    Raises:
        UserError: with all mistakes of all jobs, a line each.
    """
    if flags.hydra_help or flags.info or flags.shell_completion:
        return [], []
    from fer.config.jobs import Command, name_jobs, name_net, read_jobs
    from fer.config.messages import mistakes

    own = _require_options(flags.config_dir)
    command = Command(CONF, script.stem, flags.overrides, flags.multirun, own)
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
def _owned(jobs: list[Any], flags: Any, check: Callable[..., None]) -> Iterator[tuple[Path, bool]]:
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


def _finish(report: Callable[[Path], Any] | None, sweep: Path) -> None:
    """Report once more, after the jobs of other processes, and say where."""
    refresh(report, sweep)
    if (sweep / "report.md").exists():
        print(f"\nreport: {sweep / 'report.md'}", flush=True)
