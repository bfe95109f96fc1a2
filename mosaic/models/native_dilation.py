"""Depthwise convolutions with dilation in one operation, for inference on CPUs.

Keras rearranges the map into a batch of smaller ones, convolves those and puts the result together
again, which takes more time than the convolution and keeps bias and activation from being fused
with it. TensorFlow's kernels of oneDNN know dilation themselves; its other kernels do not.
"""

from __future__ import annotations

import functools

import tensorflow as tf
import tf_keras
from tf_keras import layers as keras

from mosaic.models.exchange import Kinds
from mosaic.models.layers import PACKAGE
from mosaic.models.processors import computes_on_cpu


def kinds() -> Kinds:
    """Returns the classes of layers that others should stand for on this machine, with those."""
    return {keras.DepthwiseConv2D: NativelyDilated} if _supported() else {}


@tf_keras.utils.register_keras_serializable(PACKAGE)
class NativelyDilated(keras.DepthwiseConv2D):
    """`DepthwiseConv2D` whose dilation, where it has one, is part of the operation."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        # Keras lets a layer with dilation have no stride. Some kernels of 16 bits are lacking.
        if max(self.dilation_rate) == 1 or inputs.dtype != tf.float32:
            return super().call(inputs)
        outputs = _convolve(inputs, self.depthwise_kernel, self.padding, self.dilation_rate)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return self.activation(outputs)


def _convolve(x: tf.Tensor, kernel: tf.Tensor, padding: str, dilation) -> tf.Tensor:
    strides, dilations = [1] * 4, [1, *dilation, 1]
    return tf.raw_ops.DepthwiseConv2dNative(
        input=x, filter=kernel, strides=strides, padding=padding.upper(), dilations=dilations
    )


@functools.cache
def _supported() -> bool:
    """Whether this machine computes on CPUs, by kernels that know dilation."""
    if not computes_on_cpu():
        return False
    try:
        _convolve(tf.zeros([1, 8, 8, 4]), tf.zeros([3, 3, 4, 1]), "same", (2, 2))
    except tf.errors.OpError:
        return False
    return True
