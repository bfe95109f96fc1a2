"""Size and latency of a run's exported files, where a report of benchmark.py lies nearby."""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Iterator, Mapping

from mosaic.utils import nearby

FILE = "benchmark.json"


def near(
    report_file: str, report: Mapping, folder: pathlib.Path | None
) -> list[dict[str, str | float]]:
    """Returns what was measured of the file that was scored, and of files in its run's folder.

    Args:
      report_file: path of the report of eval.py.
      report: the report; `checkpoint` may be an exported file.
      folder: folder of the run, where that is known.

    Returns:
      `name`, `megabytes` (1e6 bytes), `milliseconds` (the median) and `machine` of each; of a file
      that was measured several times the latest. Empty where nothing is found.
    """
    scored = os.path.realpath(str(report.get("checkpoint") or ""))
    places = [pathlib.Path(report_file).resolve().parent, pathlib.Path(scored).parent]
    places += [place.parent for place in places] + ([folder.resolve()] if folder else [])
    found = {}
    for path in nearby.files(places, FILE):
        for place, entry in _entries(path):
            in_run = folder is not None and place.startswith(f"{folder.resolve()}{os.sep}")
            if place == scored or in_run:
                found[place] = entry
    return list(found.values())


def _entries(path: pathlib.Path) -> Iterator[tuple[str, dict[str, str | float]]]:
    """The place and what is shown of each file in a report; nothing of what is no such report."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        for model in report["models"]:
            size, median = float(model["bytes"]) / 1e6, float(model["latency_ms"]["median"])
            if math.isfinite(size) and math.isfinite(median):
                machine = report["machine"]
                yield (
                    os.path.realpath(model["path"]),
                    {
                        "name": str(model["name"]),
                        "megabytes": size,
                        "milliseconds": median,
                        "machine": f"{machine['cores']} cores of {machine['processor']}",
                    },
                )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return  # Others may keep a file of this name.
