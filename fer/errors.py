"""The ways in which a command ends early; `fer.command` turns them into exit codes. And how they quote a text."""

LONGEST = 200  # characters of a quotation


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


def printable(text: str) -> str:
    """Return text of a file or a command line for a sentence: a terminal obeys nothing in it, and it is one short line.

    What cannot be printed is escaped as in `repr`, and what is too long is cut.
    """
    kept = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[:LONGEST])
    return kept if len(text) <= LONGEST else f"{kept}..."
