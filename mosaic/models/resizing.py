"""Bilinear resizes, by TensorFlow 2's rule or by the older one of MLPerf's files."""

from __future__ import annotations

import tensorflow as tf
import tf_keras

from mosaic.models.layers import PACKAGE


@tf_keras.utils.register_keras_serializable(PACKAGE)
class ResizeLike(tf_keras.layers.Layer):
    """Bilinear resize of the first tensor to the height and width of the second.

    Args:
      half_pixel_centers: True for TensorFlow 2's rule; False for the legacy rule of
        `tf.compat.v1.image.resize_bilinear` (corners not aligned), which MLPerf's files use.
    """

    def __init__(self, half_pixel_centers: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.half_pixel_centers = half_pixel_centers

    def call(self, inputs) -> tf.Tensor:
        x, reference = inputs
        return resize_bilinear(x, size_of(reference), self.half_pixel_centers)

    def compute_output_shape(self, input_shape) -> tf.TensorShape:
        x, reference = input_shape
        return tf.TensorShape([x[0], reference[1], reference[2], x[-1]])

    def get_config(self) -> dict:
        return {**super().get_config(), "half_pixel_centers": self.half_pixel_centers}


@tf_keras.utils.register_keras_serializable(PACKAGE)
class ResizeAlways(ResizeLike):
    """`ResizeLike` that resizes maps of 1x1 too, instead of repeating them, for int8 files.

    TensorFlow Lite's converter may give a repeated map another scale than the map itself, while its
    operator (BROADCAST_TO) copies the integers as they are.
    """

    def call(self, inputs) -> tf.Tensor:
        x, reference = inputs
        return resize_bilinear(x, size_of(reference), self.half_pixel_centers, repeats=False)


def size_of(x: tf.Tensor):
    """Returns (height, width) of [batch, height, width, ...], as integers where they are known."""
    height, width = x.shape[1:3]
    return tf.shape(x)[1:3] if height is None or width is None else (height, width)


def resize_bilinear(
    x: tf.Tensor, size, half_pixel_centers: bool = True, repeats: bool = True
) -> tf.Tensor:
    """Bilinear resize of [batch, height, width, channels] to `size`, corners not aligned.

    A map that already has that size passes unchanged, and one of 1x1 is repeated (unless `repeats`
    is False), which is the same under every rule and far cheaper.
    """
    if not tf.is_tensor(size) and tuple(x.shape[1:3]) == tuple(size):
        return x
    if x.shape[1] == 1 and x.shape[2] == 1 and repeats:
        shape = tf.stack([tf.shape(x)[0], size[0], size[1], x.shape[-1]])
        return tf.broadcast_to(x, shape)
    return tf.raw_ops.ResizeBilinear(
        images=x, size=size, align_corners=False, half_pixel_centers=half_pixel_centers
    )


def predictions(logits: tf.Tensor, size, half_pixel_centers: bool = True) -> tf.Tensor:
    """Class indices [batch, height, width], int32, of logits resized bilinearly to `size`."""
    resized = resize_bilinear(logits, size, half_pixel_centers)
    return tf.argmax(resized, -1, output_type=tf.int32)


def half_pixel_centers(model: tf_keras.Model) -> bool:
    """Returns whether a network's resizes have half-pixel centres, which its logits' resize shares.

    Under the other rule, MLPerf's networks differ from their files on a hundredth of all pixels.
    """
    layers = getattr(model, "layers", ())
    return all(layer.half_pixel_centers for layer in layers if isinstance(layer, ResizeLike))
