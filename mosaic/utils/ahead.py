"""Work that is done in threads while the next piece of it is fetched."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor


def ahead(
    compute: Callable,
    items: Iterable[tuple],
    threads: int,
    alone: Callable[..., bool] = lambda *item: False,
) -> Iterator:
    """Yields `compute(*item)` for all items, in their order, while the next are computed.

    Args:
      compute: function of one item; its errors are raised here.
      items: arguments of `compute`; they are read in this thread, only as far as needed. An error
        of theirs is raised after all that was read before has been yielded.
      threads: number of threads that compute at the same time.
      alone: function of one item that tells whether it is computed in this thread, after all before
        it and before the next is read, such as one that needs much memory.
    """
    failed: list[Exception] = []
    pool, waiting = ThreadPoolExecutor(threads), collections.deque()
    try:
        for item in _until_error(items, failed):
            if alone(*item):
                while waiting:
                    yield waiting.popleft().result()
                result = compute(*item)
                del item  # so that nothing holds it while the next is fetched
                yield result
                del result
                continue
            waiting.append(pool.submit(compute, *item))
            del item
            while len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
    if failed:
        raise failed[0]


def _until_error(items: Iterable[tuple], failed: list[Exception]) -> Iterator[tuple]:
    """Yields the items up to the first that cannot be read, whose error is added to `failed`."""
    try:
        yield from items
    except Exception as error:  # noqa: BLE001 - raised later
        failed.append(error)
