"""What Hydra calls for each job: in this process, in one of several beside each other, or on another machine."""

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from fer.atomic import atomic_file
from fer.console import log_file, outlast
from fer.errors import JobFailed, RunError, Terminated, UserError, escaped, is_full

DONE, FAILED, MISTAKE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143


class HydraJob:
    """What Hydra calls with each job's configuration; a class, since launchers send it to other processes.

    Attributes:
        error: of a single run; raised through Hydra, it would be said twice.
        keeps: whether `.hydra/` is written.
    """

    def __init__(self, schema: Any, task: Callable[[Any, Path], Any], report: Any, multirun: bool) -> None:
        self.schema, self.task, self.report, self.multirun = schema, task, report, multirun
        self.error: Exception | None = None
        self.keeps = False
        self.process = os.getpid()

    def __call__(self, composed: Any) -> Any:
        """Run the job of a composed configuration; return its result, None of a single run that failed."""
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        from fer.config.from_weights import take_net

        runtime = HydraConfig.get()
        launcher = runtime.launcher._target_
        prepare(signals="submitit" not in launcher)  # which knows what Slurm's signals mean
        if "Joblib" in launcher:
            _end_with(self.process)
        take_net(composed)
        config = self.schema.model_validate(OmegaConf.to_container(composed, resolve=True))
        folder = Path(runtime.runtime.output_dir)
        if self.multirun:
            return self._work_in_sweep(config, composed, folder, runtime.job.num, "Basic" not in launcher)
        try:
            return self._work(config, composed, folder)
        except Exception as error:
            self.error = error
            return None

    def _work(self, config: Any, composed: Any, folder: Path) -> Any:
        if self.keeps:
            from hydra.core.hydra_config import HydraConfig
            from omegaconf import OmegaConf

            from fer.run_folder import keep_settings

            whole = HydraConfig.instance().cfg
            keep_settings(folder, *map(OmegaConf.to_yaml, (composed, whole, whole.hydra.overrides.task)))
        return self.task(config, folder)

    def _work_in_sweep(self, config: Any, composed: Any, folder: Path, number: int, is_beside_others: bool) -> Any:
        print(f"\njob {number}: {folder.name}", flush=True)
        try:
            with _job_folder(folder, is_beside_others):
                result = self._work(config, composed, folder)
        except Exception as error:
            told = _report_failure(number, error)
            refresh(self.report, folder.parent)
            raise JobFailed(told) from error
        if is_beside_others:
            print(f"job {number}: done", flush=True)
        refresh(self.report, folder.parent)
        return result


@contextlib.contextmanager
def _job_folder(folder: Path, is_beside_others: bool) -> Iterator[None]:
    """Take the folder of a sweep's job; why it failed is left there, and what it says if others speak, too."""
    from fer.run_folder import ERROR, OUTPUT, exclusive

    with exclusive(folder):
        (folder / ERROR).unlink(missing_ok=True)
        try:
            with _output_in(folder / OUTPUT) if is_beside_others else contextlib.nullcontext():
                yield
        except Exception as error:
            with contextlib.suppress(OSError), atomic_file(folder / ERROR) as file:  # a full disk may be the error
                file.write(f"{_sentence(error)}\n")
            raise


@contextlib.contextmanager
def _output_in(path: Path) -> Iterator[None]:
    """Send what a job says to a file, since the lines of several jobs would mix."""
    print(f"  its output: {path}", flush=True)
    with log_file(path) as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        yield


def refresh(report: Callable[[Path], Any] | None, sweep: Path) -> None:
    """Bring the report of a sweep up to date; what goes wrong with it is said, and spoils nothing."""
    try:
        if report:
            report(sweep)
    except Exception as error:
        say(f"the report of {sweep} could not be made: {_sentence(error)}", FAILED)


def _report_failure(number: int, error: Exception) -> str:
    """Say a failed job's own error at once, since the sweep ends only much later."""
    if _sentence(error) != str(error):
        traceback.print_exception(error)
    say(sentence := f"failed: job {number}: {_sentence(error)}", FAILED)
    return sentence


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, UserError | RunError) or is_full(error) else repr(error)


def say(sentence: str, code: int) -> int:
    """Say on stderr why a command ends, and return its code; it may quote what a terminal would obey."""
    print(escaped(sentence), file=sys.stderr, flush=True)
    return code


def prepare(signals: bool = True) -> None:
    """Have this process outlast its output, keep OpenCV from lines of its own, and be terminated loudly."""
    outlast()
    os.environ["OPENCV_LOG_LEVEL"] = "OFF"
    if "cv2" in sys.modules:  # which has read that already
        sys.modules["cv2"].utils.logging.setLogLevel(0)
    if signals:
        _terminate_loudly()


@functools.cache
def _end_with(parent: int) -> None:
    """End this process and its own soon after its parent, which may be killed without a word to anybody.

    Joblib's workers would wait for work for minutes, with the memory of a training each. Windows tells no orphan, and
    there they do.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(TERMINATED)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _terminate_loudly() -> None:
    """Make SIGTERM an exception: Lightning alone would end a terminated training with exit code 0."""

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    closed = getattr(signal, "SIGHUP", None)  # the terminal; not on Windows
    if closed and signal.getsignal(closed) is signal.SIG_DFL:  # nohup has it ignored
        signal.signal(closed, terminate)
