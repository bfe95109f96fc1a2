"""Rounding to 8 bits in fixed ranges, which TFLite's converter understands."""

from __future__ import annotations

import tensorflow as tf
import tf_keras

from mosaic.models.layers import PACKAGE
from mosaic.models.pooling import PoolToBinsByConvolution


@tf_keras.utils.register_keras_serializable(PACKAGE)
class FixedRange(tf_keras.layers.Layer):
    """Rounds to 8 bits, from `low` (0 or below) to `high` (0 or above)."""

    def __init__(self, low: float, high: float, **kwargs):
        super().__init__(**kwargs)
        self.low = low
        self.high = high

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return round_to(x, self.low, self.high)

    def get_config(self) -> dict:
        return {**super().get_config(), "low": self.low, "high": self.high}


@tf_keras.utils.register_keras_serializable(PACKAGE)
class RangedPool(PoolToBinsByConvolution):
    """`PoolToBinsByConvolution` that also rounds between its convolutions, if there are several."""

    def __init__(self, bins: int, low: float, high: float, **kwargs):
        super().__init__(bins, **kwargs)
        self.low = low
        self.high = high

    def between(self, x: tf.Tensor) -> tf.Tensor:
        return round_to(x, self.low, self.high)

    def get_config(self) -> dict:
        return {**super().get_config(), "low": self.low, "high": self.high}


def round_to(x: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Rounds to one of 256 values from `low` to `high`."""
    return tf.quantization.fake_quant_with_min_max_args(x, low, high)
