"""Reports of eval.py on the files that are measured, found by themselves."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Sequence

from mosaic.utils import nearby

_REPORT = "report.json"


def of_files(paths: Sequence[str]) -> dict[str, float]:
    """Returns the mIoU of files, 0 to 1, by their path, where a report of them lies nearby.

    Looked at are the folder of a file, its subfolders, and those beside it, as `RUN/eval` is beside
    `RUN/exports`. A report counts if it names the file and is not older; of several the latest.

    Args:
      paths: paths of TFLite files and SavedModel folders.
    """
    found = {}
    for path in paths:
        folder = pathlib.Path(path).resolve().parent
        for report in nearby.files((folder, folder.parent), _REPORT):
            score = _score(report, path)
            if score is not None:
                found[path] = score
    return found


def _changed(path: pathlib.Path) -> float:
    return path.stat().st_mtime


def _score(report: pathlib.Path, path: str) -> float | None:
    """The mIoU in a report of a file; None where it is of another file, or of an older one."""
    try:
        said = json.loads(report.read_text())
        scored, value = os.path.realpath(said["checkpoint"]), said["mean_iou"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None  # Others may keep a file of this name.
    if scored != os.path.realpath(path) or _changed(report) < _changed(pathlib.Path(path)):
        return None
    return float(value) if isinstance(value, float) and 0.0 <= value <= 1.0 else None
