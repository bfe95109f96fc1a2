"""Names and colours of a network's classes, where there is no data set."""

from __future__ import annotations

import colorsys
import dataclasses
import json
import os
from collections.abc import Iterable
from typing import Any

from mosaic.utils.atomic_io import write_text
from mosaic.utils.errors import UserError
from mosaic.utils.segmentation_dataset import SegmentationDataset

FILE = "classes.json"


@dataclasses.dataclass(frozen=True)
class Classes:
    """Names and colours of classes, in attributes of the same names as a data set's.

    Attributes:
      class_names: name of each class.
      colors: colour of each class, RGB in 0..255.
      ignore_label: class index of pixels that are not labelled; no class has it.
    """

    class_names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    ignore_label: int = 255

    @classmethod
    def of(cls, label_map: Any) -> Classes:
        """Makes the classes of a label map (`data.label_map.LabelMap`)."""
        return cls(label_map.names, label_map.colors, label_map.ignore_label)

    @classmethod
    def named(cls, names: Iterable[str]) -> Classes:
        """Makes classes from names alone, with colours far apart in hue."""
        names, golden = tuple(names), 0.618034
        hsv = [
            ((i * golden) % 1.0, 0.55 + 0.4 * (i % 2), 0.95 - 0.3 * (i % 3))
            for i in range(len(names))
        ]
        colors = tuple(tuple(round(255 * c) for c in colorsys.hsv_to_rgb(*x)) for x in hsv)
        return cls(names, colors)

    @classmethod
    def numbered(cls, count: int) -> Classes:
        """Makes classes from their number alone, named `class 0` and so on."""
        return cls.named(f"class {index}" for index in range(count))


def content(dataset: SegmentationDataset | Classes) -> str:
    """Returns the text of classes.json, in the format of a label map."""
    classes = [
        {"name": name, "color": list(map(int, color)), "label": index}
        for index, (name, color) in enumerate(zip(dataset.class_names, dataset.colors))
    ]
    table = {"classes": classes, "ignore_label": dataset.ignore_label}
    return json.dumps(table, indent=1) + "\n"


def save(folder: str, dataset: SegmentationDataset | Classes) -> None:
    """Writes classes.json into a folder."""
    write_text(os.path.join(folder, FILE), content(dataset))


def parse(text: bytes, file: str) -> Classes:
    """Returns the classes of a classes.json.

    Args:
      text: content of the file, in UTF-8.
      file: name of the file in messages.

    Raises:
      UserError: it is not a list of classes.
    """
    try:
        table = json.loads(text)
        classes = table["classes"]
        if not classes:
            raise ValueError("there are none")
        return Classes(
            tuple(_name(c["name"]) for c in classes),
            tuple(_color(c["color"]) for c in classes),
            _whole(table.get("ignore_label", 255)),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(
            f"{file}: not a list of classes ({reason}); put an intact copy back, or remove it"
        ) from None


def _name(value) -> str:
    if not isinstance(value, str | int):
        raise ValueError("a name that is no text")
    return str(value)


def _color(value) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError("a color that is not [red, green, blue]")
    red, green, blue = map(_whole, value)
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError("a color with a number outside of 0..255")
    return red, green, blue


def _whole(value) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError(f"{str(value)[:20]!r} instead of a whole number")
    return int(value)
