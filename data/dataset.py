"""A data set as the rest of the project uses it: attributes, examples and batches."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import cv2
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data.counts import Counts
from data.errors import DataError
from data.label_count import counted
from data.label_map import LabelMap
from data.pipeline import Augment, Shard, eval_batches, train_batches
from data.records import readable
from data.resize_and_pad import Fit


class Dataset:
    """Images and labels of a TFDS builder under a label map.

    Args:
      builder: TFDS builder, prepared in a random-access format (`prepare`).
      label_map: classes, their colours, and the class of each label.
      splits: TFDS's name of each split, or several joined by `+`, by this project's name (`train`,
        `val`, `test`).
      augment: augmentation of training examples; None for a data set that is only evaluated.
      image_key: name of the builder's feature with the image.
      label_key: name of the builder's feature with the label, [height, width, 1].
      id_key: name of the builder's feature with the image's name.
      name: name for reports; the builder's own if None.
      fit: resizing of images and labels in evaluation; they keep their sizes if None.
    """

    def __init__(
        self,
        builder: tfds.core.DatasetBuilder,
        label_map: LabelMap,
        splits: Mapping[str, str],
        augment: Augment | None = None,
        image_key: str = "image",
        label_key: str = "label",
        id_key: str = "id",
        name: str | None = None,
        fit: Fit | None = None,
    ):
        self.name = name or builder.name
        self.label_map = label_map
        self.augment = augment
        self._builder = builder
        self._fit = fit
        there = set(builder.info.splits)
        self._splits = {k: v for k, v in splits.items() if set(v.split("+")) <= there}
        self._keys = (image_key, label_key, id_key)

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.label_map.names

    @property
    def colors(self) -> tuple[tuple[int, int, int], ...]:
        return self.label_map.colors

    @property
    def categories(self) -> tuple[str, ...]:
        """The category of each class; empty without any."""
        return self.label_map.categories

    @property
    def label_values(self) -> tuple[int, ...]:
        """The value of each class in the label files: in Cityscapes, label ids."""
        return self.label_map.labels

    @property
    def ignore_label(self) -> int:
        return self.label_map.ignore_label

    @property
    def num_classes(self) -> int:
        return len(self.label_map.names)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits of this data set."""
        return tuple(self._splits)

    def num_images(self, split: str) -> int:
        """Returns the number of images of a split."""
        return self._builder.info.splits[self._split(split)].num_examples

    def fingerprint(self, split: str) -> str:
        """Returns what tells a split's images and classes from others.

        It is the digest of their content where it was counted, the same for every form of the
        files; of records of others, the number of their bytes.
        """
        counts = self.counts(split)
        if counts is not None and counts.fingerprint:
            return counts.fingerprint
        parts = self._split(split).split("+")
        return f"{sum(self._builder.info.splits[part].num_bytes for part in parts)} bytes"

    @functools.cached_property
    def image_size(self) -> tuple[int, int] | None:
        """(height, width) of every image in evaluation, or None where they differ."""
        return self._fit.size if self._fit else self._size

    @property
    def crop_size(self) -> tuple[int, int]:
        """(height, width) of training examples."""
        return self._augmentation().crop_size

    def counts(self, split: str) -> Counts | None:
        """Returns what was counted when the records were written; None for records of others."""
        found = (self._builder.info.metadata or {}).get("counts")
        if not found:
            return None
        parts = [Counts.from_json(found[part]) for part in self._split(split).split("+")]
        return sum(parts[1:], parts[0])

    def surveyed(self, split: str) -> Counts | None:
        """Returns `counts`, or where these lack, those of the labels, which are read then.

        None for labels that are no images of one 8-bit channel.
        """
        found, label = self.counts(split), self._builder.info.features[self._keys[1]]
        if found is not None or not _is_labels(label):
            return found
        names = self._split(split).split("+")
        parts = [counted(self._builder, name, self._keys[1]) for name in names]
        return sum(parts[1:], parts[0])

    @property
    def root(self) -> str:
        """What the examples were made from, or else the folder of the records, for messages."""
        return (self._builder.info.metadata or {}).get("root") or str(self._builder.data_dir)

    def check_labels(self, split: str) -> list[str]:
        """Checks by the counts that a split can be learnt from and scored on.

        Returns:
          Lines on what is seldom meant: classes that the training split lacks, images that another
          split has too.

        Raises:
          DataError: hardly a pixel of the split has a class.
        """
        counts = self.surveyed(split)
        if counts is None:
            return []
        fault = counts.fault(self.label_map)
        if fault:
            raise DataError(f"{self.root}: {split}: {fault}")
        return [f"{self.root}: {split}: {line}" for line in counts.remarks(self.label_map, split)]

    def first_of_sizes(self, split: str) -> dict[tuple[int, int], str]:
        """Returns the name of an image file for each (height, width) in evaluation, as counted."""
        counts = self.counts(split)
        if counts is None:
            return {}
        return {self._fit.size: next(iter(counts.first.values()))} if self._fit else counts.first

    def image_id(self, split: str, index: int) -> str:
        """Returns the name of an image of a split."""
        with readable(self._builder.data_dir):
            record = self._source(split).data_source[index]
        found = tf.train.Example.FromString(record).features.feature.get(self._keys[2])
        return found.bytes_list.value[0].decode() if found else f"{index:06}"

    def example(self, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns one image and its class indices as for evaluation.

        They are uint8 [height, width, 3] and [height, width]; pixels are rounded.
        """
        image, label = self._load(split, self._fit)(tf.constant(index, tf.int64))
        return np.rint(image.numpy()).astype(np.uint8), label.numpy()

    def train_batches(
        self,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        context: tf.distribute.InputContext | None = None,
        split: str = "train",
    ) -> tf.data.Dataset:
        """Returns the stream of `data.pipeline.train_batches` over a split of this data set."""
        return train_batches(
            self._load(split),
            self.num_images(split),
            self._augmentation(),
            self.ignore_label,
            batch_size,
            seed,
            start_step,
            Shard.of(context),
        )

    def eval_batches(
        self,
        split: str,
        batch_size: int = 1,
        context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """Returns all images of a split once, in order (`data.pipeline.eval_batches`).

        Pixels are float32 where they are resized as in research/deeplab (`data.resize_and_pad`).
        The batch is divided among the workers and the replicas of each; each replica gets 1 where
        images differ in size.
        """
        shard = Shard.of(context)
        each = max(1, batch_size // shard.all_replicas) if self.image_size else 1
        return eval_batches(
            self._load(split, self._fit),
            self.num_images(split),
            each,
            self.ignore_label,
            shard,
        )

    @functools.cached_property
    def _size(self) -> tuple[int, int] | None:
        """(height, width) of every image in the records, or None where they differ."""
        size = (self._builder.info.metadata or {}).get("image_size")
        size = size or self._builder.info.features[self._keys[0]].shape[:2]
        return None if None in size else tuple(size)

    def _augmentation(self) -> Augment:
        if self.augment is None:
            raise DataError(f"{self.name}: training needs an `augment` (see configs/datasets)")
        return self.augment

    def _split(self, split: str) -> str:
        if split not in self._splits:
            raise DataError(
                f"{self.name} has no split {split!r}; there are {', '.join(self._splits)}; name "
                "one of these (Evaluation.split), or add its files"
            )
        return self._splits[split]

    @functools.cache  # noqa: B019 - a data set lives as long as the process
    def _source(self, split: str):
        # Only `_load` decodes images: to read an image's name, it need not be decoded.
        skipped = {key: tfds.decode.SkipDecoding() for key in self._keys[:2]}
        name = self._split(split)
        with readable(self._builder.data_dir):
            return self._builder.as_data_source(name, decoders=skipped)

    @functools.cache  # noqa: B019
    def _load(self, split: str, fit: Fit | None = None):
        """A graph function from a record index to (image, label)."""
        records = self._source(split).data_source
        features = self._builder.info.features
        table = self.label_map.lookup()
        image_key, label_key, _ = self._keys
        size = self._size or (None, None)

        def read(index):
            with readable(self._builder.data_dir):
                return records[int(index)]

        def lookup(label):
            return cv2.LUT(label, table)

        def load(index):
            record = tf.numpy_function(read, [index], tf.string, stateful=False)
            example = features.deserialize_example(tf.ensure_shape(record, []))
            image = tf.ensure_shape(example[image_key], [*size, 3])
            label = tf.numpy_function(
                lookup, [example[label_key][..., 0]], tf.uint8, stateful=False
            )
            label = tf.ensure_shape(label, size)
            return fit(image, label) if fit else (image, label)

        return load


def _is_labels(feature: tfds.features.FeatureConnector) -> bool:
    is_image = isinstance(feature, tfds.features.Image)
    return is_image and feature.shape[-1] == 1 and feature.np_dtype == np.uint8
