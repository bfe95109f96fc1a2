"""One confusion matrix over all pixels, and the metrics that follow from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.evaluation.image_counts import counted

# Share of what should be other classes up to which the answers of these do not count.
_FEW = 0.01


def count_pixels(
    labels: tf.Tensor,
    predicted: tf.Tensor,
    num_classes: int,
    ignore_label: int,
    others: bool = False,
) -> tf.Tensor:
    """Counts pixels by true and predicted class.

    Args:
      labels: class indices of any shape, any integer type.
      predicted: class indices of the same shape.
      num_classes: number of classes; indices of both are below it.
      ignore_label: label of pixels that are not counted.
      others: whether to add a column for predictions of no class.

    Returns:
      Numbers of pixels, int64 [num_classes, num_classes (+ 1)], rows the truth, columns the
      prediction.
    """
    labels = tf.reshape(tf.cast(labels, tf.int32), [-1])
    predicted = tf.reshape(tf.cast(predicted, tf.int32), [-1])
    columns = num_classes + others
    size = num_classes * columns
    # Ignored pixels are counted in one extra cell: that is faster than to gather the others.
    cells = tf.where(tf.equal(labels, ignore_label), size, labels * columns + predicted)
    # `tf.math.bincount` looks for the largest value first, which XLA, and so a TPU, cannot compile.
    counts = tf.raw_ops.DenseBincount(
        input=cells, size=size + 1, weights=tf.zeros([0], tf.int32), binary_output=False
    )
    return tf.reshape(tf.cast(counts[:-1], tf.int64), [num_classes, columns])


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


def iou(matrix: np.ndarray, ignored_classes: Sequence[int] = ()) -> np.ndarray:
    """Per-class IoU, TP / (TP + FP + FN), of a confusion matrix with the truth in rows.

    Args:
      matrix: confusion matrix [classes, classes], or with one more column for predictions of no
        class, which only count as false negatives of the true class.
      ignored_classes: indices of classes whose pixels count as not labelled: predictions there are
        not false positives, and these classes have no IoU.

    Returns:
      float64 [classes], 0 to 1; NaN for a class that is ignored, or neither in the truth nor
      predicted.
    """
    matrix = counted(matrix, ignored_classes)
    hits = np.diag(matrix)
    union = matrix.sum(0)[: len(hits)] + matrix.sum(1) - hits
    union[list(ignored_classes)] = 0
    return np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)


def mean_iou(matrix: np.ndarray, ignored_classes: Sequence[int] = ()) -> float:
    """Mean of `iou` over the classes that occur; NaN if none does."""
    return _mean(iou(matrix, ignored_classes))


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values[~np.isnan(values)])) if np.any(~np.isnan(values)) else float("nan")


def only_answer(matrix: np.ndarray) -> int | None:
    """The one class that is predicted nearly everywhere, though the truth has others, or None.

    A few other answers do not count: at most a hundredth of what they should be. Where one class
    has nearly all of the truth, a network that finds the others is no such case.

    Args:
      matrix: confusion matrix, as for `iou`.
    """
    matrix = np.asarray(matrix)
    answers, truth, total = matrix.sum(0), matrix.sum(1), matrix.sum()
    if np.count_nonzero(truth) < 2:
        return None
    most = int(np.argmax(answers))
    others = total - (truth[most] if most < len(truth) else 0)
    return most if total - answers[most] <= _FEW * others else None


def number(value: float) -> float | None:
    """A metric for JSON, which has no NaN: None instead."""
    return None if np.isnan(value) else float(value)


def pixel_accuracy(matrix: np.ndarray, ignored_classes: Sequence[int] = ()) -> float:
    """Fraction of the labelled pixels that are predicted right, 0 to 1; NaN without any."""
    matrix = counted(matrix, ignored_classes)
    total = np.sum(matrix)
    return float(np.trace(matrix) / total) if total else float("nan")


def mean_accuracy(matrix: np.ndarray, ignored_classes: Sequence[int] = ()) -> float:
    """Mean over the classes in the truth of the fraction predicted right; NaN without any."""
    matrix = counted(matrix, ignored_classes)
    labelled = matrix.sum(1)
    values = np.full(len(matrix), np.nan)
    return _mean(np.divide(np.diag(matrix), labelled, out=values, where=labelled > 0))


def frequency_weighted_iou(matrix: np.ndarray, ignored_classes: Sequence[int] = ()) -> float:
    """Mean of `iou` weighted by each class's fraction of the labelled pixels; NaN without any."""
    labelled = counted(matrix, ignored_classes).sum(1)
    values = np.nan_to_num(iou(matrix, ignored_classes))
    return float(values @ labelled / labelled.sum()) if labelled.any() else float("nan")


def category_iou(matrix: np.ndarray, categories: Sequence[str]) -> dict[str, float]:
    """IoU of groups of classes; confusions within a group do not count.

    Args:
      matrix: confusion matrix, as for `iou`.
      categories: category of each class.

    Returns:
      IoU by category, 0 to 1, in the order in which the categories first occur; NaN as for `iou`.
    """
    names = list(dict.fromkeys(categories))
    member = np.array([[category == name for category in categories] for name in names], np.int64)
    rows = member @ np.asarray(matrix, np.int64)
    classes = len(categories)
    grouped = np.concatenate([rows[:, :classes] @ member.T, rows[:, classes:]], axis=1)
    return dict(zip(names, map(float, iou(grouped))))


def category_metrics(matrix: np.ndarray, categories: Sequence[str]) -> dict:
    """Returns `mean_category_iou` and `categories`, as reports have them; nothing without any."""
    if not categories:
        return {}
    ious = {name: number(value) for name, value in category_iou(matrix, categories).items()}
    there = [value for value in ious.values() if value is not None]
    return {"mean_category_iou": float(np.mean(there)) if there else None, "categories": ious}
