"""The segmentation loss: cross-entropy over labelled pixels, at the labels' own size."""

from __future__ import annotations

from collections.abc import Sequence

import gin
import tensorflow as tf

from mosaic.layers import resize_bilinear, size_of

# The Garden's `SegmentationLoss` adds this to the number of pixels, so that a batch without a
# single labelled pixel costs nothing; equal figures need the same constant.
EPSILON = 1e-5


@gin.configurable(module="losses")
class CrossEntropy:
    """Softmax cross-entropy, averaged over the pixels whose label is not the ignore label.

    The same figures as the Garden's `SegmentationLoss` with `use_groundtruth_dimension`, computed
    from the labels' indices instead of their one-hot form, which at full resolution costs several
    times as much memory and time.

    Args:
      ignore_label: pixels with this label count nowhere.
      class_weights: one factor per class for its pixels' losses, or None. As in the Garden, the
        sum is divided by the number of pixels, not by the sum of their weights.
      label_smoothing: share of the probability spread evenly over the classes, 0 to 1.
      top_k: share of the hardest pixels that count, 0 to 1; 1 counts all.
    """

    def __init__(
        self,
        ignore_label: int = 255,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        top_k: float = 1.0,
    ):
        self.ignore_label = ignore_label
        self.class_weights = class_weights
        self.label_smoothing = label_smoothing
        self.top_k = top_k

    def __call__(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Computes the loss of one batch.

        Args:
          labels: class indices [batch, height, width], any integer type.
          logits: [batch, h, w, classes] of any size; resized bilinearly to the labels' size.

        Returns:
          A float32 scalar.

        Raises:
          ValueError: the number of class weights is not the number of classes.
        """
        labels = tf.cast(labels, tf.int32)
        classes = logits.shape[-1]
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(f"{len(self.class_weights)} class weights for {classes} classes")
        logits = resize_bilinear(tf.cast(logits, tf.float32), size_of(labels))
        valid = tf.not_equal(labels, self.ignore_label)
        known = tf.where(valid, labels, 0)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=known, logits=logits)
        if self.label_smoothing:
            uniform = tf.reduce_logsumexp(logits, -1) - tf.reduce_mean(logits, -1)
            losses = (1.0 - self.label_smoothing) * losses + self.label_smoothing * uniform
        if self.class_weights is not None:
            losses *= tf.gather(tf.constant(self.class_weights, tf.float32), known)
        losses = tf.where(valid, losses, 0.0)
        count = tf.reduce_sum(tf.cast(valid, tf.float32))
        if self.top_k < 1.0:
            losses = tf.reshape(losses, [-1])
            kept = tf.cast(self.top_k * tf.cast(tf.size(losses), tf.float32), tf.int32)
            losses, _ = tf.math.top_k(losses, kept, sorted=False)
            count = tf.minimum(count, tf.cast(kept, tf.float32))
        return tf.reduce_sum(losses) / (count + EPSILON)
