"""Computing ahead: the next batches while the last one's results are looked at."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor


def ahead(compute: Callable, items: Iterable[tuple], threads: int) -> Iterator:
    """Yields `compute(*item)` for all items, in their order.

    Args:
      compute: of one item; its errors come out here.
      items: drawn from this thread, no further than the threads need.
      threads: that compute side by side.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting = collections.deque()
        for item in items:
            waiting.append(pool.submit(compute, *item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
