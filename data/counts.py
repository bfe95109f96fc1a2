"""What a split holds, counted once when its files are read, and what can be told from it."""

from __future__ import annotations

import collections
import dataclasses
import hashlib

import numpy as np

from data.label_map import LabelMap, ranges
from data.masks import percent

# Least share of pixels with a class that a split can be learnt from or scored on.
_LEAST_LABELLED = 1e-3
# Of masks that hold as many class indices as `_MANY` and no label beyond them, this share at least
# must have a class: with train ids taken for label ids, road and building are ignored.
_LEAST_OF_LABELS, _MANY = 0.5, 5
# Number of values and of classes that are shown in messages.
_SHOWN = 5
_DIGESTS = 2**128


@dataclasses.dataclass
class Counts:
    """The content of a split, by values in label files; classes are those of a label map.

    Attributes:
      labels: number of pixels of each value, int64 [256].
      sizes: number of images of each (height, width), in pixels.
      first: name of the first image file of each size.
      unlabelled: number of images without a label file.
      shared: number of images whose file, to the byte, is in a split before this one too.
      twins: name of the first of these images, and of the same file in the split before.
      digest: sum of the digests of all examples, modulo 2**128: the same in any order; None where
        it was not kept.
    """

    labels: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(256, np.int64))
    sizes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    first: dict[tuple[int, int], str] = dataclasses.field(default_factory=dict)
    unlabelled: int = 0
    digest: int | None = 0
    shared: int = 0
    twins: tuple[str, str] | None = None

    def add(self, name: str, labels: np.ndarray, has_labels: bool) -> None:
        """Counts one example.

        Args:
          name: name of the image file.
          labels: values of the label file, uint8 [height, width]; ignored ones where it lacks.
          has_labels: whether there is a label file.
        """
        self.labels += np.bincount(labels.ravel(), minlength=256)
        self.sizes[labels.shape] += 1
        self.first.setdefault(labels.shape, name)
        self.unlabelled += not has_labels

    def share(self, name: str, twin: str) -> None:
        """Notes that an image, of this name, is in a split before too, under a twin's."""
        self.shared += 1
        self.twins = self.twins or (name, twin)

    def fold(self, key: str, image: bytes, classes: np.ndarray) -> None:
        """Adds an example to the digest.

        Args:
          key: id of the example.
          image: content of the image file.
          classes: class indices, uint8 [height, width]: the same from each form of the label files.
        """
        found = hashlib.blake2b(f"{key}\0{classes.shape}\0".encode(), digest_size=16)
        found.update(image)
        found.update(np.ascontiguousarray(classes).data)
        self.digest = (self.digest + int.from_bytes(found.digest(), "big")) % _DIGESTS

    def __add__(self, other: Counts) -> Counts:
        digests = (self.digest, other.digest)
        return Counts(
            self.labels + other.labels,
            self.sizes + other.sizes,
            other.first | self.first,
            self.unlabelled + other.unlabelled,
            None if None in digests else sum(digests) % _DIGESTS,
            self.shared + other.shared,
            self.twins or other.twins,
        )

    def to_json(self) -> dict:
        """Returns the counts in types that JSON has."""
        return {
            "labels": self.labels.tolist(),
            "sizes": [[*size, n, self.first[size]] for size, n in self.sizes.items()],
            "unlabelled": self.unlabelled,
            "digest": self.fingerprint,
            "shared": [self.shared, *(self.twins or ())],
        }

    @classmethod
    def from_json(cls, table: dict) -> Counts:
        """Returns what `to_json` wrote."""
        sizes = [((height, width), n, name) for height, width, n, name in table["sizes"]]
        return cls(
            np.array(table["labels"], np.int64),
            collections.Counter({size: n for size, n, _ in sizes}),
            {size: name for size, _, name in sizes},
            table["unlabelled"],
            int(table["digest"], 16) if table.get("digest") else None,
            table.get("shared", [0])[0],
            tuple(table.get("shared", [0])[1:]) or None,
        )

    @property
    def fingerprint(self) -> str | None:
        """32 hex digits that tell one set of images and classes from another; None if not kept."""
        return None if self.digest is None else f"{self.digest:032x}"

    def pixels(self, label_map: LabelMap) -> np.ndarray:
        """Returns the number of pixels of each class, int64 [classes]."""
        found = np.zeros(257, np.int64)
        np.add.at(found, label_map.lookup(), self.labels)
        return found[: len(label_map.names)]

    def fault(self, label_map: LabelMap) -> str | None:
        """Returns what is wrong with a split's labels; None for those that can be right.

        Hardly a pixel has a class, or the masks seem to hold class indices instead of labels.
        """
        total, images = int(self.labels.sum()), self.sizes.total()
        labelled = int(self.pixels(label_map).sum())
        is_indices = self._are_indices(label_map) and labelled < _LEAST_OF_LABELS * total
        if not total or (labelled >= _LEAST_LABELLED * total and not is_indices):
            return None
        if self.unlabelled == images:
            return (
                "none of its images has a mask; nothing can be learnt from it or scored on it "
                "(predict.py segments images without masks)"
            )
        order = np.argsort(-self.labels, kind="stable")
        shown = [
            f"{x} ({percent(self.labels[x], total)})" for x in order[:_SHOWN] if self.labels[x]
        ]
        return (
            f"{percent(labelled, total)} of the pixels have a class; the masks hold "
            f"{', '.join(shown)}; {label_map.known()}; {self._meaning(label_map)}"
        )

    def _are_indices(self, label_map: LabelMap) -> bool:
        """Whether masks hold many class indices and none of the labels beyond these."""
        values = set(np.flatnonzero(self.labels).tolist())
        indices = set(range(len(label_map.names)))
        beyond = set(label_map.labels) - indices
        inside = values <= indices | {label_map.ignore_label}
        return inside and bool(beyond) and len(values & indices) >= _MANY

    def _meaning(self, label_map: LabelMap) -> str:
        """What masks that hold only values to be ignored probably are."""
        values = set(np.flatnonzero(self.labels).tolist())
        indices = set(range(len(label_map.names)))
        if values <= {0}:
            return "masks of nothing but 0 are often empty exports; export them again"
        if values <= indices | {label_map.ignore_label} and values & indices:
            return (
                "these look like class indices (train ids), which are no labels here; use the "
                "files with labels, or a label map whose labels are the class indices"
            )
        return f"{ranges(values)} are ignored; correct the label map, or export the masks again"

    def remarks(self, label_map: LabelMap, split: str) -> list[str]:
        """Returns lines on what is seldom meant: absent classes, images of another split."""
        lines = [self.absent(label_map) if split == "train" else None, self.leak()]
        return [line for line in lines if line]

    def leak(self) -> str | None:
        """Returns a line on images that another split has too; None where there are none."""
        if not self.twins:
            return None
        name, twin = self.twins
        are = "is" if self.shared == 1 else "are"
        return (
            f"{self.shared} of {self.sizes.total()} images {are} in another split too "
            f"({name} is {twin}); a score on images that were trained on says little of others"
        )

    def absent(self, label_map: LabelMap) -> str | None:
        """Returns a line on the classes without a single pixel; None where all occur."""
        pixels = self.pixels(label_map)
        names = [
            f"{name} (label {label})"
            for name, label, count in zip(label_map.names, label_map.labels, pixels, strict=True)
            if not count
        ]
        if not names:
            return None
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"no pixel of {', '.join(names[:_SHOWN])}{more}, which cannot be learnt"
