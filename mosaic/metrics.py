"""One confusion matrix over all pixels, and the figures that follow from it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.layers import resize_bilinear


def predictions(logits: tf.Tensor, size, half_pixel_centers: bool = True) -> tf.Tensor:
    """Class indices [batch, height, width], int32, of logits resized bilinearly to `size`."""
    resized = resize_bilinear(logits, size, half_pixel_centers)
    return tf.argmax(resized, -1, output_type=tf.int32)


def count_pixels(
    labels: tf.Tensor, predicted: tf.Tensor, num_classes: int, ignore_label: int
) -> tf.Tensor:
    """Counts pixels by true and predicted class.

    Args:
      labels: class indices of any shape, any integer type.
      predicted: class indices of the same shape.
      num_classes: what both count up to.
      ignore_label: pixels whose label this is count nowhere.

    Returns:
      int64 [num_classes, num_classes], rows the truth, columns the prediction.
    """
    labels = tf.reshape(tf.cast(labels, tf.int32), [-1])
    predicted = tf.reshape(tf.cast(predicted, tf.int32), [-1])
    # Ignored pixels go to one bin after the last, which is cheaper than to gather the others.
    cells = tf.where(
        tf.equal(labels, ignore_label), num_classes**2, labels * num_classes + predicted
    )
    counts = tf.math.bincount(cells, minlength=num_classes**2 + 1, maxlength=num_classes**2 + 1)
    return tf.reshape(tf.cast(counts[:-1], tf.int64), [num_classes, num_classes])


class ConfusionMatrix(tf_keras.metrics.Metric):
    """Sums `count_pixels` over batches in 64-bit integers, whatever their order and size."""

    def __init__(self, num_classes: int, ignore_label: int, name: str = "confusion"):
        super().__init__(name=name, dtype=tf.int64)
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.matrix = self.add_weight(
            "matrix", [num_classes, num_classes], initializer="zeros", dtype=tf.int64
        )

    def update_state(self, labels: tf.Tensor, predicted: tf.Tensor) -> None:
        self.matrix.assign_add(count_pixels(labels, predicted, self.num_classes, self.ignore_label))

    def reset_state(self) -> None:
        self.matrix.assign(tf.zeros_like(self.matrix))

    def result(self) -> tf.Tensor:
        return tf.identity(self.matrix)


def iou(matrix: np.ndarray) -> np.ndarray:
    """Per-class IoU, TP / (TP + FP + FN), of a confusion matrix with the truth in rows.

    Returns:
      float64 [classes], 0 to 1; NaN for a class that is neither in the truth nor predicted.
    """
    matrix = np.asarray(matrix, np.int64)
    hits = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - hits
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def mean_iou(matrix: np.ndarray) -> float:
    """Mean of `iou` over the classes that occur; NaN if none does."""
    values = iou(matrix)
    return float(np.mean(values[~np.isnan(values)])) if np.any(~np.isnan(values)) else float("nan")


def pixel_accuracy(matrix: np.ndarray) -> float:
    """Share of the labelled pixels that are predicted right; NaN without any."""
    total = np.sum(matrix)
    return float(np.trace(matrix) / total) if total else float("nan")
