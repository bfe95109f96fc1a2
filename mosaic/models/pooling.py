"""Average pooling into bins and into windows, and the same written as convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras

from mosaic.models.layers import PACKAGE
from mosaic.utils.errors import TOO_SMALL, UserError

# Largest window of an averaging convolution, per axis: kernel libraries are made for up to 5x5.
_LARGEST_STEP = 5


def average_by_convolution(
    x: tf.Tensor,
    windows: tuple[int, int],
    strides: tuple[int, int],
    between: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tf.Tensor:
    """Average pooling as depthwise convolutions where possible, else as average pooling.

    It is possible where the windows stand side by side and their sizes have no large prime factor.
    Large windows are averages of averages: the converter merges equal operations, so that sums for
    the smaller windows of another pyramid level are not computed again.

    Args:
      x: [batch, height, width, channels].
      windows: (height, width) of a window, in cells of the map.
      strides: (vertical, horizontal) distance from one window to the next, in cells.
      between: function applied to the map between two convolutions; None for none.

    Returns:
      The averages [batch, rows, columns, channels], 'valid' padding.
    """
    factors = [_factors(window) for window in windows]
    count = max(map(len, factors))
    steps = list(zip(*([1] * (count - len(found)) + found for found in factors)))
    if windows != strides or any(max(step) > _LARGEST_STEP for step in steps):
        return tf.nn.avg_pool2d(x, windows, strides, "VALID")
    for index, (height, width) in enumerate(steps):
        if index and between:
            x = between(x)
        kernel = tf.fill([height, width, x.shape[-1], 1], tf.cast(1 / (height * width), x.dtype))
        x = tf.nn.depthwise_conv2d(x, kernel, [1, height, width, 1], "VALID")
    return x


def _factors(number: int) -> list[int]:
    """The prime factors of a number, the smallest last."""
    found, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            found.insert(0, divisor)
            number //= divisor
        divisor += 1
    return found


def bin_window(size: int, bins: int) -> tuple[int, int]:
    """Window and stride, in pixels, that pool `size` pixels into `bins` bins, 'valid' padding."""
    return size // bins + size % bins, size // bins


def window_weights(size: tf.Tensor, count, window, stride, dtype: tf.DType) -> tf.Tensor:
    """Averaging matrix [count, size] of pooling windows along an axis of a size not yet known."""
    start = (tf.range(count) * stride)[:, tf.newaxis]
    position = tf.range(size)[tf.newaxis, :]
    inside = tf.logical_and(position >= start, position < start + window)
    return tf.cast(inside, dtype) / tf.cast(window, dtype)


@tf_keras.utils.register_keras_serializable(PACKAGE)
class PoolToBins(tf_keras.layers.Layer):
    """Average pooling of [batch, height, width, channels] into `bins` x `bins` windows.

    The windows are those of `bin_window`, computed from the tensor's size at every call: by average
    pooling where the size is known while tracing, and by two averaging matrices where it is not (a
    SavedModel for any size).
    """

    def __init__(self, bins: int, **kwargs):
        super().__init__(**kwargs)
        self.bins = bins

    def check_size(self, height: int, width: int) -> None:
        """Raises a UserError where a feature map has fewer cells than there are bins."""
        if min(height, width) < self.bins:
            raise UserError(
                f"a feature map of {height}x{width} cannot be pooled into {self.bins}x"
                f"{self.bins} bins; use a larger input or smaller pyramid bins"
            )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        height, width = x.shape[1:3]
        if height is not None and width is not None:
            self.check_size(height, width)
            (window_h, stride_h), (window_w, stride_w) = (
                bin_window(height, self.bins),
                bin_window(width, self.bins),
            )
            windows, strides = (window_h, window_w), (stride_h, stride_w)
            return self.average(x, windows, strides)
        size = tf.shape(x)
        check = tf.debugging.assert_greater_equal(
            tf.reduce_min(size[1:3]),
            self.bins,
            f"{TOO_SMALL} for {self.bins}x{self.bins} pooling bins",
        )
        with tf.control_dependencies([check] if check is not None else []):
            rows = window_weights(size[1], self.bins, *bin_window(size[1], self.bins), x.dtype)
        columns = window_weights(size[2], self.bins, *bin_window(size[2], self.bins), x.dtype)
        pooled = tf.einsum("ij,bjwc->biwc", rows, x)
        return tf.einsum("ij,bhjc->bhic", columns, pooled)

    def average(
        self, x: tf.Tensor, windows: tuple[int, int], strides: tuple[int, int]
    ) -> tf.Tensor:
        """Averages windows of a map of known size, 'valid' padding."""
        return tf.nn.avg_pool2d(x, windows, strides, "VALID")

    def compute_output_shape(self, input_shape) -> tf.TensorShape:
        return tf.TensorShape([input_shape[0], self.bins, self.bins, input_shape[-1]])

    def get_config(self) -> dict:
        return {**super().get_config(), "bins": self.bins}


@tf_keras.utils.register_keras_serializable(PACKAGE)
class PoolToBinsByConvolution(PoolToBins):
    """`PoolToBins` as depthwise convolutions: the same averages, for int8 files.

    XNNPACK has no int8 average pooling: each one would run outside of it, on one thread, and would
    split the rest of the network into several parts.
    """

    def average(
        self, x: tf.Tensor, windows: tuple[int, int], strides: tuple[int, int]
    ) -> tf.Tensor:
        return average_by_convolution(x, windows, strides, self.between)

    def between(self, x: tf.Tensor) -> tf.Tensor:
        """Returns a map between two convolutions: unchanged here, for subclasses to change."""
        return x


@tf_keras.utils.register_keras_serializable(PACKAGE)
class PoolWindows(tf_keras.layers.Layer):
    """Average pooling of [batch, height, width, channels] into windows.

    Cells at the bottom and right that do not fill a window are ignored. A map smaller than the
    window is pooled as a whole, so that one network serves every input size.

    Args:
      window: (height, width) of the window, in cells of the map.
      strides: (vertical, horizontal) distance from one window to the next, in cells; None for
        windows side by side.
    """

    def __init__(self, window: Sequence[int], strides: Sequence[int] | None = None, **kwargs):
        super().__init__(**kwargs)
        self.window = tuple(window)
        self.strides = strides and tuple(strides)

    def step(self, size: int, axis: int) -> tuple[int, int]:
        """Window and stride along an axis, 0 or 1, of a map of `size` cells."""
        window = min(size, self.window[axis])
        return window, self.strides[axis] if self.strides else window

    def call(self, x: tf.Tensor) -> tf.Tensor:
        if None not in x.shape[1:3]:
            windows, strides = zip(*(self.step(x.shape[axis + 1], axis) for axis in (0, 1)))
            return tf.nn.avg_pool2d(x, windows, strides, "VALID")
        rows, columns = (self._weights(tf.shape(x)[axis + 1], axis, x.dtype) for axis in (0, 1))
        pooled = tf.einsum("ij,bjwc->biwc", rows, x)
        return tf.einsum("ij,bhjc->bhic", columns, pooled)

    def _weights(self, size: tf.Tensor, axis: int, dtype: tf.DType) -> tf.Tensor:
        window = tf.minimum(size, self.window[axis])
        stride = self.strides[axis] if self.strides else window
        return window_weights(size, (size - window) // stride + 1, window, stride, dtype)

    def compute_output_shape(self, input_shape) -> tf.TensorShape:
        sizes = []
        for axis, size in enumerate(input_shape[1:3]):
            window, stride = self.step(size, axis) if size else (None, None)
            sizes.append(size and (size - window) // stride + 1)
        return tf.TensorShape([input_shape[0], *sizes, input_shape[-1]])

    def get_config(self) -> dict:
        return {**super().get_config(), "window": self.window, "strides": self.strides}
