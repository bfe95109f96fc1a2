"""The contract between networks and data sets: what a data set must have, and nothing more.

`data.dataset.Dataset` fulfils it; so may any object of the user's. The two sides do not import each
other: a gin file connects them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class SegmentationDataset(Protocol):
    """Images of several splits with a class for each pixel.

    Attributes:
      name: name of the data set, for reports.
      class_names: name of each class, in the order of class indices.
      colors: colour of each class, RGB in 0..255.
      categories: category of each class; empty without any.
      label_values: value of each class in the data set's own label files.
      num_classes: number of classes.
      ignore_label: class index of pixels that are not labelled; no class has it.
      splits: names of the splits, such as `train` and `val`.
      image_size: (height, width) of every image in evaluation, or None where they differ.
      crop_size: (height, width) of training examples.
      augment: random changes of training examples, or None where there is no training.
    """

    name: str
    class_names: Sequence[str]
    colors: Sequence[tuple[int, int, int]]
    categories: Sequence[str]
    label_values: Sequence[int]
    num_classes: int
    ignore_label: int
    splits: Sequence[str]
    image_size: tuple[int, int] | None
    crop_size: tuple[int, int]
    augment: Any

    def num_images(self, split: str) -> int:
        """Returns the number of images of a split."""

    def image_id(self, split: str, index: int) -> str:
        """Returns the name of an image of a split."""

    def example(self, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns an image and its class indices as for evaluation.

        They are uint8 [height, width, 3] and [height, width].
        """

    def train_batches(
        self, batch_size: int, seed: int, start_step: int = 0, context: Any = None
    ) -> Iterable[tuple[Any, Any]]:
        """Returns the endless stream of training batches from a step on.

        Args:
          batch_size: number of examples in a step, over all workers and replicas.
          seed: seed of the order and the augmentation.
          start_step: step of the first batch.
          context: `tf.distribute.InputContext` of the worker whose part is wanted; None for all.

        Returns:
          A `tf.data.Dataset` of (uint8 [batch, height, width, 3], uint8 [batch, height, width]).
        """

    def eval_batches(
        self, split: str, batch_size: int = 1, context: Any = None
    ) -> Iterable[tuple[Any, Any]]:
        """Returns all images of a split once, in order.

        Args:
          split: name of the split.
          batch_size: number of images in a step, over all workers and replicas; 1 for each where
            images differ in size.
          context: `tf.distribute.InputContext`, as for `train_batches`.

        Returns:
          A `tf.data.Dataset` of batches like those of `train_batches`; images may be float32 in
          0..255 too.
        """


@runtime_checkable
class SurveyedDataset(Protocol):
    """A data set that has counted what its files hold; not every data set can."""

    def fingerprint(self, split: str) -> str:
        """Returns what tells a split's images and classes from others."""

    def check_labels(self, split: str) -> Sequence[str]:
        """Checks that a split can be learnt from and scored on.

        Returns:
          Lines on what is seldom meant, such as classes that the training split lacks.

        Raises:
          An error with `exit_code` 2: hardly a pixel of the split has a class.
        """

    def first_of_sizes(self, split: str) -> Mapping[tuple[int, int], str]:
        """Returns an image file's name for each (height, width) in evaluation; empty if unknown."""


def sizes_in(dataset: SegmentationDataset, split: str) -> dict[tuple[int, int], str]:
    """Returns an image's name for each (height, width) in a split, as far as they are known."""
    found = {}
    if isinstance(dataset, SurveyedDataset) and split in dataset.splits:
        found = dict(dataset.first_of_sizes(split))
    if dataset.image_size:
        found.setdefault(tuple(dataset.image_size), f"{dataset.name} {split}")
    return found
