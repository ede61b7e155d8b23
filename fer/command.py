"""What `train.py` does around Hydra: help, checks before any work, and exit codes.

0 done; 1 the run failed; 2 the user's mistake, in one sentence; 130 and 143 interrupted and terminated.
"""

import atexit
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from fer.counting import counted
from fer.errors import JobFailed, RunError, Terminated, UserError

DONE, FAILED, MISTAKE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
ERROR, OUTPUT = "error.txt", "output.txt"  # in the folder of a sweep's job: why it failed, what it said


def main(
    script: str,
    schema: Callable[[], Any],
    check: Callable[[list[Any], bool], None],
    task: Callable[[Any, Path], Any],
    report: Callable[[Path], Any] | None = None,
) -> NoReturn:
    """Run the command of a script and exit with its code.

    Args:
        script: the script's path; its YAML is conf/NAME.yaml beside it, its help page starts with its docstring.
        schema: returns the pydantic model of the configuration.
        check: takes the jobs and whether they are a sweep; raises UserError with a sentence for each mistake.
        task: takes the checked configuration and the run's folder.
        report: takes a sweep's folder, after each of its jobs, so that it is up to date when one fails, and at the end.
    """
    _terminate_loudly()
    try:
        code = _run(Path(script).resolve(), schema, check, task, report)
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


def _run(
    script: Path, schema: Callable[[], Any], check: Callable[..., None], task: Callable[..., Any], report: Any
) -> int:
    words = sys.argv[1:]
    if {"--help", "-h"} & set(words):
        from fer.help import help_page

        try:
            print(help_page(script), flush=True)
        except BrokenPipeError:  # whoever reads has seen enough: --help | head
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints its own error page and exits with 1
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    flags, words = _parse(words)
    model, is_page = schema(), flags.hydra_help or flags.info or flags.shell_completion
    added, folder, is_queued = ([], Path(), False) if is_page else _check(flags, script, model, check)
    sys.argv[1:] = words + added
    job = _Job(model, task, report, flags.multirun)
    start = hydra.main(config_path=str(script.parent / "conf"), config_name=script.stem, version_base="1.3")(job)
    try:
        if is_queued:
            from fer.cluster import waiting

            with waiting(folder):
                start()
        else:
            start()
        if flags.multirun:
            _finish(report, folder)
    except JobFailed:
        _finish(report, folder)
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


def _check(flags: Any, script: Path, model: Any, check: Callable[..., None]) -> tuple[list[str], Path, bool]:
    """Check all jobs.

    Returns:
        The words that send them to their folders, the run's or the sweep's folder, and whether a cluster runs them.

    Raises:
        UserError: with all mistakes of all jobs, a line each.
    """
    from fer.config import Command, name_jobs, quote_path, read_jobs
    from fer.mistakes import mistakes

    own = Path(flags.config_dir).resolve() if flags.config_dir else None
    names = name_jobs(flags.overrides) if flags.multirun else []
    command = Command(script.parent / "conf", script.stem, flags.overrides + names, flags.multirun, own)
    jobs, errors = read_jobs(command, model)
    is_helper = _is_helper_process()
    if not flags.cfg and not is_helper:
        try:
            check(jobs, flags.multirun)
        except UserError as error:
            errors += error.args
    if errors:
        raise UserError(mistakes(list(dict.fromkeys(errors))))
    key, folder = ("sweep", jobs[0].folder.parent) if flags.multirun else ("run", jobs[0].folder)
    if flags.multirun:
        print(f"a sweep of {counted(len(jobs), 'job')} in {folder}", flush=True)
    if is_helper:  # it writes nothing, but Hydra makes a folder
        names = ["hydra.output_subdir=null"]
        if not any(word.startswith(("hydra.run.dir=", "resume=")) for word in flags.overrides):
            folder = Path(tempfile.mkdtemp(prefix="fer-"))  # not another one, named by the moment
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return [*names, quote_path(f"hydra.{key}.dir={folder}")], folder, jobs[0].is_queued


class _Job:
    """What Hydra calls with each job's configuration; a class, since launchers send it to other processes."""

    def __init__(self, schema: Any, task: Callable[[Any, Path], Any], report: Any, multirun: bool) -> None:
        self.schema, self.task, self.report, self.multirun = schema, task, report, multirun
        self.error: Exception | None = None  # of a single run: raised through Hydra, it would be said twice

    def __call__(self, composed: Any) -> Any:
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        runtime = HydraConfig.get()
        if "submitit" not in runtime.launcher._target_:  # it knows what Slurm's signals mean
            _terminate_loudly()
        config = self.schema.model_validate(OmegaConf.to_container(composed, resolve=True))
        folder = Path(runtime.runtime.output_dir)
        if self.multirun:
            return self._work_in_sweep(config, folder, runtime.job.num, "Basic" not in runtime.launcher._target_)
        try:
            return self.task(config, folder)
        except Exception as error:
            self.error = error
            return None

    def _work_in_sweep(self, config: Any, folder: Path, number: int, is_beside_others: bool) -> Any:
        print(f"\njob {number}: {folder.name}", flush=True)
        (folder / ERROR).unlink(missing_ok=True)
        try:
            with _output_in(folder / OUTPUT) if is_beside_others else contextlib.nullcontext():
                result = self.task(config, folder)
        except Exception as error:
            told = _told(number, error, folder)
            _refresh(self.report, folder.parent)
            raise JobFailed(told) from error
        if is_beside_others:
            print(f"job {number}: done", flush=True)
        _refresh(self.report, folder.parent)
        return result


@contextlib.contextmanager
def _output_in(path: Path) -> Iterator[None]:
    """Send what a job says to a file, since the lines of several jobs would mix."""
    print(f"  its output: {path}", flush=True)
    with (
        path.open("a", encoding="utf-8", buffering=1) as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield


def _finish(report: Callable[[Path], Any] | None, sweep: Path) -> None:
    """Report once more, after the jobs of other processes, and say where."""
    _refresh(report, sweep)
    if (sweep / "report.md").exists():
        print(f"\nreport: {sweep / 'report.md'}", flush=True)


def _refresh(report: Callable[[Path], Any] | None, sweep: Path) -> None:
    """Bring the report of a sweep up to date; what goes wrong with it is said, and spoils nothing."""
    try:
        if report:
            report(sweep)
    except Exception as error:
        _say(f"the report of {sweep} could not be made: {error!r}", FAILED)


def _told(number: int, error: Exception, folder: Path) -> str:
    """Say a failed job's own error at once, since the sweep ends only much later, and leave it in the job's folder."""
    told = str(error) if isinstance(error, UserError | RunError) else repr(error)
    if not isinstance(error, UserError | RunError):
        traceback.print_exception(error)
    with contextlib.suppress(OSError):  # a full disk may be the error
        (folder / ERROR).write_text(f"{told}\n", encoding="utf-8")
    _say(sentence := f"failed: job {number}: {told}", FAILED)
    return sentence


def _say(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr, flush=True)
    return code


def _is_helper_process() -> bool:
    """Tell whether this is not the first process of a distributed run, which checks everything and owns the folder."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")  # of torchrun, Lightning, Lightning again, and srun
    return any(int(os.environ.get(rank, 0)) > 0 for rank in ranks)


def _terminate_loudly() -> None:
    """Make SIGTERM an exception: Lightning alone would end a terminated training with exit code 0."""

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    closed = getattr(signal, "SIGHUP", None)  # the terminal; not on Windows
    if closed and signal.getsignal(closed) is signal.SIG_DFL:  # nohup has it ignored
        signal.signal(closed, terminate)
