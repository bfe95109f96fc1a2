"""Label maps: class names, colours, and the class of each label in a file."""

from __future__ import annotations

import collections
import dataclasses
import json
import pathlib
from collections.abc import Iterable

import numpy as np

from data.errors import DataError, check_regular
from data.label_map_values import (
    CLASS_KEYS,
    KEYS,
    check_keys,
    color_of,
    label_of,
    list_of,
    name_of,
)

_FOLDER = pathlib.Path(__file__).parent / "labels"
_FORM = 'write {"classes": [{"name": "road", "label": 0}, ...]}'
_ADVICE = "add each to a class's `label` or to `void_labels`"


@dataclasses.dataclass(frozen=True)
class LabelMap:
    """The classes of a data set.

    Attributes:
      names: name of each class, in the order of the class indices (train ids).
      colors: colour of each class, RGB in 0..255.
      labels: value of each class in the label files.
      void_labels: further values in label files, which become the ignore label.
      ignore_label: class index of pixels without a class in the batches.
      colorless: class indices without a colour in the file: theirs is for pictures, not for masks.
      holds_ignore: whether label files may hold the ignore label itself; files of users may only
        if they declare it.
      merged: (label, class index) of each further value that stands for a class.
      void_colors: colours of pixels without a class, RGB in 0..255, in masks with colours.
      categories: category of each class, for metrics of groups of classes; empty without any.
      advice: what to do about values in masks that have no class, for messages.
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    labels: tuple[int, ...]
    void_labels: tuple[int, ...] = ()
    ignore_label: int = 255
    merged: tuple[tuple[int, int], ...] = ()
    void_colors: tuple[tuple[int, int, int], ...] = ()
    categories: tuple[str, ...] = ()
    holds_ignore: bool = True
    # Records do not depend on where the map lies, nor on who chose the colours.
    colorless: frozenset[int] = dataclasses.field(default=frozenset(), repr=False)
    advice: str = dataclasses.field(default=_ADVICE, repr=False, compare=False)

    @classmethod
    def named(cls, name: str) -> LabelMap:
        """Reads `data/labels/{name}.json`, or the file at a path ending in .json.

        A class's `label` is one value, or a list of values that all become this class. A colour is
        three numbers or "#rrggbb"; a class without one gets one for pictures. Only what the file
        declares is ignored: `void_labels`, and `ignore_label` where it is given; an `ignore_label`
        of 0 that no class has is a void label.

        Raises:
          DataError: there is no such file, or it does not have that format; the message names the
            class and what it may have.
        """
        if "://" in name:
            raise DataError(f"LABEL_MAP={name}: a label map must be on this machine; copy it here")
        path = pathlib.Path(name) if name.endswith(".json") else _FOLDER / f"{name}.json"
        check_regular(path)
        if path.parent == _FOLDER and not path.is_file():
            known = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.json")))
            raise DataError(
                f"{name}: no label map of this name; there are {known}; a file's name ends in .json"
            )
        try:
            label_map = _parse(json.loads(path.read_text(encoding="utf-8-sig")))
        except OSError as error:
            raise DataError(f"{path}: no readable label map ({error.strerror})") from None
        except json.JSONDecodeError as error:
            raise DataError(f"{path}: not a label map (no JSON: {error}); {_FORM}") from None
        except UnicodeDecodeError:
            raise DataError(f"{path}: not in UTF-8; save it again in that encoding") from None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DataError(f"{path}: not a label map ({error}); see data/labels") from None
        if path.parent == _FOLDER:
            advice = f"the published files hold nothing else; own classes need an own {name}.json"
        else:
            advice = f"{_ADVICE} in {path}"
        return dataclasses.replace(label_map, advice=advice)

    def check(self) -> None:
        """Raises a ValueError that says what contradicts itself, and in which class."""
        if not self.names:
            raise ValueError("no classes")
        owners = {}
        for label, index in [*zip(self.labels, range(len(self.labels))), *self.merged]:
            if label in owners:
                pair = f"{self.names[owners[label]]!r} and {self.names[index]!r}"
                raise ValueError(f"label {label} is given twice: it stands for two classes, {pair}")
            owners[label] = index
        for label in self.void_labels:
            if label in owners:
                owner = self.names[owners[label]]
                raise ValueError(f"label {label} is both void and a class, {owner!r}")
        if len(self.names) > 255:
            raise ValueError(
                f"{len(self.names)} classes: labels have 8 bits, and one value stands for pixels "
                "without a class, so that there are 255 at most"
            )
        if self.ignore_label < len(self.names):
            raise ValueError(
                f"ignore_label is a class index, {self.ignore_label}; list what masks hold for "
                "pixels without a class in void_labels"
            )
        if self.holds_ignore and self.ignore_label in owners:
            owner = self.names[owners[self.ignore_label]]
            raise ValueError(
                f"label {self.ignore_label} is both ignore_label and a class, {owner!r}; leave "
                "ignore_label out, or take the label from the class"
            )
        double = [name for name, count in collections.Counter(self.names).items() if count > 1]
        if double:
            raise ValueError(f"two classes have one name, {double[0]!r}")
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
        """Returns the map of the same classes for files with class indices and the ignore label."""
        indices = tuple(range(len(self.names)))
        return dataclasses.replace(
            self, labels=indices, void_labels=(), merged=(), holds_ignore=True
        )

    def without_ignore(self) -> LabelMap:
        """Returns the same map for files that never hold the ignore label itself."""
        return dataclasses.replace(self, holds_ignore=False)

    def color_labels(self) -> dict[tuple[int, int, int], int]:
        """Returns the label of each colour, and an ignored label for void colours."""
        table = {color: self.ignored for color in self.void_colors}
        return table | {color: self.labels[index] for index, color in self._given_colors()}

    def double_colors(self) -> set[tuple[int, int, int]]:
        """Returns the colours that more than one class, or a class and void, have."""
        given = [color for _, color in self._given_colors()]
        counts = collections.Counter([*given, *set(self.void_colors)])
        return {color for color, count in counts.items() if count > 1}

    def unknown(self, labels: np.ndarray) -> list[int]:
        """Returns the values in `labels`, uint8, that are no class, not void, nor ignored."""
        found = np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256))
        return sorted(set(found.tolist()) - self._classes() - self._ignored())

    def known(self) -> str:
        """Returns the values that label files may have, for messages."""
        text = f"known are {ranges(self._classes())}"
        if self.void_labels:
            text += f", void {ranges(self.void_labels)}"
        return text + (f" and {self.ignore_label}" if self.holds_ignore else "")

    def _given_colors(self) -> list[tuple[int, tuple[int, int, int]]]:
        """Class index and colour of each class whose colour stands for it in masks."""
        return [pair for pair in enumerate(self.colors) if pair[0] not in self.colorless]

    def _classes(self) -> set[int]:
        return {*self.labels, *(label for label, _ in self.merged)}

    def _ignored(self) -> set[int]:
        return {*self.void_labels, *([self.ignore_label] if self.holds_ignore else [])}


def ranges(values: Iterable[int]) -> str:
    """Returns whole numbers in order as text: three or more in a row as `first to last`."""
    parts, values = [], sorted(set(values))
    while values:
        count = next((i for i, x in enumerate(values) if x != values[0] + i), len(values))
        count = count if count > 2 else 1
        parts.append(f"{values[0]} to {values[count - 1]}" if count > 1 else str(values[0]))
        values = values[count:]
    return ", ".join(parts)


def _parse(table: dict) -> LabelMap:
    """The label map of a file's content, checked."""
    if not isinstance(table, dict) or "classes" not in table:
        raise ValueError(f"no `classes` in it; {_FORM}")
    check_keys(table, KEYS, "the file")
    entries = list_of(table["classes"], "classes")
    classes = [_parse_class(number, entry) for number, entry in enumerate(entries, 1)]
    names, colors, labels, categories = zip(*classes) if classes else ((),) * 4
    void = tuple(
        label_of(x, "void_labels") for x in list_of(table.get("void_labels", ()), "void_labels")
    )
    ignore = table.get("ignore_label")
    holds_ignore = ignore is not None
    ignore = label_of(ignore, "ignore_label") if holds_ignore else 255
    if ignore == 0 and 0 not in {x for values in labels for x in values}:
        # What people mean by it: 0 is not labelled. Index 0 is a class in the batches.
        void, ignore, holds_ignore = (*{0: None} | dict.fromkeys(void),), 255, False
    label_map = LabelMap(
        names=names,
        colors=_completed(colors, labels),
        labels=tuple(values[0] for values in labels),
        void_labels=void,
        ignore_label=ignore,
        merged=tuple((x, i) for i, values in enumerate(labels) for x in values[1:]),
        void_colors=tuple(
            color_of(x, "void_colors") for x in list_of(table.get("void_colors", ()), "void_colors")
        ),
        categories=tuple(str(x) for x in categories if x is not None),
        holds_ignore=holds_ignore,
        colorless=frozenset(i for i, color in enumerate(colors) if color is None),
    )
    label_map.check()
    return label_map


def _parse_class(number: int, entry: dict) -> tuple:
    """Name, colour (or None), labels and category (or None) of one entry of `classes`."""
    if not isinstance(entry, dict):
        raise ValueError(f"class number {number}: {entry!r}; {_FORM}")
    check_keys(entry, CLASS_KEYS, f"class number {number}")
    name = f"number {number}"
    if "name" in entry:
        name = name_of(entry["name"], f"class {name}")
    where = f"class {name!r}" if "name" in entry else f"class {name}"
    missing = [key for key in ("name", "label") if key not in entry]
    if missing:
        raise ValueError(f"{where}: {missing[0]!r} is missing")
    label = entry["label"]
    labels = [label_of(x, where) for x in (label if isinstance(label, list) else [label])]
    if not labels:
        raise ValueError(f"{where}: label is an empty list; give what masks hold for it")
    color = color_of(entry["color"], where) if "color" in entry else None
    return name, color, labels, entry.get("category")


def _completed(colors: Iterable, labels: Iterable[list[int]]) -> tuple[tuple[int, int, int], ...]:
    """Colours with one of its own for each class that has None."""
    colors = [*colors]
    for index, values in enumerate(labels):
        if colors[index] is None:
            free = (distant_color(x) for x in (values[0], *range(1, 512)))
            colors[index] = next(color for color in free if color not in colors)
    return tuple(colors)


def distant_color(label: int) -> tuple[int, int, int]:
    """A colour that differs much from those of other labels: PASCAL VOC's, by the label's bits."""
    color = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            color[channel] |= (label >> (3 * place + channel) & 1) << (7 - place)
    return tuple(color)
