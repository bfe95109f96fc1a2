"""Class indices of logits that are enlarged, without enlarging most of them.

Between four neighbouring logits that have the same highest class, every bilinear mean has that
class too: it is a mean of differences that are all at least 0. Where classes are in one piece, as
in photographs, most squares between neighbours are of this kind, and only the others are resized.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mosaic.models.processors import computes_on_cpu
from mosaic.models.resizing import ALIGNED, HALF_PIXEL, predictions

# Where more of the squares have several classes, resizing all of them at once takes less time.
_FEW = 0.3


class _Cells(NamedTuple):
    """Where the squares between neighbouring logits lie in what they are enlarged to.

    Attributes:
      side: height and width of a square, in pixels.
      before: number of rows (columns) of squares before the first logits.
      skipped: number of pixels of the first row (column) of squares that lie outside.
      first: place of a square's first pixel between the two logits, from 0 to below 1.
    """

    side: int
    before: int
    skipped: int
    first: float


def labels_by_cell(logits: tf.Tensor, size: Sequence[int], rule: str = HALF_PIXEL) -> tf.Tensor:
    """Class indices of logits that are resized bilinearly, as `resizing.predictions` returns them.

    Two classes whose resized logits differ by rounding alone may change places.

    Args:
      logits: [batch, height, width, classes], of any type that can be resized.
      size: (height, width) of the result, in pixels.
      rule: rule of `resizing.RULES`.

    Returns:
      int32 [batch, *size].
    """
    cells = _cells(logits.shape, size, rule)
    if cells is None:
        return predictions(logits, size, rule)
    logits = tf.cast(logits, tf.float32)
    around = [[0, 0], [cells.before, 1], [cells.before, 1]]
    best = tf.pad(tf.argmax(logits, -1, output_type=tf.int32), around, "SYMMETRIC")
    first, places = best[:, :-1, :-1], tf.where(are_mixed(best))

    def one_by_one() -> tf.Tensor:
        whole = _filled(first, places, _resized(logits, places, cells), cells.side)
        top = cells.skipped
        return whole[:, top : top + size[0], top : top + size[1]]

    few = tf.shape(places)[0] <= tf.cast(_FEW * tf.cast(tf.size(first), tf.float32), tf.int32)
    labels = tf.cond(few, one_by_one, lambda: predictions(logits, size, rule))
    return tf.ensure_shape(labels, [logits.shape[0], *size])


def are_mixed(best: tf.Tensor) -> tf.Tensor:
    """Whether the squares between neighbouring places have several classes.

    Args:
      best: class indices [batch, height, width].

    Returns:
      bool [batch, height - 1, width - 1].
    """
    others = best[:, :-1, 1:], best[:, 1:, :-1], best[:, 1:, 1:]
    return tf.reduce_any([other != best[:, :-1, :-1] for other in others], 0)


def _cells(shape: tf.TensorShape, size: Sequence[int], rule: str) -> _Cells | None:
    """The squares of an enlargement; None where their sides differ, or another way is faster."""
    sides = shape[1:3].as_list()
    less = int(rule == ALIGNED)
    if None in sides or tf.is_tensor(size) or min(sides) <= less or not computes_on_cpu():
        return None
    factors = {(to - less) / (of - less) for to, of in zip(size, sides)}
    side = int(min(factors))
    if factors != {side} or side < 2 or (rule == HALF_PIXEL and side % 2):
        return None
    if rule == HALF_PIXEL:
        return _Cells(side, 1, side // 2, 0.5 / side)
    return _Cells(side, 0, 0, 0.0)


def _resized(logits: tf.Tensor, places: tf.Tensor, cells: _Cells) -> tf.Tensor:
    """Class indices, int32 [squares, side, side], of the squares at `places`, [squares, 3]."""
    height, width, classes = logits.shape[1:]
    flat = tf.reshape(logits, [-1, classes])
    image, row, column = tf.unstack(tf.cast(places, tf.int32), axis=-1)

    def corner(down: int, right: int) -> tf.Tensor:
        y = tf.clip_by_value(row - cells.before + down, 0, height - 1)
        x = tf.clip_by_value(column - cells.before + right, 0, width - 1)
        return tf.gather(flat, (image * height + y) * width + x)[:, tf.newaxis]

    # In the order of TensorFlow's own resize; its places are the same if the side is a power of 2.
    along = (cells.first + np.arange(cells.side) / cells.side).astype(np.float32)
    upper, lower = (
        left + (right - left) * along[:, np.newaxis]
        for left, right in [(corner(down, 0), corner(down, 1)) for down in (0, 1)]
    )
    change = lower - upper
    lines = [tf.argmax(upper + change * down, -1, output_type=tf.int32) for down in along]
    return tf.stack(lines, 1)


def _filled(first: tf.Tensor, places: tf.Tensor, mixed: tf.Tensor, side: int) -> tf.Tensor:
    """Class indices of all squares, [batch, rows * side, columns * side]."""
    batch = tf.shape(first)[0]
    rows, columns = first.shape[1:3]
    spread = tf.broadcast_to(
        first[:, :, tf.newaxis, :, tf.newaxis], [batch, rows, side, columns, side]
    )
    image, row, column = tf.unstack(tf.cast(places, tf.int32)[:, tf.newaxis], axis=-1)
    lines = ((image * rows + row) * side + tf.range(side)) * columns + column
    whole = tf.tensor_scatter_nd_update(
        tf.reshape(spread, [-1, side]), lines[..., tf.newaxis], mixed
    )
    return tf.reshape(whole, [batch, rows * side, columns * side])
