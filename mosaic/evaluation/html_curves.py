"""The courses of several runs as drawings for the page that compares them."""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence

# Width and height of a drawing, in its own units, and the number of points that show in it.
_WIDTH, _HEIGHT = 600, 220
_POINTS = 300
# The most parts that marks divide the axis of values into.
_PARTS = 5
_TITLES = {"mean_iou": "validation mIoU, %", "loss": "training loss"}


def run_folder(file: str, report: Mapping) -> pathlib.Path | None:
    """Returns the folder of the run that a report is about, where its records still lie.

    Args:
      file: path of the report; it may lie in the run's folder or one below.
      report: the report; `checkpoint` may be the run's folder or one below.
    """
    places = [pathlib.Path(os.path.abspath(file)).parent]
    checkpoint = report.get("checkpoint")
    if isinstance(checkpoint, str) and checkpoint:
        places.append(pathlib.Path(os.path.abspath(checkpoint)))
    found = (folder for place in places for folder in (place, place.parent))
    return next((folder for folder in found if (folder / "history.jsonl").is_file()), None)


def history(folder: pathlib.Path | None) -> list[dict]:
    """Returns the entries of a run's history.jsonl; none where there is no folder."""
    if folder is None:
        return []
    entries = []
    for line in (folder / "history.jsonl").read_text("utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue  # Cut off, or no record: train.py would tell.
        if isinstance(entry, dict) and _is_number(entry.get("step")):
            entries.append(entry)
    return entries


def charts(histories: Sequence[Sequence[dict]]) -> list[dict]:
    """Returns drawings of mIoU and of loss over the steps, one line for each run.

    Args:
      histories: entries of each run's history; empty for unknown ones.

    Returns:
      `title`, `width`, `height`, `lines` ({"run", its number, "points", as in SVG's polyline,
      "last", the last point}), and `values` and `steps`, evenly spread marks of the axes, from the
      lowest on; no drawing where no run has such entries.
    """
    found = []
    for name, title in _TITLES.items():
        series = [
            [(e["step"], e[name]) for e in entries if _is_number(e.get(name))]
            for entries in histories
        ]
        if any(len(points) > 1 for points in series):
            found.append(_chart(title, series, 100.0 if name == "mean_iou" else 1.0))
    return found


def _chart(title: str, series: Sequence[Sequence[tuple]], factor: float) -> dict:
    last = max(step for points in series for step, _ in points) or 1
    found = sorted(factor * value for points in series for _, value in points)
    # The first losses without training would squeeze all others.
    highest = found[min(len(found) - 1, int(0.99 * len(found)))]
    values = _marks(min(found[0], 0.0), highest)
    low, high = values[0], values[-1]
    lines = []
    for run, points in enumerate(series):
        places = [
            (
                round(_WIDTH * step / last, 1),
                round(_HEIGHT * (1 - (min(factor * value, high) - low) / (high - low)), 1),
            )
            for step, value in _thinned(points)
        ]
        if places:
            text = " ".join(f"{x:g},{y:g}" for x, y in places)
            lines.append({"run": run, "points": text, "last": places[-1]})
    return {
        "title": title,
        "width": _WIDTH,
        "height": _HEIGHT,
        "lines": lines,
        "values": [f"{value:.4g}" for value in values],
        "steps": [f"{last * part / 4:,.0f}" for part in range(5)],
    }


def _marks(low: float, high: float) -> list[float]:
    """Round numbers, evenly spread, from at most `low` to at least `high`."""
    wanted = max((high - low) / _PARTS, 1e-9)
    unit = 10.0 ** math.floor(math.log10(wanted))
    part = next(unit * times for times in (1, 2, 5, 10) if unit * times > 0.999 * wanted)
    first = math.floor(low / part)
    return [part * at for at in range(first, max(math.ceil(high / part), first + 1) + 1)]


def _thinned(points: Sequence[tuple]) -> list[tuple]:
    """Means of neighbours, so that no more than `_POINTS` are left."""
    each = -(-len(points) // _POINTS)
    groups = [points[i : i + each] for i in range(0, len(points), each or 1)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30
