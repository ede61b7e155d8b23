"""Work that is done ahead in threads, its results in order; images, nets and encoders leave Python's lock alone."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from fer.processes import cores

END = object()  # after the last item; None may be one

Item = TypeVar("Item")
Result = TypeVar("Result")


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
    """Yield the result of each item, in order; as many are worked on as there are cores, and one waits.

    An exception of the work comes in its place. When the iterator is closed, what was not begun is left.
    """
    source, most = iter(items), cores()
    pool = ThreadPoolExecutor(most)
    try:
        waiting: deque[Future[Result]] = deque()
        waiting += [pool.submit(work, item) for item in islice(source, most + 1)]
        while waiting:
            yield waiting.popleft().result()
            waiting += [pool.submit(work, item) for item in islice(source, 1)]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
