"""Label maps: class names, colours, and which label in a file means which class."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import numpy as np

from data.errors import DataError

_FOLDER = pathlib.Path(__file__).parent / "labels"


@dataclasses.dataclass(frozen=True)
class LabelMap:
    """The classes of a data set.

    Attributes:
      names: one per class, in the order of the class indices (train ids).
      colors: RGB in 0..255, one per class.
      labels: the value that stands for each class in the label files.
      void_labels: further values that the label files may hold; they become the ignore label.
      ignore_label: what pixels without a class have in the batches.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    labels: tuple[int, ...]
    void_labels: tuple[int, ...] = ()
    ignore_label: int = 255

    @classmethod
    def named(cls, name: str) -> LabelMap:
        """Reads `data/labels/{name}.json`, or the file that a name ending in .json is.

        Raises:
          DataError: there is none, or it is not of that form.
        """
        path = pathlib.Path(name) if name.endswith(".json") else _FOLDER / f"{name}.json"
        try:
            table = json.loads(path.read_text())
            classes = table["classes"]
            return cls(
                names=tuple(str(c["name"]) for c in classes),
                colors=tuple(tuple(map(int, c["color"])) for c in classes),
                labels=tuple(int(c["label"]) for c in classes),
                void_labels=tuple(map(int, table.get("void_labels", ()))),
                ignore_label=int(table.get("ignore_label", 255)),
            )
        except OSError as error:
            raise DataError(f"{path}: no readable label map ({error.strerror})") from None
        except (ValueError, TypeError, KeyError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{path}: not a label map ({what}); see data/labels") from None

    def lookup(self) -> np.ndarray:
        """Returns uint8 [256]: the class index of each label, the ignore label for all others."""
        table = np.full(256, self.ignore_label, np.uint8)
        table[list(self.labels)] = np.arange(len(self.labels), dtype=np.uint8)
        return table

    def unknown(self, labels: np.ndarray) -> list[int]:
        """Returns the values in `labels` that are neither classes, nor void, nor ignored."""
        known = {*self.labels, *self.void_labels, self.ignore_label}
        return sorted(set(np.unique(labels).tolist()) - known)
