"""Quantization-aware training: a float network with the rounding of an 8-bit file inside.

The layers are those of the float network. TensorFlow Model Optimization's wrappers round the
convolutions' kernels, and stand as layers of their own where an 8-bit file writes a tensor
(`mosaic.models.quantizer_placement`). Its scheme for whole models is not used: it knows neither
layers with several uses, as the pyramid's levels share them, nor this project's own, and rounds a
depthwise kernel by one scale for all channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import gin
import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.models import quantizer_placement
from mosaic.models.batch_norm import beginning
from mosaic.models.fake_quant import FixedRange, RangedPool
from mosaic.models.pooling import PoolToBins
from mosaic.models.quantizers import KernelQuantizer, RangeQuantizer, Rounding, RoundingWrapper
from mosaic.utils.errors import UserError


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
        output = RangeQuantizer(groups[site.group], site, range_decay)
        return RoundingWrapper(layer, Rounding(output=output), name_prefix="")

    def convert(layer):
        copy = layer.__class__.from_config(layer.get_config())
        if not isinstance(layer, quantizer_placement.CONVOLUTIONS):
            return copy
        kernel = (
            KernelQuantizer(normalize.std)
            if first and layer.name == first.name
            else KernelQuantizer()
        )
        return RoundingWrapper(copy, Rounding(kernel), name_prefix="")

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
