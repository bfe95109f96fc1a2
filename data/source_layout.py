"""The files found in a data set's folder, to be checked or to be written into records."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Iterable
from typing import ClassVar

import tensorflow_datasets as tfds

from data.errors import DataError
from data.image_files import Pair
from data.label_map import LabelMap
from data.reading import Reading, refuse
from data.records import (
    Info,
    encode_label,
    fingerprint,
    png_features,
    prepare,
    readable,
    records_dir,
)


@dataclasses.dataclass
class Layout:
    """Images and labels of a data set, before anything is read.

    Attributes:
      name: name of the data set, for its records.
      root: folder that the user named.
      label_map: label map of the label files.
      splits: examples by TFDS's name of the split; records are ordered by a hash of the split's
        name and the example's id, whatever file the example is from.
      files: files on disk that the examples are in; when one changes, new records are written.
      problems: problems of the folder itself, one line each.
      strays: masks without an image, one line each; they do not stop the preparation, but are
        probably a mistake.
      grey: whether images of one channel are allowed.
      upright: whether images that their metadata rotates are wrong.
      prepared: records that TFDS itself made, in the place of files; None without any.
    """

    name: str
    root: pathlib.Path
    label_map: LabelMap
    splits: dict[str, Iterable[Pair]] = dataclasses.field(default_factory=dict)
    files: list[pathlib.Path] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    strays: list[str] = dataclasses.field(default_factory=list)
    grey: bool = False
    upright: bool = False
    prepared: tfds.core.DatasetBuilder | None = None

    def add(self, split: str, pairs: list[Pair]) -> None:
        """Adds a split of files on disk; an id that occurs twice is a problem."""
        self.splits[split] = pairs
        for name, count in collections.Counter(pair.id for pair in pairs).items():
            if count > 1:
                self.problems.append(
                    f"{self.root}: {count} images of {split} are called {name}; keep one"
                )

    def reading(self, seen: Callable[[], None] | None = None) -> Reading:
        """Returns a reading of all examples, see there for `seen`; nothing is read yet."""
        return Reading(self.splits, self.label_map, self.grey, self.upright, seen)

    def prepare(self, reading: Reading | None = None) -> tfds.core.DatasetBuilder:
        """Returns the builder of the records, which are written if they are not there yet.

        Args:
          reading: reading through which the files are read if they are, from `reading`.

        Raises:
          Problems: the folder has problems, or files have; all of them are told.
          DataError: the records are damaged or cannot be written.
        """
        refuse(self.problems)
        # The examples of a split depend on lists, which are not among the examples' files.
        splits = [
            (split, [pair.id for pair in pairs] if isinstance(pairs, list) else None)
            for split, pairs in self.splits.items()
        ]
        settings = repr((self.label_map, self.grey, splits))
        config = RecordsConfig(
            name=f"{self.name}-{fingerprint(self.root, sorted(set(self.files)), settings)}",
            layout=self,
            reading=reading or self.reading(),
        )
        records = prepare(SegmentationRecords, records_dir(), config)
        with readable(records.data_dir):
            if "counts" not in (records.info.metadata or {}):
                raise FileNotFoundError("metadata.json is missing")
        return records


@dataclasses.dataclass
class RecordsConfig(tfds.core.BuilderConfig):
    """The records of one folder; their name has its fingerprint."""

    # TFDS logs the configuration; a layout lists thousands of files.
    layout: Layout | None = dataclasses.field(default=None, repr=False)
    reading: Reading | None = dataclasses.field(default=None, repr=False)


class SegmentationRecords(tfds.core.GeneratorBasedBuilder):
    """Images and labels as TFDS records; every file is checked on the way in.

    Images stay the files they are; labels become PNG of one channel (`encode_label`). What is
    counted on the way (`data.counts.Counts`) is kept in the records' metadata, by split.
    """

    VERSION = tfds.core.Version("1.1.0")
    BUILDER_CONFIGS: ClassVar[list] = []

    def _info(self) -> tfds.core.DatasetInfo:
        return Info(
            builder=self,
            description="Images and label images for semantic segmentation.",
            features=png_features((None, None)),
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        layout = self.builder_config.layout
        self.info.metadata["root"] = str(layout.root)
        self.info.metadata["counts"] = {}
        self._sizes = set()
        return {split: self._generate_examples(split) for split in layout.splits}

    def _generate_examples(self, split: str):
        reading, root = self.builder_config.reading, self.builder_config.layout.root
        for pair, image, labels in reading.examples(split):
            if reading.faults:
                break  # nothing is kept: the rest is read for its faults alone
            yield pair.id, {"image": image, "label": encode_label(labels), "id": pair.id}
        if reading.faults:
            reading.finish()
            refuse(reading.problems())
        if not reading.images[split]:
            raise DataError(f"{root}: no examples of {split} in its files; copy them again")
        counts = reading.counts[split]
        self._sizes |= set(counts.sizes)
        size = list(*self._sizes) if len(self._sizes) == 1 else None
        self.info.metadata["image_size"] = size
        self.info.metadata["counts"][split] = counts.to_json()
