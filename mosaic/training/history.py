"""Records of a run, one JSON object a line: the metrics at each step."""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import time
from collections.abc import Sequence

from mosaic.utils.atomic_io import write_text
from mosaic.utils.errors import UserError

# What an entry may have besides its step, all numbers.
_NUMBERS = ("step", "loss", "learning_rate", "mean_iou", "seconds", "images_per_second")


class History:
    """A record of a run, such as `history.jsonl`.

    Its training entries have `step`, `loss` (the mean since the last entry, at full precision) and
    `learning_rate`; evaluation entries `step`, `mean_iou` and `iou`, by class name.

    Args:
      path: path of the file.
      step: step where training continues; records of an interrupted run after it are dropped, since
        these steps will be repeated.

    Raises:
      UserError: a line is no such entry; the last may be cut off, which drops it.
    """

    _needed: Sequence[str] = ("step",)

    def __init__(self, path: str | os.PathLike, step: int):
        self.path = pathlib.Path(path)
        self.entries = [entry for entry in _read(self.path, self._needed) if entry["step"] <= step]
        write_text(self.path, "".join(json.dumps(entry) + "\n" for entry in self.entries))

    def add(self, **entry) -> None:
        """Appends an entry."""
        self.entries.append(entry)
        with self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def evaluated(self, step: int) -> bool:
        """Whether there is an evaluation of that step."""
        return any(e["step"] == step and "mean_iou" in e for e in self.entries)


class Times(History):
    """`times.jsonl` of a run: its times, apart from the metrics, which repeat exactly.

    Entries have `step`, `seconds` (since the start of the run; when it was resumed, work that was
    lost and the time in between do not count) and, at the end of a block of steps, the block's
    `images_per_second`.

    Args:
      path: path of the file.
      step: step where training continues, see `History`.
    """

    _needed = ("step", "seconds")

    def __init__(self, path: str | os.PathLike, step: int):
        super().__init__(path, step)
        self._start = time.monotonic() - (self.entries[-1]["seconds"] if self.entries else 0.0)

    def note(self, step: int, **figures: float) -> None:
        """Appends an entry with the time so far."""
        self.add(step=step, seconds=round(time.monotonic() - self._start, 3), **figures)


def summary(history: History, times: Times) -> dict:
    """Returns the results of a run, and its time.

    Returns:
      `best` and `final`, evaluations as in `history`; and where the times of the whole run are
      known, `seconds` and `images_per_second`, by `median` and the quartiles `lower` and `upper`.
    """
    scores = [entry for entry in history.entries if "mean_iou" in entry]
    found = {"best": max(scores, key=lambda entry: entry["mean_iou"]), "final": scores[-1]}
    rates = [e["images_per_second"] for e in times.entries if "images_per_second" in e]
    if len(rates) < 2 or times.entries[0]["step"] > history.entries[0]["step"]:
        return found
    lower, median, upper = statistics.quantiles(rates, n=4, method="inclusive")
    rate = {"median": median, "lower": lower, "upper": upper}
    return {**found, "seconds": times.entries[-1]["seconds"], "images_per_second": rate}


def _read(path: pathlib.Path, needed: Sequence[str]) -> list[dict]:
    """Reads the complete lines; the last may have been cut off when the process was killed."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    entries = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entries.append(_entry(line, needed))
        except (ValueError, RecursionError) as error:
            if number == len(lines) and line.startswith(b"{"):
                break
            reason = " ".join(str(error).split())[:100]
            raise UserError(
                f"{path}: line {number} is not a record of a run ({reason}); put an intact copy "
                "back, or move the file away: training goes on, and its records begin there"
            ) from None
    return entries


def _entry(line: bytes, needed: Sequence[str]) -> dict:
    """A line's entry.

    Raises:
      ValueError: it is none.
    """
    entry = json.loads(line)
    if not isinstance(entry, dict):
        raise ValueError("no JSON object")
    if absent := [name for name in needed if name not in entry]:
        raise ValueError(f"no {absent[0]!r}")
    for name in _NUMBERS:
        if name in entry and not _is_number(entry[name]):
            raise ValueError(f"{name!r} is no number")
    if not isinstance(entry["step"], int) or entry["step"] < 0:
        raise ValueError("'step' is no number of steps")
    ious = entry.get("iou", {})
    if not isinstance(ious, dict) or not all(v is None or _is_number(v) for v in ious.values()):
        raise ValueError("'iou' is not a number for each class")
    return entry


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
