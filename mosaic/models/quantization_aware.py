"""Quantization-aware training: a float network with the rounding of an int8 file inside.

The layers are those of the float network. TensorFlow Model Optimization's wrappers round the
convolutions' kernels, and are layers of their own where an int8 file stores a tensor
(`mosaic.models.quantizer_placement`). Its scheme for whole models is not used: it supports neither
layers with several uses, which the pyramid's levels share, nor this project's own layers, and it
rounds a depthwise kernel by one scale for all channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Annotated

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
from mosaic.utils.settings import FRACTION

# Part of a range that may be left over from its first values, as a fraction of its upper end.
_UNUSED = 0.05


@dataclasses.dataclass(frozen=True)
class _Origin:
    """Origin of a network with rounding; not a Keras object, so that Keras does not track it.

    Attributes:
      network: float network that it was made from.
      groups: variables (low, high) of the tensors that share a range, by the group's number.
    """

    network: tf_keras.Model
    groups: dict[int, list]


class QuantizeAwareModel(tf_keras.Model):
    """A functional network made by `quantize_aware`, which knows its float network."""

    def __init__(self, *args, origin: _Origin | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self._origin = origin


@gin.configurable(module="networks")
def quantize_aware(
    model: tf_keras.Model, range_decay: Annotated[float, FRACTION] = 0.99
) -> tf_keras.Model:
    """Builds a network that computes as its int8 file will, for training and for evaluation.

    Kernels have one scale for each output channel, as in the file after batch norm is folded into
    them; tensors between layers have one range each, or share one
    (`mosaic.models.quantizer_placement`). Gradients ignore rounding; values cut off at the ends of
    a range have no gradient.

    Args:
      model: network of convolutions, batch norm, ReLU and the like, such as `@mosaic()`.
      range_decay: decay of the moving averages of each tensor's extremes over training batches, 0
        to 1.

    Returns:
      A network of the same name, inputs, outputs and variables, and also the variables `low` and
      `high` of the ranges. `float_network` gives the network that it was made from.

    Raises:
      UserError: a layer cannot be quantized.
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


def is_quantized(model: tf_keras.Model) -> bool:
    """Whether a network was made by `quantize_aware`."""
    return isinstance(model, QuantizeAwareModel)


def float_network(model: tf_keras.Model) -> tf_keras.Model:
    """Returns the float network that a quantized one was made from; a float network as it is."""
    return model._origin.network if is_quantized(model) else model


def check_kind(model: tf_keras.Model, path: str, variables: Iterable[str]) -> None:
    """Checks that both network and checkpoint are from quantization-aware training, or neither.

    Args:
      model: network of this project.
      path: path of the checkpoint, for messages.
      variables: names of the variables in the checkpoint.

    Raises:
      UserError: only one of them is.
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
      model: network made by `quantize_aware`, whose `float_network` has been loaded.
      images: uint8 or float [height, width, 3] each, in 0..255, as in training.
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


def has_settled(model: tf_keras.Model) -> bool:
    """Whether the ranges of a quantized network cover little that never occurs.

    TensorFlow Model Optimization's ranges begin at -6 to 6 and come to what occurs in thousands of
    steps. Until then the ranges of ReLU's outputs reach below 0, and quantization steps are larger.
    """
    variables = {variable.name: variable for variable in model.variables}
    ends = (
        [float(variables[f"{site.name}/{end}:0"].numpy()) for end in ("low", "high")]
        for site in quantizer_placement.sites(float_network(model))
        if site.measured and not site.signed
    )
    return all(low >= -_UNUSED * high for low, high in ends)


def for_file(model: tf_keras.Model) -> tf_keras.Model:
    """Returns a quantized network as TFLite's converter needs it.

    Kernels are not rounded: the converter rounds them as training did. Ranges are constants.

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
    # For a tensor that is always 0 any range will do.
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
