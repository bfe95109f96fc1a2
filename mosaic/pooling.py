"""Average pooling into windows of one size, for ASPP's image-level features."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tf_keras

from mosaic.layers import PACKAGE, window_weights


@tf_keras.utils.register_keras_serializable(PACKAGE)
class PoolWindows(tf_keras.layers.Layer):
    """Average pooling of [batch, height, width, channels] into windows side by side.

    What does not fill a window at the bottom and right counts nowhere. Where the map is smaller
    than the window it is pooled as a whole, so that one network serves every input size.

    Args:
      window: (height, width), in cells of the map.
    """

    def __init__(self, window: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.window = tuple(window)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        if None not in x.shape[1:3]:
            window = [min(size, most) for size, most in zip(x.shape[1:3], self.window)]
            return tf.nn.avg_pool2d(x, window, window, "VALID")
        rows, columns = (self._weights(tf.shape(x)[axis + 1], axis, x.dtype) for axis in (0, 1))
        pooled = tf.einsum("ij,bjwc->biwc", rows, x)
        return tf.einsum("ij,bhjc->bhic", columns, pooled)

    def _weights(self, size: tf.Tensor, axis: int, dtype: tf.DType) -> tf.Tensor:
        window = tf.minimum(size, self.window[axis])
        return window_weights(size, size // window, window, window, dtype)

    def compute_output_shape(self, input_shape):
        sizes = (
            None if size is None else size // min(size, most)
            for size, most in zip(input_shape[1:3], self.window)
        )
        return tf.TensorShape([input_shape[0], *sizes, input_shape[-1]])

    def get_config(self):
        return {**super().get_config(), "window": self.window}
