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


SHOWN = 200  # letters of a value in a sentence


def printable(text: str) -> str:
    """Return a text from anywhere for use in a sentence: escaped, so that no terminal obeys it, and not too long."""
    text = escaped(text)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def escaped(text: str) -> str:
    """Return a text with whatever cannot be printed written as `repr` does."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
