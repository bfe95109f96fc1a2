"""The labels of records that TFDS itself prepared: counted once, and kept beside own records."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import tensorflow_datasets as tfds

from data.counts import Counts
from data.records import readable, records_dir

_FOLDER = "counts"


def counted(builder: tfds.core.DatasetBuilder, split: str, label_key: str) -> Counts:
    """Returns the counts of a split, whose label files are read if they were not counted before.

    Images are not read, so that there is no digest, and their names are unknown.

    Args:
      builder: builder that is prepared in a random-access format.
      split: TFDS's name of the split, without `+`.
      label_key: name of the feature with the label.

    Raises:
      DataError: the records are damaged.
    """
    info = builder.info.splits[split]
    said = f"{builder.data_dir}\0{info.num_examples}\0{info.num_bytes}\0{label_key}"
    name = f"{builder.name}-{split}-{hashlib.sha256(said.encode()).hexdigest()[:12]}.json"
    file = pathlib.Path(records_dir()) / _FOLDER / name
    try:
        return Counts.from_json(json.loads(file.read_text()))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # not counted yet, or not whole
    print(f"{builder.data_dir}: counting the labels of {split}, once", file=sys.stderr)
    counts = Counts(digest=None)
    with readable(builder.data_dir):
        for label in _labels(builder, split, label_key):
            counts.add(f"{builder.data_dir}, {split}", label, True)
    _keep(file, counts)
    return counts


def _labels(builder: tfds.core.DatasetBuilder, split: str, label_key: str) -> Iterator[np.ndarray]:
    """The labels, uint8 [height, width]; nothing else is decoded."""
    features = builder.info.features
    skipped = {key: tfds.decode.SkipDecoding() for key in features if _is_image(features[key])}
    source = builder.as_data_source(split, decoders=skipped)

    def label(index: int) -> np.ndarray:
        content = np.frombuffer(source[index][label_key], np.uint8)
        return cv2.imdecode(content, cv2.IMREAD_UNCHANGED)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(source), _AT_ONCE):
            yield from pool.map(label, range(start, min(start + _AT_ONCE, len(source))))


_AT_ONCE = 64  # labels in memory


def _is_image(feature: tfds.features.FeatureConnector) -> bool:
    return isinstance(feature, tfds.features.Image)


def _keep(file: pathlib.Path, counts: Counts) -> None:
    """Writes counts; where that is not possible they are counted again the next time."""
    aside = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(counts.to_json()))
        aside.replace(file)
    except OSError:
        aside.unlink(missing_ok=True)
