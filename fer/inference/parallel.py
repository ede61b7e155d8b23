"""Work that is done ahead in threads, its results in order; images, nets and encoders leave Python's lock alone."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from threading import Lock
from typing import Any, TypeVar

import numpy as np

from fer.processes import cores

MOST = 4  # at once: a photo of 134 megapixels has 400 MB when it is decoded; more were not tried
LARGE = 25_000_000  # pixels of a picture that is searched and drawn alone, which takes 5 bytes more for each
_LARGE = Lock()
END = object()  # after the last item; None may be one

Item = TypeVar("Item")
Result = TypeVar("Result")


def one_large_at_a_time(image: np.ndarray) -> AbstractContextManager[Any]:
    """Return what a thread holds while it works on a picture (H, W, ...), so that memory is that of one large one."""
    return _LARGE if image.shape[0] * image.shape[1] > LARGE else nullcontext()


@contextmanager
def ahead(items: Iterable[Item], count: int) -> Iterator[Iterator[Item]]:
    """Give items, the next `count` of which are made in a thread; it ends with the `with` block, even by an error.

    After the block nobody works on `items` any more: whoever opened what they come from can close it.
    """
    source = iter(items)
    with ThreadPoolExecutor(1) as thread:

        def made() -> Iterator[Item]:
            waiting = deque(thread.submit(next, source, END) for _ in range(count))
            while (item := waiting.popleft().result()) is not END:
                waiting.append(thread.submit(next, source, END))
                yield item

        try:
            yield made()
        finally:
            thread.shutdown(wait=False, cancel_futures=True)


def on_all_cores(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the result of each item, in order; up to `MOST` are worked on, one a core, and one waits.

    An exception of the work comes in its place. When the iterator is closed, what was not begun is left.
    """
    source, most = iter(items), min(cores(), MOST)
    pool = ThreadPoolExecutor(most)
    try:
        waiting: deque[Future[Result]] = deque()
        waiting += [pool.submit(work, item) for item in islice(source, most + 1)]
        while waiting:
            yield waiting.popleft().result()
            waiting += [pool.submit(work, item) for item in islice(source, 1)]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
