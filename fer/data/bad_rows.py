"""What readers do with what cannot be read: stop and name it, or leave the row or image out and say so."""

from collections.abc import Iterator
from contextlib import contextmanager

from fer.errors import UserError, escaped, reason

LIMIT = 10  # a file that is wrong throughout need not be read to its end


@contextmanager
def readable() -> Iterator[None]:
    """Say which file or folder of a dataset the system does not let one read.

    Raises:
        UserError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        place = error.filename or "dataset.root"
        raise UserError(f"{place}: expected a file or folder that can be read, but {reason(error)}") from None


class Faults:
    """The bad rows and images met so far, one sentence each.

    Args:
        on_error: "raise" makes them a UserError, "skip" leaves them out.
    """

    def __init__(self, on_error: str) -> None:
        self.stops = on_error == "raise"
        self.sentences: list[str] = []
        self.notes: list[str] = []

    def add(self, sentence: str) -> None:
        """Note one bad row or image.

        Raises:
            UserError: at the `LIMIT`th, unless bad ones are left out.
        """
        self.sentences.append(escaped(sentence))
        if self.stops and len(self.sentences) == LIMIT:
            raise self._error(f"at least {LIMIT}")

    def note(self, sentence: str) -> None:
        """Note what is left out although it is not bad."""
        self.notes.append(escaped(sentence))

    def close(self) -> tuple[str, ...]:
        """Return the sentences, once all has been read.

        Raises:
            UserError: if there are any, unless bad ones are left out.
        """
        if self.stops and self.sentences:
            raise self._error(str(len(self.sentences)))
        return (*self.notes, *self.sentences)

    def _error(self, count: str) -> UserError:
        return UserError(f"{self.sentences[0]} (bad rows or images: {count}; dataset.on_error=skip leaves them out)")
