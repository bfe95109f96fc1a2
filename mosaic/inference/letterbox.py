"""Scoring at one padded size: images are scaled to fit in, predictions are scaled back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mosaic.inference.predictors import Predictor, fit, fit_image
from mosaic.models.resizing import size_of


def letterbox(
    predictor: Predictor, size: Sequence[int], level: Sequence[float], enlarged: bool = True
) -> Predictor:
    """Gives a predictor every image scaled to fit into `size` and padded at the bottom and right.

    As in the Model Garden's evaluation of PASCAL VOC: sides are rounded to whole pixels, and
    logits, without those of the padding, are resized to the image's size in one bilinear resize.
    Labels are resized by nearest neighbour.

    Args:
      predictor: predictor of logits or labels.
      size: (height, width) of the padded images, in pixels; a predictor's own if it takes only one
        size.
      level: value of the padding, 0 to 255, for each channel; for the network, the mean of the
        normalisation is 0.
      enlarged: whether smaller images are enlarged; False only pads them, as research/deeplab's
        evaluation does. Larger ones are made smaller in any case.
    """
    return _Letterbox(predictor, size, level, enlarged)


class _Letterbox(Predictor):
    """The predictor that `letterbox` returns."""

    def __init__(
        self, predictor: Predictor, size: Sequence[int], level: Sequence[float], enlarged: bool
    ):
        # A network takes 127.5 as well as the bytes around it.
        dtype = tf.uint8 if enlarged or predictor.format != "network" else tf.float32
        self._inner = predictor
        self._box = tuple(map(int, predictor.input_size or size)), level, enlarged, dtype
        super().__init__(self._boxed, predictor.format, predictor.num_classes, traceable=False)
        self.keeps_size = False

    def _boxed(self, images):
        canvas, scaled, back = boxed(images, *self._box)
        height, width = map(int, size_of(images))
        if self.num_classes is None:
            labels = self._inner(canvas)[:, : scaled[0], : scaled[1], tf.newaxis]
            return tf.image.resize(labels, (height, width), "nearest")[..., 0]
        return self._inner.logits(canvas, back.numpy().tolist())[:, :height, :width]

    def coarse(self, image, input_size=None):
        """See `Predictor.coarse`; there is no other `input_size` than the padded one."""
        size, level, enlarged, dtype = self._box
        inside, back = _places(tf.constant(image.shape[:2]), size, enlarged)
        small = tf.constant(fit_image(image, inside.numpy().tolist())[np.newaxis])
        prediction, _ = self._inner.coarse(_padded(small, inside, size, level, dtype)[0].numpy())
        if self.num_classes is None:
            return prediction[: inside[0], : inside[1]], image.shape[:2]
        return prediction, tuple(back.numpy().tolist())


def boxed(
    images: tf.Tensor,
    size: tuple[int, int],
    level: Sequence[float],
    enlarged: bool = True,
    dtype: tf.DType = tf.uint8,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Scales images to fit into a size, and pads them at the bottom and right.

    Args:
      images: uint8 [batch, height, width, 3], or float32 in 0..255.
      size: (height, width) of the padded images, in pixels.
      level: value of the padding, 0 to 255, for each channel.
      enlarged: whether smaller images are enlarged, see `letterbox`.
      dtype: type of the padded images; for uint8 the level and the images are rounded.

    Returns:
      The padded images, `dtype` [batch, *size, 3]; (height, width) of the images in them, int32;
      (height, width) that logits of the padded images are resized to, so that the images' own are
      of the images' size, int32.
    """
    inside, back = _places(tf.shape(images)[1:3], size, enlarged)
    return _padded(fit(images, inside), inside, size, level, dtype), inside, back


def _places(image_size, size: tuple[int, int], enlarged: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """The second and third of what `boxed` returns, for images of a (height, width)."""
    image_size = tf.cast(image_size, tf.float32)
    target = tf.constant(size, tf.float32)
    factor = tf.reduce_min(target / image_size)
    scaled = tf.round(image_size * (factor if enlarged else tf.minimum(factor, 1.0)))
    back = tf.math.ceil(target / (scaled / image_size))
    return tf.cast(scaled, tf.int32), tf.cast(back, tf.int32)


def _padded(images, inside, size: tuple[int, int], level, dtype: tf.DType) -> tf.Tensor:
    bottom, right = tf.unstack(tf.constant(size) - inside)
    # Padding with 0, and this is the level.
    number = tf.int32 if dtype == tf.uint8 else dtype
    images = tf.convert_to_tensor(images)
    if number.is_integer and images.dtype.is_floating:
        images = tf.round(images)
    zero = tf.constant(np.round(level) if dtype == tf.uint8 else level, number)
    above = tf.cast(images, number) - zero
    canvas = tf.pad(above, [[0, 0], [0, bottom], [0, right], [0, 0]]) + zero
    return tf.ensure_shape(tf.cast(canvas, dtype), [images.shape[0], *size, 3])
