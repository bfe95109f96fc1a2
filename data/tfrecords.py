"""TFRecords in the format of the Model Garden's segmentation input, as examples of a layout."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Sequence

import tensorflow as tf
from google.protobuf import message

from data.image_files import Content, Pair
from data.label_map import LabelMap

_IMAGE = "image/encoded"
_LABEL = "image/segmentation/class/encoded"
_NAMES = ("image/filename", "image/source_id")
_RECORDS = re.compile(r"\.tfrecords?($|-)|-\d{5}-of-\d{5}$")


def record_files(root: pathlib.Path) -> list[pathlib.Path]:
    """Returns the TFRecords of a folder by their names, sorted."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if _RECORDS.search(path.name) and path.is_file())


@dataclasses.dataclass(frozen=True)
class Records:
    """The examples of some TFRecords, read one after another in each iteration.

    An example's id is its `image/filename` or `image/source_id` without folders and suffixes, or
    else the file's name and its position there.

    Attributes:
      files: TFRecords of `tf.train.Example` with the features `image/encoded` and
        `image/segmentation/class/encoded`.
      suffix: suffix of image files, which is not part of the id.
      label_map: label map of the labels in the records.
      labelled: whether every example must have a label.
    """

    files: Sequence[pathlib.Path]
    suffix: str
    label_map: LabelMap
    labelled: bool = True

    def __iter__(self) -> Iterator[Pair]:
        for file in self.files:
            count = 0
            try:
                for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
                    yield self._pair(file, count, record)
                    count += 1
            except tf.errors.DataLossError:
                reason = f"damaged after {count} records; copy the file again"
                yield Pair(file.name, Content(str(file), problem=reason), None)

    def _pair(self, file: pathlib.Path, index: int, record: bytes) -> Pair:
        name = f"{file}, record {index}"
        try:
            found = tf.train.Example.FromString(record).features.feature
            values = {
                key: (found[key].bytes_list.value or [b""])[0]
                for key in (_IMAGE, _LABEL, *_NAMES)
                if key in found
            }
        except (ValueError, message.DecodeError):  # which of them hangs on protobuf's version
            return Pair(name, Content(name, problem="no tf.train.Example"), None)
        if not values.get(_IMAGE):
            shown = ", ".join(sorted(found)) or "none"
            return Pair(name, Content(name, problem=f"no {_IMAGE}; its features: {shown}"), None)
        named = [values[key].decode() for key in _NAMES if values.get(key)]
        stem = re.sub(r"\.(png|jpe?g)$", "", pathlib.PurePosixPath(named[0]).name if named else "")
        key = stem.removesuffix(self.suffix) or f"{file.name}_{index:06}"
        if named:
            name = f"{name} ({key})"
        label = Content(name, values[_LABEL]) if values.get(_LABEL) else None
        if label is None and self.labelled:
            label = Content(name, problem=f"no {_LABEL}")
        return Pair(key, Content(name, values[_IMAGE]), label, self.label_map)
