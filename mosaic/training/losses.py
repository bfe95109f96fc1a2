"""The segmentation loss: cross-entropy over labelled pixels, at the labels' own size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

import gin
import tensorflow as tf

from mosaic.training.loss_by_image import ByImage, Part
from mosaic.utils.errors import UserError
from mosaic.utils.segmentation_dataset import SegmentationDataset
from mosaic.utils.settings import (
    ABOVE_0_TO_1,
    AT_LEAST_0,
    BELOW_1,
    LOSSES,
    check_arguments,
    one_of,
)

# The Model Garden's `SegmentationLoss` adds this to the number of pixels, so that the loss of a
# batch without a single labelled pixel is 0; equal losses need the same constant.
EPSILON = 1e-5

# Ignore label of a loss that got no other from the configuration or a data set.
_IGNORED = 255

# What `CrossEntropy` averages together.
NORMALIZATIONS = ("replica", "image", "batch")


class Loss(Protocol):
    """A function that training minimises."""

    def __call__(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Computes the loss of one batch.

        Args:
          labels: class indices [batch, height, width], any integer type.
          logits: [batch, h, w, classes].

        Returns:
          A float32 scalar.
        """


def settle(loss: Loss, dataset: SegmentationDataset) -> None:
    """Gives a loss the ignore label of its data set, and checks that the two fit.

    Args:
      loss: loss of this module, or any callable; one without an ignore label is not changed.
      dataset: data set with the ignore label and the number of classes.

    Raises:
      UserError: the loss was set to another ignore label, or the number of its class weights is not
        the number of classes.
    """
    for part in getattr(loss, "losses", ()):
        settle(part, dataset)
    name, label = type(loss).__name__, dataset.ignore_label
    if getattr(loss, "ignore_label", label) is None:
        loss.ignore_label = label
    if getattr(loss, "ignore_label", label) != label:
        raise UserError(
            f"{name}.ignore_label = {loss.ignore_label}: the ignore label of {dataset.name} is "
            f"{label}; leave the setting out, or set it to that"
        )
    weights = getattr(loss, "class_weights", None)
    if weights is not None and len(weights) != dataset.num_classes:
        raise UserError(
            f"{name}.class_weights has {len(weights)} values, and {dataset.name} has "
            f"{dataset.num_classes} classes; give one for each"
        )


@gin.configurable(module="losses")
class CrossEntropy(ByImage):
    """Softmax cross-entropy, averaged over the pixels whose label is not the ignore label.

    The values are those of the Garden's `SegmentationLoss` with `use_groundtruth_dimension`, but
    computed from class indices instead of one-hot labels, which at full resolution take several
    times as much memory and time.

    Args:
      ignore_label: label of pixels that are not counted; None for the data set's (`settle`).
      class_weights: factor of each class for its pixels' losses, or None. As in the Garden, the sum
        is divided by the number of pixels, not by the sum of their weights.
      label_smoothing: fraction of the probability that is spread evenly over the classes, 0 to 1.
      top_k: fraction of the pixels that is counted, those with the largest losses, 0 to 1; 1 for
        all. They are chosen among those that are averaged together.
      normalization: pixels that are averaged together. `replica`: all of a replica, whose means are
        then averaged, as in the Garden. `image`: those of an image, so that every image weighs the
        same, as with one image a replica; the loss then does not depend on how many replicas share
        a batch. `batch`: all of the global batch, so that every pixel weighs the same.
    """

    def __init__(
        self,
        ignore_label: int | None = None,
        class_weights: Sequence[Annotated[float, AT_LEAST_0]] | None = None,
        label_smoothing: Annotated[float, BELOW_1] = 0.0,
        top_k: Annotated[float, ABOVE_0_TO_1] = 1.0,
        normalization: Annotated[str, one_of(NORMALIZATIONS)] = "replica",
    ):
        check_arguments(CrossEntropy, locals())
        self.ignore_label = ignore_label
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing
        self.top_k = top_k
        self.normalization = normalization
        # Labels of the batch that a batch is a part of, and its share: see `accumulation.of_part`.
        self.whole, self.share = None, 1.0

    def measure(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Sums the losses of each image's pixels, or returns all of them where `top_k` needs them.

        Args:
          labels: class indices [batch, height, width], any integer type.
          logits: [batch, height, width, classes], float32.

        Returns:
          Sums [batch], or losses [batch, pixels], where the hardest are chosen from several images.

        Raises:
          ValueError: the number of class weights is not the number of classes.
        """
        classes = logits.shape[-1]
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(f"{len(self.class_weights)} class weights for {classes} classes")
        labels = tf.cast(labels, tf.int32)
        valid = _valid(labels, self.ignore_label)
        known = tf.where(valid, labels, 0)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=known, logits=logits)
        if self.label_smoothing:
            uniform = tf.reduce_logsumexp(logits, -1) - tf.reduce_mean(logits, -1)
            losses = (1.0 - self.label_smoothing) * losses + self.label_smoothing * uniform
        if self.class_weights is not None:
            losses *= tf.gather(tf.constant(self.class_weights, tf.float32), known)
        losses = tf.where(valid, losses, 0.0)
        losses = tf.reshape(losses, [tf.shape(losses)[0], -1])
        if self.chooses_across_images:
            return losses
        return tf.reduce_sum(self._hardest(losses), -1)

    def count(self, labels: tf.Tensor) -> tf.Tensor:
        """Counts the pixels that are averaged together: of each image [batch], or of all."""
        if self.normalization != "image" and self.whole is not None:
            labels = self.whole
        counts = tf.map_fn(self._num_valid, labels, fn_output_signature=tf.float32)
        if self.normalization == "image":
            if self.top_k < 1.0:
                pixels = tf.cast(tf.size(labels[0]), tf.float32)
                counts = tf.minimum(counts, tf.floor(self.top_k * pixels))
            return counts
        count = tf.reduce_sum(counts)
        if self.top_k < 1.0:
            count = tf.minimum(count, tf.cast(self._num_hardest(tf.size(labels)), tf.float32))
        if self.normalization == "batch":
            # The trainer averages over replicas: with their mean count that is the batch's mean.
            context = tf.distribute.get_replica_context()
            count = context.all_reduce(tf.distribute.ReduceOp.MEAN, count)
        return count

    def total(self, counted: tf.Tensor, measured: tf.Tensor) -> tf.Tensor:
        """Computes the loss of a batch, a float32 scalar, from `count` and `measure` of it."""
        if self.normalization == "image":
            return tf.reduce_mean(measured / (counted + EPSILON))
        if self.chooses_across_images:
            measured = self._hardest(tf.reshape(measured, [-1]))
        return tf.reduce_sum(measured) / (self.share * (counted + EPSILON))

    def slopes(self, counted: tf.Tensor, images: tf.Tensor) -> tf.Tensor | None:
        """Computes the gradient of `total` by `measured`; None where it depends on `measured`."""
        if self.chooses_across_images:
            return None
        sums = tf.zeros([images])
        with tf.GradientTape() as tape:
            tape.watch(sums)
            loss = self.total(counted, sums)
        return tape.gradient(loss, sums)

    @property
    def chooses_across_images(self) -> bool:
        """Whether the pixels that count are the hardest of several images."""
        return self.top_k < 1.0 and self.normalization != "image"

    def _hardest(self, losses: tf.Tensor) -> tf.Tensor:
        """The largest losses along the last axis, as many as `top_k` says."""
        if self.top_k == 1.0:
            return losses
        kept = self._num_hardest(tf.shape(losses)[-1])
        return tf.math.top_k(losses, kept, sorted=False)[0]

    def _num_hardest(self, pixels: tf.Tensor) -> tf.Tensor:
        return tf.cast(self.top_k * tf.cast(pixels, tf.float32), tf.int32)

    def _num_valid(self, labels: tf.Tensor) -> tf.Tensor:
        """The number of pixels that are counted."""
        valid = _valid(tf.cast(labels, tf.int32), self.ignore_label)
        return tf.reduce_sum(tf.cast(valid, tf.float32))


@gin.configurable(module="losses")
class SoftJaccard(ByImage):
    """One minus the mean IoU of a batch, with probabilities in place of predicted classes.

    Every class that occurs in the batch counts the same, however few its pixels, as it does in
    mean IoU. A companion of cross-entropy, which alone gives rare classes little weight (Rahman
    and Wang, "Optimizing Intersection-Over-Union in Deep Neural Networks", 2016).

    Args:
      weight: factor of the loss.
      ignore_label: label of pixels that are not counted, as for `CrossEntropy`.
    """

    def __init__(self, weight: Annotated[float, AT_LEAST_0] = 1.0, ignore_label: int | None = None):
        check_arguments(SoftJaccard, locals())
        self.weight = weight
        self.ignore_label = ignore_label

    def measure(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Sums what IoU needs: for each class shared and predicted probability, and its pixels.

        Args:
          labels: class indices [batch, height, width], any integer type.
          logits: [batch, height, width, classes], float32.

        Returns:
          Sums [batch, 3, classes].
        """
        labels = tf.cast(labels, tf.int32)
        classes = logits.shape[-1]
        valid = _valid(labels, self.ignore_label)
        # The ignore label becomes -1, which is one-hot encoded as zeros for all classes.
        truth = tf.one_hot(tf.where(valid, labels, -1), classes)
        probabilities = tf.nn.softmax(logits) * tf.cast(valid, tf.float32)[..., tf.newaxis]
        maps = probabilities * truth, probabilities, truth
        return tf.stack([tf.reduce_sum(pixels, [1, 2]) for pixels in maps], 1)

    def count(self, labels: tf.Tensor) -> None:
        """None: what is measured has the pixels of each class."""

    def total(self, counted: None, measured: tf.Tensor) -> tf.Tensor:
        """Computes the loss of a batch, 0 to `weight`, from what `measure` returned for it."""
        both, predicted, pixels = tf.unstack(tf.reduce_sum(measured, 0))
        occurs = tf.cast(pixels > 0, tf.float32)
        iou = tf.math.divide_no_nan(both, predicted + pixels - both)
        mean = tf.math.divide_no_nan(tf.reduce_sum(occurs * iou), tf.reduce_sum(occurs))
        return self.weight * tf.where(tf.reduce_any(pixels > 0), 1.0 - mean, 0.0)

    def slopes(self, counted: None, images: tf.Tensor) -> None:
        """None: how the loss depends on an image depends on the other images."""


@gin.configurable(module="losses")
class SumOfLosses:
    """The sum of several losses of the same (labels, logits)."""

    def __init__(self, losses: Annotated[Sequence[Loss], LOSSES]):
        check_arguments(SumOfLosses, locals())
        self.losses = tuple(losses)

    def __call__(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return tf.add_n([loss(labels, logits) for loss in self.losses])


def parts_of(loss: Loss) -> list[Part] | None:
    """Returns the losses of this module that a loss is the sum of, or None for any other."""
    if isinstance(loss, SumOfLosses):
        found = [parts_of(part) for part in loss.losses]
        return None if None in found else [part for parts in found for part in parts]
    # A class derived from one of these may compute something else.
    return [loss] if type(loss) in (CrossEntropy, SoftJaccard) else None


def _valid(labels: tf.Tensor, ignore_label: int | None) -> tf.Tensor:
    """Whether each pixel is counted, in the shape of `labels`."""
    return tf.not_equal(labels, _IGNORED if ignore_label is None else ignore_label)
