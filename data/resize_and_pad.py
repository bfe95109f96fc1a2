"""Resizing of images and labels to one size for evaluation."""

from __future__ import annotations

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Fit:
    """Scales to the largest size that fits, keeping the aspect, and pads at the bottom and right.

    As MLPerf prepares ADE20K (vision/deeplab in mlcommons/mobile_open, by DeepLab's
    `resize_to_range`): each side times the same factor, rounded up; pixels by bilinear, labels by
    nearest-neighbour interpolation, corners of both aligned; pixels truncated to whole numbers, 127
    in the padding.

    Attributes:
      size: (height, width) of the result.
      label: class index of padding.
      factor: number of which each side is a multiple, plus one, as by the flag resize_factor of
        research/deeplab: sides are rounded down, and then up to the next such number, so that the
        aspect changes a little; pixels stay as they come out, 127.5 in the padding. None for
        MLPerf's way.
    """

    size: tuple[int, int]
    label: int
    factor: int | None = None

    def __call__(self, image, label):
        """Fits one example.

        Args:
          image: uint8 [height, width, 3].
          label: uint8 [height, width], class indices.

        Returns:
          (image, label), [*size, 3], uint8 or with a factor float32 in 0..255, and uint8 [*size].
        """
        target = tf.constant(self.size, tf.int32)
        most = target if self.factor is None else target - (target - 1) % self.factor
        found = tf.shape(image)[:2]
        # The side that limits the scale is computed in integers; floats could round it up by a
        # pixel.
        rows_first = most[0] * found[1] <= most[1] * found[0]
        over, under = tf.cond(rows_first, lambda: (most[0], found[0]), lambda: (most[1], found[1]))
        if self.factor is None:
            size = -(-found * over // under)
        else:
            size = found * over // under
            size += (1 - size) % self.factor
        image = tf.compat.v1.image.resize_bilinear(image[tf.newaxis], size, align_corners=True)[0]
        label = tf.compat.v1.image.resize_nearest_neighbor(
            label[tf.newaxis, ..., tf.newaxis], size, align_corners=True
        )[0, ..., 0]
        image, level = (tf.cast(image, tf.uint8), 127) if self.factor is None else (image, 127.5)
        (bottom, right) = tf.unstack(target - size)
        image = tf.pad(image, [[0, bottom], [0, right], [0, 0]], constant_values=level)
        label = tf.pad(label, [[0, bottom], [0, right]], constant_values=self.label)
        image.set_shape([*self.size, 3])
        label.set_shape(self.size)
        return image, label
