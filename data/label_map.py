"""Label maps: class names, colours, and the class of each label in a file."""

from __future__ import annotations

import collections
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
      names: name of each class, in the order of the class indices (train ids).
      colors: colour of each class, RGB in 0..255.
      labels: value of each class in the label files.
      void_labels: further values in label files, which become the ignore label.
      ignore_label: class index of pixels without a class in the batches.
      merged: (label, class index) of each further value that stands for a class.
      void_colors: colours of pixels without a class, RGB in 0..255, in masks with colours.
      categories: category of each class, for metrics of groups of classes; empty without any.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    labels: tuple[int, ...]
    void_labels: tuple[int, ...] = ()
    ignore_label: int = 255
    merged: tuple[tuple[int, int], ...] = ()
    void_colors: tuple[tuple[int, int, int], ...] = ()
    categories: tuple[str, ...] = ()

    @classmethod
    def named(cls, name: str) -> LabelMap:
        """Reads `data/labels/{name}.json`, or the file at a path ending in .json.

        A class's `label` is one value, or a list of values that all become this class.

        Raises:
          DataError: there is no such file, or it does not have that format.
        """
        path = pathlib.Path(name) if name.endswith(".json") else _FOLDER / f"{name}.json"
        try:
            table = json.loads(path.read_text(encoding="utf-8-sig"))
            classes = table["classes"]
            labels = [_several(c["label"]) for c in classes]
            label_map = cls(
                names=tuple(str(c["name"]) for c in classes),
                colors=tuple(_color(c["color"]) for c in classes),
                labels=tuple(values[0] for values in labels),
                void_labels=tuple(map(int, table.get("void_labels", ()))),
                ignore_label=int(table.get("ignore_label", 255)),
                merged=tuple((x, i) for i, values in enumerate(labels) for x in values[1:]),
                void_colors=tuple(map(_color, table.get("void_colors", ()))),
                categories=tuple(str(c["category"]) for c in classes if "category" in c),
            )
            label_map._check()
            return label_map
        except OSError as error:
            raise DataError(f"{path}: no readable label map ({error.strerror})") from None
        except (ValueError, TypeError, KeyError, IndexError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{path}: not a label map ({what}); see data/labels") from None

    def _check(self) -> None:
        classes = [*self.labels, *(label for label, _ in self.merged)]
        numbers = [*classes, *self.void_labels, self.ignore_label]
        if not self.names:
            raise ValueError("no classes")
        if min(numbers) < 0 or max(numbers) > 255:
            raise ValueError("a label is not in 0..255")
        if len(set(classes)) < len(classes):
            raise ValueError("a label stands for two classes")
        if set(classes) & set(self.void_labels):
            raise ValueError("a label is both void and a class")
        if self.ignore_label < len(self.names):
            raise ValueError("ignore_label is a class index")
        if len(set(self.names)) < len(self.names):
            raise ValueError("two classes have one name")
        if self.categories and len(self.categories) != len(self.names):
            raise ValueError("some classes have a category and some have none")

    def lookup(self) -> np.ndarray:
        """Returns uint8 [256]: the class index of each label, the ignore label for all others."""
        table = np.full(256, self.ignore_label, np.uint8)
        table[list(self.labels)] = np.arange(len(self.labels), dtype=np.uint8)
        for label, index in self.merged:
            table[label] = index
        return table

    def values(self) -> np.ndarray:
        """Returns uint8 [256]: the label of each class index, an ignored label for all others."""
        table = np.full(256, self.ignored, np.uint8)
        table[: len(self.labels)] = self.labels
        return table

    @property
    def ignored(self) -> int:
        """A value in label files that becomes the ignore label: itself, unless it is a class."""
        table = self.lookup()
        if table[self.ignore_label] == self.ignore_label:
            return self.ignore_label
        return int(np.argmax(table == self.ignore_label))

    def indexed(self) -> LabelMap:
        """Returns the map of the same classes for files with class indices."""
        return dataclasses.replace(
            self, labels=tuple(range(len(self.names))), void_labels=(), merged=()
        )

    def color_labels(self) -> dict[tuple[int, int, int], int]:
        """Returns the label of each colour, and an ignored label for void colours."""
        table = {color: self.ignored for color in self.void_colors}
        return table | dict(zip(self.colors, self.labels, strict=True))

    def double_colors(self) -> set[tuple[int, int, int]]:
        """Returns the colours that more than one class, or a class and void, have."""
        counts = collections.Counter([*self.colors, *set(self.void_colors)])
        return {color for color, count in counts.items() if count > 1}

    def unknown(self, labels: np.ndarray) -> list[int]:
        """Returns the values in `labels`, uint8, that are neither classes, void, nor ignored."""
        found = np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256))
        return sorted(set(found.tolist()) - self._known())

    def known(self) -> str:
        """Returns the values that label files may have, for messages."""
        void = f", void {', '.join(map(str, self.void_labels))}" if self.void_labels else ""
        classes = [*self.labels, *(label for label, _ in self.merged)]
        return f"known are {min(classes)} to {max(classes)}{void} and {self.ignore_label}"

    def _known(self) -> set[int]:
        merged = {label for label, _ in self.merged}
        return {*self.labels, *merged, *self.void_labels, self.ignore_label}


def _several(value: int | list[int]) -> list[int]:
    return [int(x) for x in value] if isinstance(value, list) else [int(value)]


def _color(value: list[int]) -> tuple[int, int, int]:
    red, green, blue = map(int, value)
    if not 0 <= min(red, green, blue) <= max(red, green, blue) <= 255:
        raise ValueError(f"colour {value} is not three numbers in 0..255")
    return red, green, blue
