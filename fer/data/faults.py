"""What readers do with bad rows and unreadable images: stop and name the first, or leave them out and say so."""

from fer.errors import UserError

LIMIT = 10  # a file that is wrong throughout need not be read to its end


class Faults:
    """The bad rows and images met so far, one sentence each.

    Args:
        on_error: "raise" makes them a UserError, "skip" leaves them out.
    """

    def __init__(self, on_error: str) -> None:
        self.stops = on_error == "raise"
        self.sentences: list[str] = []

    def add(self, sentence: str) -> None:
        """Note one bad row or image.

        Raises:
            UserError: at the `LIMIT`th, unless bad ones are left out.
        """
        self.sentences.append(sentence)
        if self.stops and len(self.sentences) == LIMIT:
            raise self._error(f"at least {LIMIT}")

    def close(self) -> tuple[str, ...]:
        """Return the sentences, once all has been read.

        Raises:
            UserError: if there are any, unless bad ones are left out.
        """
        if self.stops and self.sentences:
            raise self._error(str(len(self.sentences)))
        return tuple(self.sentences)

    def _error(self, count: str) -> UserError:
        return UserError(f"{self.sentences[0]} (bad rows or images: {count}; dataset.on_error=skip leaves them out)")
