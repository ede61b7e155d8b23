"""What `train.py` does around Hydra: help, checks before any work, and exit codes.

0 done; 1 the run failed; 2 the user's mistake, in one sentence; 130 and 143 interrupted and terminated.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from fer.command_line import check_words, own_options, owned, parse_words
from fer.console import lost
from fer.counting import counted
from fer.errors import JobFailed, RunError, Terminated, UserError, is_full, printable
from fer.hydra_job import DONE, FAILED, INTERRUPTED, MISTAKE, TERMINATED, HydraJob, prepare, refresh, say
from fer.paths import CONF


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

        return print(help_page(script, own_options(words)), flush=True)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints its own error page and exits with 1
    import hydra

    from fer.config.hydra_inside import skip_check
    from fer.config.words import quote_path

    skip_check()
    flags, words = parse_words(words, bare)
    model, is_page = schema(), flags.cfg or flags.hydra_help or flags.info or flags.shell_completion
    jobs, names = check_words(flags, script.stem, model, check)
    job = HydraJob(model, task, report, flags.multirun)
    start = hydra.main(config_path=str(CONF), config_name=script.stem, version_base="1.3")(job)
    if is_page:
        sys.argv[1:] = words + names
        with _told_plainly():
            return start()
    with owned(jobs, flags, check) as (folder, job.keeps):
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


def _finish(report: Callable[[Path], Any] | None, sweep: Path) -> None:
    """Report once more, after the jobs of other processes, and say where."""
    refresh(report, sweep)
    if (sweep / "report.md").exists():
        print(f"\nreport: {sweep / 'report.md'}", flush=True)
