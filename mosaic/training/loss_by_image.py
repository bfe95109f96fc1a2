"""Losses and their gradients image by image, so that full-size logits exist for one image alone.

At 1024x2048 and 19 classes, logits of the labels' size take 152 MiB an image, and a loss with its
gradient holds two or three copies. Here what training keeps is the gradient of the small logits.
Small images are taken a few at a time, which is faster.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Protocol

import tensorflow as tf

from mosaic.models.resizing import HALF_PIXEL, resize_bilinear, size_of

# Full-size logits that exist at once, in bytes, where those of one image are not more.
_TOGETHER = 16 * 2**20


class Part(Protocol):
    """A loss in two steps: what it measures of each image, and what it makes of all of them."""

    def measure(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Measures single images.

        Args:
          labels: class indices [batch, height, width], any integer type.
          logits: [batch, height, width, classes], float32.

        Returns:
          [batch, ...], float32, a row of which depends on one image alone.
        """

    def count(self, labels: tf.Tensor) -> tf.Tensor | None:
        """Returns what `total` needs of a batch's labels; None for nothing."""

    def total(self, counted: tf.Tensor | None, measured: tf.Tensor) -> tf.Tensor:
        """Returns the loss of a batch, a float32 scalar, from `count` and `measure` of it."""

    def slopes(self, counted: tf.Tensor | None, images: tf.Tensor) -> tf.Tensor | None:
        """Returns the gradient of `total` by `measured`; None where it depends on `measured`.

        Args:
          counted: what `count` returned.
          images: number of images in the batch.
        """


@tf.autograph.experimental.do_not_convert
def by_image(
    parts: Sequence[Part],
    labels: tf.Tensor,
    logits: tf.Tensor,
    rule: str = HALF_PIXEL,
    recompute: bool = False,
) -> tf.Tensor:
    """Computes the sum of several losses, with the values and gradients of the whole batch at once.

    Gradients are computed together with the loss, which takes the time of computing them later.
    For that the loss must know what each image weighs before it has seen all of them.

    Args:
      parts: losses.
      labels: class indices [batch, height, width], any integer type.
      logits: [batch, h, w, classes] of any size; resized bilinearly to the labels' size.
      rule: rule of that resize, of `mosaic.models.resizing.RULES`.
      recompute: whether losses that do not know it look at all images twice, which takes more time;
        without, they hold full-size logits of the whole batch.

    Returns:
      A float32 scalar. It has first derivatives only.
    """
    # Gradients of half precision would vanish before a loss scale multiplies them.
    labels, logits = tf.convert_to_tensor(labels), tf.cast(logits, tf.float32)
    counts = [part.count(labels) for part in parts]
    known = [part.slopes(counted, tf.shape(labels)[0]) for part, counted in zip(parts, counts)]
    is_known = all(slopes is not None for slopes in known)

    def measure(labels, logits):
        logits = resize_bilinear(logits, size_of(labels), rule)
        return [part.measure(labels, logits) for part in parts]

    def total(measured):
        return tf.add_n([part.total(*values) for part, *values in zip(parts, counts, measured)])

    if not is_known and not recompute:
        return total(measure(labels, logits))

    def with_gradient(labels, logits, *slopes):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            measured = measure(labels, logits)
        return [*measured, tape.gradient(measured, logits, output_gradients=list(slopes))]

    each = functools.partial(_each, _num_together(labels, logits.shape[-1]))

    @tf.custom_gradient
    def value(logits):
        slopes = known if is_known else _slopes(total, each(measure, len(parts), labels, logits))
        *measured, gradient = each(with_gradient, len(parts) + 1, labels, logits, *slopes)
        return total(measured), lambda upstream: upstream * gradient

    return value(logits)


class ByImage:
    """A loss that `by_image` computes by itself alone; a base of those that are a `Part`."""

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
        return by_image([self], labels, logits)


def _slopes(total, measured: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The gradient of a function of what was measured."""
    with tf.GradientTape() as tape:
        tape.watch(measured)
        value = total(measured)
    return tape.gradient(value, measured, unconnected_gradients="zero")


def _num_together(labels: tf.Tensor, classes: int) -> int:
    """The number of images that are taken at a time, a divisor of their number if this is known."""
    if not labels.shape.is_fully_defined():
        return 1
    batch, height, width = labels.shape
    most = max(1, _TOGETHER // (height * width * classes * tf.float32.size))
    return max(number for number in range(1, batch + 1) if batch % number == 0 and number <= most)


def _each(together: int, function, count: int, *batches: tf.Tensor) -> list[tf.Tensor]:
    """Applies a function of batches, with `count` float32 results, to parts one after the other."""
    if batches[0].shape[0] == together:
        return function(*batches)

    def divided(batch):
        parts = tf.reshape(batch, tf.concat([[-1, together], tf.shape(batch)[1:]], 0))
        return tf.ensure_shape(parts, [None, together, *batch.shape[1:]])

    parts = [divided(batch) for batch in batches]
    types = [tf.float32] * count
    found = tf.map_fn(
        lambda rows: function(*rows), parts, fn_output_signature=types, parallel_iterations=1
    )
    return [tf.reshape(rows, tf.concat([[-1], tf.shape(rows)[2:]], 0)) for rows in found]
