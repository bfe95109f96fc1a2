"""What the classes of a network are called, and their colours, where there is no data set."""

from __future__ import annotations

import colorsys
import dataclasses
import json
import os

from mosaic.errors import UserError
from mosaic.files import write_text

FILE = "classes.json"


@dataclasses.dataclass(frozen=True)
class Classes:
    """Names and colours of classes, under the names that a data set's description has for them.

    Attributes:
      class_names: one per class.
      colors: RGB in 0..255, one per class.
      ignore_label: that no class has.
    """

    class_names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    ignore_label: int = 255

    @classmethod
    def numbered(cls, count: int) -> Classes:
        """Classes that nothing is known of: numbers, and colours far apart in hue."""
        golden = 0.618034
        hsv = [
            ((i * golden) % 1.0, 0.55 + 0.4 * (i % 2), 0.95 - 0.3 * (i % 3)) for i in range(count)
        ]
        colors = tuple(tuple(round(255 * c) for c in colorsys.hsv_to_rgb(*x)) for x in hsv)
        return cls(tuple(f"class {index}" for index in range(count)), colors)


def save(folder: str, dataset) -> None:
    """Writes classes.json, in the form of a label map, into a folder."""
    classes = [
        {"name": name, "color": list(map(int, color)), "label": index}
        for index, (name, color) in enumerate(zip(dataset.class_names, dataset.colors))
    ]
    content = {"classes": classes, "ignore_label": dataset.ignore_label}
    write_text(os.path.join(folder, FILE), json.dumps(content, indent=1) + "\n")


def find(path: str) -> Classes | None:
    """Returns the classes that lie beside a model: in its folder, or in that of its run.

    Args:
      path: of a run's folder, a checkpoint in it, a SavedModel folder or a file.

    Raises:
      UserError: classes.json is there but cannot be read.
    """
    parent = os.path.dirname(os.path.abspath(path))
    for folder in (path, os.path.join(path, "assets.extra"), parent, os.path.dirname(parent)):
        file = os.path.join(folder, FILE)
        if os.path.isfile(file):
            return _read(file)
    return None


def _read(file: str) -> Classes:
    try:
        with open(file) as text:
            table = json.load(text)
        classes = table["classes"]
        return Classes(
            tuple(str(c["name"]) for c in classes),
            tuple(tuple(map(int, c["color"])) for c in classes),
            int(table.get("ignore_label", 255)),
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file}: not a list of classes ({error})") from None
