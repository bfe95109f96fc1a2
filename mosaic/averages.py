"""Average pooling, and the same as convolutions."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator

import tensorflow as tf

_BY_CONVOLUTION = contextvars.ContextVar("averages_by_convolution", default=False)
_BETWEEN = contextvars.ContextVar("between_averages", default=None)
# Of an averaging convolution's window, per axis: kernel libraries are made for 5x5 and less.
_LARGEST_STEP = 5


@contextlib.contextmanager
def averages_by_convolution() -> Iterator[None]:
    """While it lasts, `average_pool` is traced as depthwise convolutions.

    The same sums, for 8-bit files: XNNPACK has no 8-bit average pooling, so that each one runs on
    one thread and divides what could run as a whole.
    """
    token = _BY_CONVOLUTION.set(True)
    try:
        yield
    finally:
        _BY_CONVOLUTION.reset(token)


@contextlib.contextmanager
def between_averages(function: Callable[[tf.Tensor], tf.Tensor]) -> Iterator[None]:
    """While it lasts, it is applied between the convolutions of an `average_pool` of several."""
    token = _BETWEEN.set(function)
    try:
        yield
    finally:
        _BETWEEN.reset(token)


def average_pool(x: tf.Tensor, windows: tuple[int, int], strides: tuple[int, int]) -> tf.Tensor:
    """Average pooling of [batch, height, width, channels], 'valid' padding.

    By convolution (see `averages_by_convolution`) where the windows stand side by side and have no
    large prime factor: large windows are averages of averages, so that what the smaller windows of
    another pyramid level have summed is not summed again, as the converter merges equal steps.
    """
    factors = [_factors(window) for window in windows]
    count = max(map(len, factors))
    steps = list(zip(*([1] * (count - len(found)) + found for found in factors)))
    fits = windows == strides and all(max(step) <= _LARGEST_STEP for step in steps)
    if not (_BY_CONVOLUTION.get() and fits):
        return tf.nn.avg_pool2d(x, windows, strides, "VALID")
    between = _BETWEEN.get()
    for index, (height, width) in enumerate(steps):
        if index and between:
            x = between(x)
        kernel = tf.fill([height, width, x.shape[-1], 1], tf.cast(1 / (height * width), x.dtype))
        x = tf.nn.depthwise_conv2d(x, kernel, [1, height, width, 1], "VALID")
    return x


def _factors(number: int) -> list[int]:
    """Prime factors, the smallest last."""
    found, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            found.insert(0, divisor)
            number //= divisor
        divisor += 1
    return found
