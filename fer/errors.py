"""The ways in which a command ends early; `fer.command` turns them into exit codes."""

import errno

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}  # of an OSError that is the machine's fault


class UserError(Exception):
    """The user's mistake, as one sentence: what was expected, what was found, what to do. Exit code 2."""


class RunError(Exception):
    """The run failed although its input was good (NaN loss, a full disk). Exit code 1."""


class Diverged(RunError):
    """The loss is no longer finite."""


class JobFailed(RunError):
    """A job of a sweep failed, and has said so already."""


class Terminated(BaseException):
    """SIGTERM arrived, or the terminal was closed. Exit code 143; like KeyboardInterrupt, not an Exception."""


def is_full(error: BaseException) -> bool:
    """Tell whether a disk is full or broken, which no user can have meant."""
    return isinstance(error, OSError) and error.errno in FULL
