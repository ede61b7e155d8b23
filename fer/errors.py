"""The ways in which a command ends early, and how its sentences are told; `fer.command` turns them into exit codes."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser

CALMER = "lower optimizer.lr, set gradient_clip=1 or trainer.precision=32-true"  # what helps against `Diverged`
LONGEST = 200  # characters of a quotation
FULL = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO")}  # of a disk, at nobody's fault


def escaped(text: str) -> str:
    """Return a text without what a terminal would obey: all but line breaks and printable characters as `repr` does."""
    return "".join(letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text)


def printable(text: str) -> str:
    """Return a text of unknown origin as a message shows it: on one line, escaped and shortened."""
    shown = escaped(text[: LONGEST + 1]).replace("\n", "\\n")
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."


def reason(error: OSError) -> str:
    """Return what the system says is wrong, in lower case: "no such file or directory"."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


class Told(Exception):
    """An error that is told as a sentence, in which names of files may be anything."""

    def __str__(self) -> str:
        return escaped(super().__str__())


class UserError(Told):
    """The user's mistake, as one sentence: what was expected, what was found, what to do. Exit code 2 of a command.

    Several mistakes are one error, with a line for each.

    Examples:
        >>> from fer import Recognizer
        >>> from fer.errors import UserError
        >>> try:
        ...     Recognizer.load(detector="har")
        ... except UserError as error:
        ...     print(error)
        detector=har: expected one of auto, haar, none, yunet; did you mean haar?
    """


class RunError(Told):
    """The run failed although its input was good (NaN loss, a full disk). Exit code 1 of a command."""


class Diverged(RunError):
    """The loss is no longer finite."""


class CutShort(Exception):
    """A search has ended a trial that is hopeless."""


class JobFailed(RunError):
    """A job of a sweep failed, and has said so already."""


class Terminated(BaseException):
    """SIGTERM arrived, or the terminal was closed. Exit code 143; like KeyboardInterrupt, not an Exception."""


@contextmanager
def ending(parser: "ArgumentParser") -> Iterator[None]:
    """End a side command whose work in the block fails, in one sentence, with exit code 2 or 1."""
    try:
        yield
    except UserError as error:
        parser.exit(2, f"error: {error}\n")  # without the usage, which parser.error puts before it
    except RunError as error:
        parser.exit(1, f"failed: {error}\n")


def is_full(error: BaseException) -> bool:
    """Tell whether a disk is full or broken, which no user can have meant."""
    return isinstance(error, OSError) and error.errno in FULL


def unwritable(sentence: str, error: OSError) -> UserError | RunError:
    """Return the failure to write a result: the user's mistake, as a place can be chosen, unless the disk is full."""
    return (RunError if is_full(error) else UserError)(sentence)
