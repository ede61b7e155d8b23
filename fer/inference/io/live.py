"""A camera or a stream as frames: read in a thread, and when it stops, opened again or ended in order."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import cv2

from fer.errors import UserError
from fer.inference.io.capture import Camera, Raw, Stream, StreamLost
from fer.inference.results import Frame, room
from fer.paths import is_address, number_of, redact_address

ROOM = 32  # frames that wait for a slow recorder before the reader waits for it; fewer where they are large
LONGEST = 8.0  # seconds between two attempts


class Live:
    """A camera or a stream, as a context manager that opens it and an iterable of its frames.

    A thread reads. To watch, only the latest frame is kept; to record, all are, and a slow recorder holds it up.
    A source that worked and stops is opened again, after growing waits, until a picture comes or `patience` is over;
    then the frames end. A file on a web server ends where it ends. All frames have the size of the first one.

    Args:
        source: a camera's number or device, or an address.
        drop_stale: keep only the latest frame.
        say: is told, in the reading thread, a sentence when the source stops and one when it is given up.
        idle: called about every 10 ms while there is no frame; it may call `close`, which ends the frames.
        timeout: seconds in which a stream has to open, and then to send.
        patience: seconds for which a source that stopped is tried again.
        wait: seconds before the first attempt; each further wait is twice as long.

    Attributes:
        name: of the source in messages, without secrets.
        width, height: of the upright pictures, in pixels.
        duration: seconds, of a file on a server; None if it has no end, or none that is known.
        rate: frames per second as the source claims; None if it does not. True are the frames' own times.
        skipped: frames that could not be decoded and were left out; counted when the source has ended.
        start: when the first picture came, by the monotonic clock, from which a frame's time counts; None before.

    Raises:
        UserError: on entering, if there is no such camera or stream, or no picture comes.
    """

    def __init__(
        self,
        source: str,
        drop_stale: bool,
        say: Callable[[str], None],
        idle: Callable[[], object] = lambda: None,
        timeout: float = 5.0,
        patience: float = 30.0,
        wait: float = 0.5,
    ) -> None:
        self.source, self.drop_stale, self.say, self.idle = source, drop_stale, say, idle
        self.timeout, self.patience, self.wait = timeout, patience, wait
        self.camera = number_of(source)
        self.name = redact_address(source) if self.camera is None else f"camera {source}"
        self.width = self.height = 0
        self.duration: float | None = None
        self.rate: float | None = None
        self.skipped = 0
        self._finite = False
        self._numbers = count()
        self.start: float | None = None
        self._deadline: float | None = None  # of the outage, while there is one
        self._pause = wait
        self._failure: BaseException | None = None
        self._begun, self._closed = threading.Event(), threading.Event()
        self._queue: queue.Queue[tuple[int, float, Raw] | None] = queue.Queue(1)
        self._thread = threading.Thread(target=self._read, name="live", daemon=True)  # never keeps the process

    def __enter__(self) -> "Live":
        if self.camera is None and not is_address(self.source):
            hint = "; this is a file: use mode=video" if Path(self.source).expanduser().exists() else ""
            raise UserError(
                f"input={self.source}: expected a camera's number or an address such as rtsp://HOST/PATH{hint}"
            )
        self._thread.start()
        try:
            self._wait_for_the_first()
        except BaseException:
            self.close()
            raise
        return self

    def _wait_for_the_first(self) -> None:
        limit = 3 * self.timeout  # to look up a host has no limit of its own, and neither has a camera
        end = time.monotonic() + limit
        while not self._begun.wait(0.05) and not self._closed.is_set():
            if time.monotonic() > end:
                raise self._refusal(f"no picture came within {limit:g} s")
            self.idle()
        if self._failure:
            raise self._failure

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the frames and let go of the source; a thread that waits for the network is left behind after 1 s."""
        self._closed.set()
        self._thread.join(1.0)

    def __iter__(self) -> Iterator[Frame]:
        while (item := self._take()) is not None:
            yield Frame(item[0], item[1], item[2].image())
        if self._failure:
            raise self._failure

    def _take(self) -> tuple[int, float, Raw] | None:
        while not self._closed.is_set():
            try:
                return self._queue.get(timeout=0.01)
            except queue.Empty:
                self.idle()
        return None

    def _put(self, item: tuple[int, float, Raw] | None) -> None:
        if self.drop_stale and item:
            with suppress(queue.Empty):
                self._queue.get_nowait()
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._queue.put(item, timeout=0.05)
                return

    def _read(self) -> None:
        """Run in the thread: read to the end, through all outages."""
        try:
            while (reason := self._read_until_lost()) and self._goes_on(reason):
                pass
        except BaseException as error:
            self._failure = error
        finally:
            self._begun.set()
            self._put(None)

    def _read_until_lost(self) -> str | None:
        """Open the source and hand its pictures over; return why there are no more, None at its end or when closed."""
        try:
            source = Stream(self.source, self.timeout) if self.camera is None else Camera(self.camera)
            with closing(source):
                self._pass_on(source)
        except StreamLost as error:
            return None if self._closed.is_set() else str(error)
        return None

    def _pass_on(self, source: Camera | Stream) -> None:
        self.rate, self.duration, self._finite = source.rate, source.duration, source.finite
        try:
            for raw, at in source:
                self._hand_over(raw, at)
                if self._closed.is_set():
                    break
        finally:
            self.skipped += source.skipped
        if self.start is None:
            raise StreamLost("there are no pictures in it")

    def _hand_over(self, raw: Raw, at: float | None) -> None:
        """Number a picture and give it its time: its own, `at`, in a file, else by the clock."""
        self._deadline = None
        if self.start is None:
            self._begin(raw.width, raw.height)
        elif raw[:2] != (self.width, self.height):  # it came back with other settings
            small = cv2.resize(raw.image(), (self.width, self.height), interpolation=cv2.INTER_AREA)
            raw = Raw(self.width, self.height, lambda: small)
        now = time.monotonic() - self.start
        if at is not None and self.drop_stale:
            self._closed.wait(at - now)  # a file that is watched plays at its own pace
        self._put((next(self._numbers), now if at is None else at, raw))
        self._begun.set()

    def _begin(self, width: int, height: int) -> None:
        """Note what the first picture tells, before anybody takes it."""
        self.start, self.width, self.height = time.monotonic(), width, height
        if not self.drop_stale:
            self._queue = queue.Queue(room(width, height, ROOM))

    def _goes_on(self, reason: str) -> bool:
        """Wait before the next attempt; tell whether there is to be one.

        Raises:
            UserError: if there never was a picture.
        """
        if self.start is None:
            raise self._refusal(reason)
        now = time.monotonic()
        if self._finite:
            self.say(f"{self.name}: {reason}; it ends here")
            return False
        if self._deadline is None:
            self._deadline, self._pause = now + self.patience, self.wait
            self.say(f"{self.name}: {reason}; trying again for {self.patience:g} s")
        if now >= self._deadline:
            self.say(f"{self.name}: it did not come back within {self.patience:g} s; it ends here")
            return False
        closed = self._closed.wait(min(self._pause, self._deadline - now))
        self._pause = min(2 * self._pause, LONGEST)
        return not closed

    def _refusal(self, reason: str) -> UserError:
        if is_address(self.source):
            return UserError(f"input={self.name}: expected a video stream, but {reason}: check the address")
        return UserError(f"input={self.source}: expected a camera, but {reason}")
