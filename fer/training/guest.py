"""A training as a guest: in somebody's program or notebook, whose process it leaves as it found it.

Lightning and our trainer set what a whole process shares: seeds, determinism, warnings, levels of logs, what SIGTERM
does. A command ends with its training; a notebook goes on.
"""

import logging
import os
import random
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import numpy as np
import torch

from fer.errors import Terminated
from fer.evaluation.trackers import QUIET

# That Lightning and the loggers set.
VARIABLES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "CUBLAS_WORKSPACE_CONFIG", *QUIET)
LOGGERS = ("lightning.pytorch", "lightning.fabric")
ONE = threading.Lock()  # what a process has once, two trainings cannot set at the same time


@contextmanager
def as_guest() -> Iterator[None]:
    """Train, one training at a time, and then put back what a process has once."""
    with ONE, _own_draws(), warnings.catch_warnings(), _terminated_loudly():
        before = _settings()
        try:
            yield
        finally:
            _put_back(before)


@contextmanager
def _own_draws() -> Iterator[None]:
    """Keep the random streams as they were, after a failure, too, as Lightning's isolate_rng does not."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(gpus):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _settings() -> dict[str, Any]:
    return {
        "variables": {name: os.environ.get(name) for name in VARIABLES},
        "levels": {name: logging.getLogger(name).level for name in LOGGERS},
        "hook": threading.excepthook,
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
            torch.backends.cudnn.benchmark,
        ),
    }


def _put_back(before: dict[str, Any]) -> None:
    for name, value in before["variables"].items():
        os.environ.pop(name, None)
        os.environ |= {} if value is None else {name: value}
    for name, level in before["levels"].items():
        logging.getLogger(name).setLevel(level)
    threading.excepthook = before["hook"]
    enabled, warn_only, fill, benchmark = before["deterministic"]
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    torch.utils.deterministic.fill_uninitialized_memory = fill
    torch.backends.cudnn.benchmark = benchmark


@contextmanager
def _terminated_loudly() -> Iterator[None]:
    """Have SIGTERM end the training in order, and then the process, as it does by default.

    Within `Trainer.fit` Lightning would have it do nothing. A program's own handler stays as it is.
    """
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except Terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
