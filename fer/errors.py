"""The ways in which a command ends early; `fer.command` turns them into exit codes."""

import errno

FULL = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO")}  # of a disk, at nobody's fault


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


def unwritable(sentence: str, error: OSError) -> UserError | RunError:
    """Return the failure to write a result: the user's mistake, as a place can be chosen, unless the disk is full."""
    return (RunError if error.errno in FULL else UserError)(sentence)


def reason(error: OSError) -> str:
    """Say what is wrong in lower case: "no such file or directory"."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
