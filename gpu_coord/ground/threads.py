"""Work on the items of a stream in threads: ahead of the reader, in order, a few at a time.

The threads are ours, not those of OpenMP: they take item after item without meeting in between,
and what they call (Polars, NumPy, the pair kernels) lets the others run.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

MAX_THREADS = 256  # far above the cores of a machine, Polars slows down until it seems to hang

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    items: Iterable[Item], work: Callable[[Item], Result], *, n_threads: int
) -> Iterator[Result]:
    """Yield what ``work`` makes of each item, in order, a few items ahead of the reader.

    With no threads the reader's own does each item when it is asked for.
    """
    if not n_threads:
        yield from map(work, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > n_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def prefetch(items: Iterator[Item], n_ahead: int = 2) -> Iterator[Item]:
    """Run an iterator in a thread, a few items ahead of its reader."""
    ready: queue.Queue[Any] = queue.Queue(n_ahead)
    stopped = threading.Event()

    def put(item: Any) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the reader's thread
            put(error)

    thread = threading.Thread(target=work, name="read archive", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()
