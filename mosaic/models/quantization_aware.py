"""Quantization-aware training: a float network with the rounding of an 8-bit file inside.

The layers are those of the float network. TensorFlow Model Optimization's wrappers round the
convolutions' kernels, and stand as layers of their own where an 8-bit file writes a tensor
(`mosaic.models.quantizer_placement`). Its scheme for whole models is not used: it knows neither
layers with several uses, as the pyramid's levels share them, nor this project's own, and rounds a
depthwise kernel by one scale for all channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import gin
import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from mosaic.models import quantizer_placement
from mosaic.models.batch_norm import beginning
from mosaic.models.fake_quant import FixedRange, RangedPool
from mosaic.models.pooling import PoolToBins
from mosaic.utils.errors import UserError

_Quantizer = tfmot.quantization.keras.quantizers.Quantizer


@dataclasses.dataclass(frozen=True)
class _Origin:
    """What a network with rounding was made of; no Keras object, so that nothing tracks it.

    Attributes:
      network: the float network.
      groups: by a group's number, the variables (low, high) of the tensors that share its range.
    """

    network: tf_keras.Model
    groups: dict[int, list]


class QuantizeAwareModel(tf_keras.Model):
    """A functional network of `quantize_aware`, which knows the float network that it came from."""

    def __init__(self, *args, origin: _Origin | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self._origin = origin


class _Wrapper(tfmot.quantization.keras.QuantizeWrapperV2):
    """The wrapper of TensorFlow Model Optimization, for images of any size."""

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)


class _Kernel(_Quantizer):
    """Rounds a kernel to 8 bits, symmetric, with one scale for each output channel.

    The scale is that of the kernel as it is, as it will be when the file is written.

    Args:
      divisors: of its input channels: what normalisation divides them by, which the file's first
        convolution has taken in (`mosaic.export.int8_rewrite`).
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

    def get_config(self):
        return {}


class _Range(_Quantizer):
    """Rounds a tensor to 8 bits, from the least to the greatest value of its group.

    Each measured tensor keeps moving averages of its extremes in the training batches; the range
    is from the least to the greatest of the group's.

    Args:
      group: of the variables (low, high); one list for all tensors that share a range.
      site: where the tensor is.
      decay: of the moving averages.
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
            # The first batch of a network whose ranges were never measured sets them.
            is_new = tf.equal(weights["high"], weights["low"])
            rate = tf.where(is_new, 1.0, 1.0 - self._decay)
            most = tf.maximum(tf.reduce_max(inputs), 0.0)
            weights["high"].assign_add(rate * (most - weights["high"]))
            if self._site.signed:
                least = tf.minimum(tf.reduce_min(inputs), 0.0)
                weights["low"].assign_add(rate * (least - weights["low"]))
        low = tf.reduce_min([low for low, _ in self._group])
        high = tf.reduce_max([high for _, high in self._group])
        return tf.quantization.fake_quant_with_min_max_vars(inputs, low, high)

    def get_config(self):
        return {}


class _Rounding(tfmot.quantization.keras.QuantizeConfig):
    """What of a layer is rounded: the kernel of a convolution, or its output."""

    def __init__(self, kernel: _Kernel | None = None, output: _Range | None = None):
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

    def get_config(self):
        return {}


@gin.configurable(module="networks")
def quantize_aware(model: tf_keras.Model, range_decay: float = 0.99) -> tf_keras.Model:
    """Builds a network that computes as its full 8-bit file will: for training, and to score.

    Kernels have one scale for each output channel, as in the file after batch norm is folded into
    them; tensors between layers have one range each, or share it
    (`mosaic.models.quantizer_placement`). Gradients pass rounding as if it were not there, and what
    is cut off at a range's ends has none.

    Args:
      model: a network of convolutions, batch norm, ReLU and the like, such as `@mosaic()`.
      range_decay: of the moving averages of each tensor's extremes over training batches.

    Returns:
      A network of the same name, inputs, outputs and variables, to which ranges add `low` and
      `high`. `float_network` has the one that it was made of.

    Raises:
      UserError: a layer has no 8-bit form.
    """
    sites = quantizer_placement.sites(model)
    normalize, first = beginning(model)
    groups: dict[int, list] = {site.group: [] for site in sites}

    def make(site):
        layer = tf_keras.layers.Activation("linear", name=site.name)
        output = _Range(groups[site.group], site, range_decay)
        return _Wrapper(layer, _Rounding(output=output), name_prefix="")

    def convert(layer):
        copy = layer.__class__.from_config(layer.get_config())
        if not isinstance(layer, quantizer_placement.CONVOLUTIONS):
            return copy
        kernel = _Kernel(normalize.std) if first and layer.name == first.name else _Kernel()
        return _Wrapper(copy, _Rounding(kernel), name_prefix="")

    result = quantizer_placement.insert(model, sites, make, convert)
    return QuantizeAwareModel(
        result.inputs, result.outputs, name=result.name, origin=_Origin(model, groups)
    )


def is_quantized(model) -> bool:
    """Whether a network is one of `quantize_aware`."""
    return isinstance(model, QuantizeAwareModel)


def float_network(model: tf_keras.Model) -> tf_keras.Model:
    """Returns the float network that a quantized one was made of; any other as it is."""
    return model._origin.network if is_quantized(model) else model


def check_kind(model: tf_keras.Model, path: str, variables: Iterable[str]) -> None:
    """Checks that network and checkpoint are both of quantization-aware training, or neither.

    Args:
      model: a network of this project.
      path: of the checkpoint, for messages.
      variables: the names of what it holds.

    Raises:
      UserError: one is and the other is not.
    """
    has_ranges = any(map(quantizer_placement.is_variable, variables))
    if has_ranges and not is_quantized(model):
        raise UserError(
            f"{path}: a checkpoint of quantization-aware training, and a float network; use the "
            "run's own configuration, or a float checkpoint"
        )
    if is_quantized(model) and not has_ranges:
        raise UserError(
            f"{path}: a float checkpoint, and a network of quantization-aware training, which also "
            "needs ranges; train from it (INIT_CHECKPOINT) in a new --model_dir, or use its own "
            "configuration"
        )


def start(model: tf_keras.Model, images: Iterable[np.ndarray]) -> None:
    """Gives a quantized network its float network's weights, and ranges measured on images.

    Args:
      model: of `quantize_aware`, whose `float_network` has been loaded.
      images: uint8 or float [height, width, 3] in 0..255, as in training.
    """
    network = float_network(model)
    quantizer_placement.assign(model, network)
    sites = [site for site in quantizer_placement.sites(network) if site.measured]
    tensors = [
        network.get_layer(name).get_output_at(use) for name, use in (s.output for s in sites)
    ]
    inside = tf_keras.Model(network.inputs, tensors)

    @tf.function(reduce_retracing=True)
    def extremes(image):
        outputs = tf.nest.flatten(inside(image[tf.newaxis], training=False))
        return tf.stack([[tf.reduce_min(x), tf.reduce_max(x)] for x in outputs])

    found = np.stack([extremes(tf.cast(image, tf.float32)).numpy() for image in images])
    lows, highs = np.minimum(found[..., 0].min(0), 0), np.maximum(found[..., 1].max(0), 0)
    variables = {variable.name: variable for variable in model.variables}
    for site, low, high in zip(sites, lows, highs):
        variables[f"{site.name}/low:0"].assign(low)
        variables[f"{site.name}/high:0"].assign(high)


def for_file(model: tf_keras.Model) -> tf_keras.Model:
    """Returns a quantized network as TFLite's converter takes it.

    Kernels are as they are trained, for the converter rounds them as training did; ranges are
    numbers.

    Raises:
      UserError: a range was never measured.
    """
    network = float_network(model)
    found = {}
    for group, variables in model._origin.groups.items():
        low, high = (
            float(choose(*(variable.numpy() for variable in ends), 0.0))
            for choose, ends in zip((min, max), zip(*variables))
        )
        found[group] = low, high
    if not any(map(any, found.values())):
        raise UserError(
            f"{model.name}: ranges have no values yet; load a checkpoint of quantization-aware "
            "training"
        )
    # Any range holds what is always 0.
    found = {group: ends if any(ends) else (0.0, 1.0) for group, ends in found.items()}
    sites = quantizer_placement.sites(network)
    pools = {site.output[0]: found[site.group] for site in sites if not site.measured}

    def convert(layer):
        settings = layer.get_config()
        if isinstance(layer, PoolToBins):
            low, high = pools[layer.name]
            return RangedPool(**settings, low=low, high=high)
        return layer.__class__.from_config(settings)

    fixed = quantizer_placement.insert(
        network, sites, lambda site: FixedRange(*found[site.group], name=site.name), convert
    )
    quantizer_placement.assign(fixed, model)
    return fixed
