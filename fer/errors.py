"""The ways in which a command ends early; `fer.command` turns them into exit codes."""


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
