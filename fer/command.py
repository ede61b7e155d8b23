"""What `train.py` does around Hydra: help, checks before any work, and exit codes.

0 done; 1 the run failed; 2 the user's mistake, in one sentence; 130 and 143 interrupted and terminated.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from fer.errors import RunError, Terminated, UserError

DONE, FAILED, MISTAKE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


class JobFailed(RunError):
    """A job of a sweep failed, and has said so already."""


def main(
    script: str,
    schema: Callable[[], Any],
    check: Callable[[list[Any], bool], list[str]],
    task: Callable[[Any, Path], Any],
) -> NoReturn:
    """Run the command of a script and exit with its code.

    Args:
        script: the script's path; its YAML is conf/NAME.yaml beside it, its help page starts with its docstring.
        schema: returns the pydantic model of the configuration.
        check: takes the jobs and whether they are a sweep; returns further Hydra overrides, or raises UserError
            with a sentence for each mistake.
        task: takes the checked configuration and the run's folder.
    """
    _terminate_loudly()
    try:
        code = _run(Path(script).resolve(), schema, check, task)
    except UserError as error:
        code = _say(f"error: {error}", MISTAKE)
    except RunError as error:
        code = _say(f"failed: {error}", FAILED)
    except KeyboardInterrupt:
        code = _say("interrupted", INTERRUPTED)
    except Terminated:
        code = _say("terminated", TERMINATED)
    sys.stdout.flush()
    sys.exit(code)


def _run(script: Path, schema: Callable[[], Any], check: Callable[..., list[str]], task: Callable[..., Any]) -> int:
    words = sys.argv[1:]
    if {"--help", "-h"} & set(words):
        from fer.help import help_page

        print(help_page(script))
        return DONE
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints its own error page and exits with 1
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    flags, words = _parse(words)
    model = schema()
    if not (flags.hydra_help or flags.info or flags.shell_completion):
        words += _check(flags, script, model, check)
    sys.argv[1:] = words
    job = _Job(model, task, flags.multirun)
    try:
        hydra.main(config_path=str(script.parent / "conf"), config_name=script.stem, version_base="1.3")(job)()
    except JobFailed:
        return _say("failed: not every job of the sweep went well; see their errors above", FAILED)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(str(error).strip().splitlines()[0]) from error
    except OSError as error:
        raise UserError(f"the run's folder cannot be made: {error}") from error
    if job.error:
        raise job.error
    return DONE


def _parse(words: list[str]) -> tuple[Any, list[str]]:
    """Return the parsed command line, and its words in the one order that Hydra takes: flags first."""
    from hydra._internal.utils import get_args_parser

    from fer.config import quote_path

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}: settings are written key=value, without dashes; see --help")

    parser = get_args_parser()
    parser.error = refuse
    words = [quote_path(word) for word in words]
    flags = parser.parse_intermixed_args(words)
    if flags.config_path or flags.config_name or flags.experimental_rerun:
        raise UserError(
            "--config-path, --config-name, --experimental-rerun: expected the settings of conf/ in their place"
        )
    if flags.cfg and flags.multirun:
        raise UserError("--cfg: expected one run to show, but -m makes a sweep: leave out -m")
    if flags.config_dir and not Path(flags.config_dir).is_dir():
        raise UserError(f"--config-dir={flags.config_dir}: expected a folder of options, but there is no such folder")
    for override in flags.overrides:
        words.remove(override)
    return flags, words + flags.overrides


def _check(flags: Any, script: Path, model: Any, check: Callable[..., list[str]]) -> list[str]:
    """Check all jobs and return what `check` adds to the command line.

    Raises:
        UserError: with all mistakes of all jobs, a line each.
    """
    from fer.config import Command, read_jobs
    from fer.mistakes import mistakes

    folder = Path(flags.config_dir).resolve() if flags.config_dir else None
    command = Command(script.parent / "conf", script.stem, flags.overrides, flags.multirun, folder)
    jobs, errors = read_jobs(command, model)
    added: list[str] = []
    if not flags.cfg and not _is_helper_process():
        try:
            added = check(jobs, flags.multirun)
        except UserError as error:
            errors += error.args
    if errors:
        raise UserError(mistakes(list(dict.fromkeys(errors))))
    return added


class _Job:
    """What Hydra calls with each job's configuration; a class, since launchers send it to other processes."""

    def __init__(self, schema: Any, task: Callable[[Any, Path], Any], multirun: bool) -> None:
        self.schema, self.task, self.multirun = schema, task, multirun
        self.error: Exception | None = None  # of a single run: raised through Hydra, it would be said twice

    def __call__(self, composed: Any) -> Any:
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        _terminate_loudly()
        runtime = HydraConfig.get()
        config = self.schema.model_validate(OmegaConf.to_container(composed, resolve=True))
        try:
            if self.multirun:
                print(f"\njob {runtime.job.num}: {runtime.job.override_dirname}", flush=True)
            return self.task(config, Path(runtime.runtime.output_dir))
        except Exception as error:
            if self.multirun:
                raise JobFailed(_told(runtime.job.num, error)) from error
            self.error = error
            return None


def _told(number: int, error: Exception) -> str:
    """Print a failed job's own error at once, since the sweep ends only much later, and return it."""
    if not isinstance(error, UserError | RunError):
        traceback.print_exception(error)
    sentence = f"failed: job {number}: {error if isinstance(error, UserError | RunError) else repr(error)}"
    _say(sentence, FAILED)
    return sentence


def _say(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr, flush=True)
    return code


def _is_helper_process() -> bool:
    """Tell whether another rank of a distributed run has checked everything already."""
    return int(os.environ.get("LOCAL_RANK", 0)) > 0


def _terminate_loudly() -> None:
    """Make SIGTERM an exception: Lightning alone would end a terminated training with exit code 0."""

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    closed = getattr(signal, "SIGHUP", None)  # the terminal; not on Windows
    if closed and signal.getsignal(closed) is signal.SIG_DFL:  # nohup has it ignored
        signal.signal(closed, terminate)
