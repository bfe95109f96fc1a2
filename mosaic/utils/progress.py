"""Progress of long work: a bar on a terminal, plain lines in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator

import tqdm


class Progress:
    """Counts work and shows how much is done, how fast, and how long the rest will take.

    Args:
      total: number of units of work; None where it is not known.
      what: name of the work, such as `train`, shown before the count.
      unit: name of one unit.
      done: number of units that were done before.
      interval: least time between two lines where the output is not a terminal, in seconds.
    """

    def __init__(
        self, total: int | None, what: str, unit: str, done: int = 0, interval: float = 15.0
    ):
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm.tqdm(
            total=total,
            initial=done,
            desc=what,
            unit=unit,
            disable=not self._terminal,
            dynamic_ncols=True,
        )
        self._what, self._unit, self._total = what, unit, total
        self._start, self._first, self._done = time.monotonic(), done, done
        self._interval, self._last = interval, time.monotonic()

    def update(self, units: int = 1, **figures: str) -> None:
        """Adds finished units; `figures` are texts shown beside their number, by name."""
        self._done += units
        if self._terminal:
            self._bar.set_postfix(figures, refresh=False)
            self._bar.update(units)
            return
        now = time.monotonic()
        if now - self._last < self._interval and self._done != self._total:
            return
        self._last = now
        rate = (self._done - self._first) / max(now - self._start, 1e-9)
        of, left = "", ""
        if self._total is not None:
            seconds = max(self._total - self._done, 0) / max(rate, 1e-9)
            of, left = f"/{self._total}", f", {tqdm.tqdm.format_interval(seconds)} left"
        shown = "".join(f", {name} {value}" for name, value in figures.items())
        self.say(
            f"{self._what}: {self._done}{of} {self._unit}{shown}, {rate:.3g} {self._unit}/s{left}"
        )

    def over(self, items: Iterable) -> Iterator:
        """Yields items, and counts each when the next is asked for."""
        for item in items:
            yield item
            self.update()

    def say(self, line: str) -> None:
        """Prints a line without breaking the bar."""
        if self._terminal:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()
