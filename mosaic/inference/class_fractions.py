"""The share of each class in images: class_fractions.csv and class_fractions.json."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import pathlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mosaic.inference.any_size import Segmentation
from mosaic.utils.atomic_io import write_text
from mosaic.utils.class_names import Classes

FILE = "class_fractions"
# Pixels that are counted at once.
_CHUNK = 2**22


@dataclasses.dataclass(frozen=True)
class Row:
    """An image.

    Attributes:
      name: name of its outputs, without suffix.
      file: path of the image or video.
      size: (height, width), in pixels.
      fractions: share of the pixels of each class that occurs, by class index, 0 to 1.
      confidence: mean of the confidence, 0 to 1; None where that was not computed.
    """

    name: str
    file: str
    size: tuple[int, int]
    fractions: dict[int, float]
    confidence: float | None

    @classmethod
    def of(cls, name: str, file: str, found: Segmentation) -> Row:
        """Makes the row of a segmented image."""
        counts = _counts(found.labels)
        shares = {int(c): float(counts[c] / found.labels.size) for c in np.flatnonzero(counts)}
        mean = None if found.confidence is None else float(found.confidence.mean() / 255)
        return cls(name, file, found.labels.shape, shares, mean)


def _counts(labels: np.ndarray) -> np.ndarray:
    flat = labels.reshape(-1)
    parts = (flat[start : start + _CHUNK] for start in range(0, flat.size, _CHUNK))
    return sum(np.bincount(part, minlength=256) for part in parts)


def write(folder: pathlib.Path, rows: Sequence[Row], classes: Classes | None) -> None:
    """Writes both files.

    Args:
      folder: folder for them.
      rows: images, in the order of the lines.
      classes: names of the classes; None to use numbers as names.
    """
    highest = max((index for row in rows for index in row.fractions), default=0)
    names = (classes or Classes.numbered(highest + 1)).class_names
    confident = any(row.confidence is not None for row in rows)
    table, text = [], io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["name", "file", "height", "width", *["mean_confidence"] * confident, *names])
    for row in rows:
        mean = [row.confidence] * confident
        shares = [row.fractions.get(index, 0.0) for index in range(len(names))]
        lines.writerow(
            [row.name, row.file, *row.size, *(f"{value:.6g}" for value in (*mean, *shares))]
        )
        # Two classes may have one name, and then count as one.
        named = Counter()
        for index, share in row.fractions.items():
            named[names[index]] += share
        entry = {"name": row.name, "file": row.file, "height": row.size[0], "width": row.size[1]}
        if confident:
            entry["mean_confidence"] = row.confidence
        table.append({**entry, "fractions": named})
    write_text(folder / f"{FILE}.csv", text.getvalue())
    content = {"classes": names, "images": table}
    write_text(folder / f"{FILE}.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
