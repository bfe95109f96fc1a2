"""Rounding to 8 bits in training: TensorFlow Model Optimization's wrappers with our quantizers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from mosaic.models import quantizer_placement

_Quantizer = tfmot.quantization.keras.quantizers.Quantizer


class RoundingWrapper(tfmot.quantization.keras.QuantizeWrapperV2):
    """The wrapper of TensorFlow Model Optimization, for images of any size."""

    def compute_output_shape(self, input_shape) -> tf.TensorShape:
        return self.layer.compute_output_shape(input_shape)

    # TensorFlow's wrapper trains the kernel of a frozen layer.

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        return super().trainable_weights if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[tf.Variable]:
        frozen = [] if self.trainable else self._trainable_weights
        return self._dedup_weights(super().non_trainable_weights + frozen)


class KernelQuantizer(_Quantizer):
    """Rounds a kernel to 8 bits, symmetric, with one scale for each output channel.

    The scale is computed from the current kernel, as it will be when the file is written.

    Args:
      divisors: number that normalisation divides each input channel by: in the file this is part of
        the first convolution (`mosaic.export.int8_rewrite`).
    """

    def __init__(self, divisors: Sequence[float] = (1.0,)):
        self._divisors = np.reshape(divisors, [-1, 1]).astype(np.float32)

    def build(self, tensor_shape, name, layer):
        return {}

    def __call__(self, inputs, training, weights, **kwargs):
        # Depthwise kernels are [height, width, channels, 1].
        channels = inputs.shape[-1] if inputs.shape[-1] > 1 else inputs.shape[-2]
        kernel = tf.reshape(inputs / self._divisors, [-1, channels])
        most = tf.reduce_max(tf.abs(kernel), axis=0)
        rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            kernel, -most, most, narrow_range=True
        )
        rounded = tf.reshape(rounded, inputs.shape) * self._divisors
        return inputs + tf.stop_gradient(rounded - inputs)

    def get_config(self) -> dict:
        return {}


class RangeQuantizer(_Quantizer):
    """Rounds a tensor to 8 bits, from the least to the greatest value of its group.

    Each measured tensor has moving averages of its extremes over training batches; the range goes
    from the least to the greatest in the group.

    Args:
      group: variables (low, high); one list for all tensors that share a range.
      site: place of the tensor in the network.
      decay: decay of the moving averages, 0 to 1.
    """

    def __init__(self, group: list, site: quantizer_placement.Site, decay: float):
        self._group = group
        self._site = site
        self._decay = decay

    def build(self, tensor_shape, name, layer):
        if not self._site.measured:
            return {}
        low, high = (
            layer.add_weight(
                end,
                initializer="zeros",
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.MEAN,
            )
            for end in ("low", "high")
        )
        self._group.append((low, high))
        return {"low": low, "high": high}

    def __call__(self, inputs, training, weights, **kwargs):
        if training and weights:
            # Ranges that were never measured are set by the first batch.
            is_new = tf.equal(weights["high"], weights["low"])
            rate = tf.where(is_new, 1.0, 1.0 - self._decay)
            most = tf.maximum(tf.reduce_max(inputs), 0.0)
            weights["high"].assign_add(rate * (most - weights["high"]))
            least = tf.minimum(tf.reduce_min(inputs), 0.0) if self._site.signed else 0.0
            weights["low"].assign_add(rate * (least - weights["low"]))
        low = tf.reduce_min([low for low, _ in self._group])
        high = tf.reduce_max([high for _, high in self._group])
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)

    def get_config(self) -> dict:
        return {}


class Rounding(tfmot.quantization.keras.QuantizeConfig):
    """What is rounded of a layer: the kernel of a convolution, or the output."""

    def __init__(self, kernel: KernelQuantizer | None = None, output: RangeQuantizer | None = None):
        self._kernel = kernel
        self._output = output

    def _attribute(self, layer) -> str:
        is_depthwise = isinstance(layer, tf_keras.layers.DepthwiseConv2D)
        return "depthwise_kernel" if is_depthwise else "kernel"

    def get_weights_and_quantizers(self, layer):
        return [(getattr(layer, self._attribute(layer)), self._kernel)] if self._kernel else []

    def set_quantize_weights(self, layer, quantize_weights):
        for kernel in quantize_weights:
            setattr(layer, self._attribute(layer), kernel)

    def get_activations_and_quantizers(self, layer):
        return []

    def set_quantize_activations(self, layer, quantize_activations):
        pass

    def get_output_quantizers(self, layer):
        return [self._output] if self._output else []

    def get_config(self) -> dict:
        return {}
