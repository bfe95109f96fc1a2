"""Parameters and multiply-adds of a network."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf
import tf_keras

_CONVOLUTIONS = (tf_keras.layers.Conv2D, tf_keras.layers.DepthwiseConv2D)


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of a network for one image.

    Attributes:
      height: height of the input image, in pixels.
      width: width of the input image, in pixels.
      variables: number of all variables, moving averages of batch norm included.
      weights: number of weights and biases after batch norm is folded into the convolutions.
      multiply_adds: number of multiply-adds of all convolutions; resizes, pooling and activations
        are not counted.
      outputs: number of values of all convolutions' outputs, which training keeps for each image.
    """

    height: int
    width: int
    variables: int
    weights: int
    multiply_adds: int
    outputs: int

    def __str__(self) -> str:
        return (
            f"{self.variables:,} variables ({self.weights:,} weights and biases with batch norm "
            f"folded), {self.multiply_adds:,} multiply-adds at {self.height}x{self.width}"
        )


def count(model: tf_keras.Model, height: int, width: int) -> Cost:
    """Counts variables and multiply-adds of a functional model of plain layers.

    Args:
      model: network with inputs [batch, height, width, 3].
      height: height of one image, in pixels.
      width: width of one image, in pixels.

    Returns:
      Its cost for one image. A convolution that is applied several times (shared by the pyramid's
      levels) is counted as often in the multiply-adds and once in the weights.
    """
    kernels, outputs = [], []
    weights = 0
    for layer in model.layers:
        if not isinstance(layer, _CONVOLUTIONS):
            continue
        depthwise = isinstance(layer, tf_keras.layers.DepthwiseConv2D)
        kernel = layer.depthwise_kernel if depthwise else layer.kernel
        channels = kernel.shape[2] * kernel.shape[3] if depthwise else kernel.shape[3]
        weights += math.prod(kernel.shape) + channels
        for node in range(len(layer.inbound_nodes)):
            # Products per output pixel: every weight of the kernel is used once.
            kernels.append(math.prod(kernel.shape))
            outputs.append(layer.get_output_at(node))
    every = tf_keras.Model(model.inputs, outputs)
    trace = tf.function(lambda images: every(images, training=False)).get_concrete_function(
        tf.TensorSpec([1, height, width, 3], tf.float32)
    )
    sizes = [output.shape[1] * output.shape[2] for output in trace.structured_outputs]
    multiply_adds = sum(kernel * size for kernel, size in zip(kernels, sizes))
    values = sum(size * output.shape[3] for size, output in zip(sizes, trace.structured_outputs))
    return Cost(height, width, model.count_params(), weights, multiply_adds, values)
