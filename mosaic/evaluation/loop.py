"""The loop over a split: every image is segmented and counted, and observers look at it."""

from __future__ import annotations

import dataclasses
import functools
import queue
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from mosaic.evaluation import metrics
from mosaic.utils.ahead import ahead
from mosaic.utils.progress import Progress
from mosaic.utils.segmentation_dataset import SegmentationDataset


@dataclasses.dataclass(frozen=True, eq=False)
class ScoredImage:
    """An image of a split with its truth and its prediction, which are only made when needed.

    Attributes:
      index: number of the image in its split.
      counts: int64 [classes, classes + 1], as `metrics.count_pixels` counts them, with a last
        column for predictions of no class.
      ignored_classes: classes whose pixels the protocol leaves out of the truth.
    """

    index: int
    counts: np.ndarray
    ignored_classes: Sequence[int]
    _name: Callable[[], str]
    _tensors: tuple[tf.Tensor, tf.Tensor, tf.Tensor]

    @functools.cached_property
    def name(self) -> str:
        """The image's name in its data set."""
        return self._name()

    @functools.cached_property
    def mean_iou(self) -> float | None:
        """Mean IoU of this image alone, 0 to 1; None where nothing is labelled."""
        return metrics.number(metrics.mean_iou(self.counts, self.ignored_classes))

    @functools.cached_property
    def image(self) -> np.ndarray:
        """Pixels, rounded to uint8 [height, width, 3]."""
        return np.rint(self._tensors[0].numpy()).astype(np.uint8)

    @functools.cached_property
    def truth(self) -> np.ndarray:
        """Class indices [height, width]."""
        return self._tensors[1].numpy()

    @functools.cached_property
    def predicted(self) -> np.ndarray:
        """Class indices [height, width]; the number of classes for predictions of no class."""
        return self._tensors[2].numpy()


class Observer(Protocol):
    """Looks at the images of an evaluation, one after the other in the split's order."""

    def see(self, image: ScoredImage) -> None:
        """Looks at an image."""


class ConfusionMatrix:
    """Observer that adds up the counts of all images.

    Attributes:
      matrix: int64 [classes, classes + 1], rows the truth, columns the prediction, the last for
        predictions of no class.
    """

    def __init__(self, num_classes: int):
        self.matrix = np.zeros([num_classes, num_classes + 1], np.int64)

    def see(self, image: ScoredImage) -> None:
        self.matrix += image.counts


def run(
    segment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    dataset: SegmentationDataset,
    split: str,
    observers: Sequence[Observer],
    batch_size: int = 1,
    ignored_classes: Sequence[int] = (),
    threads: int = 1,
    title: str = "evaluate",
) -> int:
    """Segments every image of a split once and shows it to the observers.

    Args:
      segment: function of a batch of images and labels, [batch, height, width, 3] and [batch,
        height, width] as the data set has them, that returns predictions: class indices [batch,
        height, width], the number of classes for none.
      dataset: data set to segment.
      split: name of the split.
      observers: observers that look at each image.
      batch_size: number of images in a batch, where all have one size.
      ignored_classes: classes whose pixels the protocol leaves out of the truth.
      threads: number of batches that are computed at the same time.
      title: name of the work in the progress line.

    Returns:
      The number of images.
    """
    count = _counter(dataset.num_classes, dataset.ignore_label)

    def score(images, labels):
        predicted = segment(images, labels)
        return images, labels, predicted, count(labels, predicted)

    done = 0
    with Progress(dataset.num_images(split), title, "image") as bar:
        batches = dataset.eval_batches(split, batch_size)
        for images, labels, predicted, counts in ahead(score, batches, threads):
            for at, image_counts in enumerate(counts.numpy()):
                index = done + at
                name = functools.partial(_name, dataset, split, index)
                tensors = images[at], labels[at], predicted[at]
                scored = ScoredImage(index, image_counts, ignored_classes, name, tensors)
                for observer in observers:
                    observer.see(scored)
            done += len(images)
            bar.update(len(images))
    return done


def side_by_side(
    segments: Sequence[tuple[str | None, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]]], each: int
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns a function for `run` that computes on whichever device is free.

    Args:
      segments: functions from images and labels to predictions, each with its device. A single one
        is returned as it is.
      each: number of batches that each of several computes at the same time.
    """
    if len(segments) == 1:
        return segments[0][1]
    free = queue.SimpleQueue()
    for place in [*segments] * each:
        free.put(place)

    def segment(images, labels):
        device, compute = place = free.get()
        try:
            with tf.device(device):
                return compute(images, labels)
        finally:
            free.put(place)

    return segment


def _name(dataset: SegmentationDataset, split: str, index: int) -> str:
    return dataset.image_id(split, index)


def _counter(num_classes: int, ignore_label: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A function of a batch of labels and predictions that counts the pixels of each image."""

    def count_image(pair):
        return metrics.count_pixels(*pair, num_classes, ignore_label, True)

    @tf.function(reduce_retracing=True)
    def count(labels, predicted):
        return tf.map_fn(count_image, (labels, predicted), fn_output_signature=tf.int64)

    return count
