"""Batch norm: folded into convolutions, and its moving averages measured on images or left."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.models.exchange import Kinds, made
from mosaic.models.layers import AddByChannel, Normalize
from mosaic.utils.errors import UserError

_CONVOLUTIONS = (tf_keras.layers.Conv2D, tf_keras.layers.DepthwiseConv2D)


def folded(
    model: tf_keras.Model, divided: bool = True, kinds: Kinds | None = None
) -> tf_keras.Model:
    """Simplifies a network for inference; outputs differ by rounding alone.

    On a CPU TensorFlow fuses batch norm with ordinary convolutions, but not with depthwise ones,
    where batch norm takes two thirds of the time of the convolution, and it normalises the image in
    three passes. Here a batch norm that is the only user of a convolution's output becomes part of
    the convolution, and normalisation's division becomes part of the first convolution.

    Args:
      model: functional model of plain layers.
      divided: whether the first convolution takes over the division; without, normalisation keeps
        its meaning and is a product and a sum.
      kinds: class that takes the place of each class of layers that is not kept; None keeps all.

    Returns:
      A network for inference with the weights that `model` has now; `model` itself if it has no
      such batch norm.
    """
    norms = {layer.name: norm for layer in model.layers if (norm := _norm_after(layer))}
    if not norms:
        return model
    gone = {norm.name for norm in norms.values()}
    normalize, first = beginning(model)

    def copied(layer):
        if layer.name in gone:
            return tf_keras.layers.Activation("linear", name=layer.name)
        if layer is normalize:
            # Convolutions pad with 0, which must still stand for the mean colour.
            if divided:
                return AddByChannel([-m for m in layer.mean], name=layer.name)
            scales = [1 / s for s in layer.std]
            offsets = [-m * scale for m, scale in zip(layer.mean, scales)]
            return tf_keras.layers.Rescaling(scales, offsets, name=layer.name)
        settings = layer.get_config()
        if layer.name in norms:
            settings["use_bias"] = True
        return made(layer, settings, kinds or {})

    copy = tf_keras.models.clone_model(model, clone_function=copied)
    for layer in model.layers:
        if layer.name in gone:
            continue
        values = layer.get_weights()
        if layer.name in norms:
            values = _fold(layer, norms[layer.name])
        if layer is first and divided:
            values[0] = values[0] / np.asarray(normalize.std, np.float32)[:, np.newaxis]
        copy.get_layer(layer.name).set_weights(values)
    return copy


def beginning(model: tf_keras.Model) -> tuple[Normalize | None, tf_keras.layers.Conv2D | None]:
    """Returns the normalisation and the convolution that is its only user, or (None, None).

    Zeros may be put around the image between the two: they still stand for the mean colour.
    """
    for layer in model.layers:
        if isinstance(layer, Normalize):
            after = _only_after(layer)
            if isinstance(after, tf_keras.layers.ZeroPadding2D):
                after = _only_after(after)
            return (layer, after) if type(after) is tf_keras.layers.Conv2D else (None, None)
    return None, None


def _only_after(layer) -> tf_keras.layers.Layer | None:
    """The only user of a layer's output; None if there are several or none."""
    following = {id(node.outbound_layer): node.outbound_layer for node in layer.outbound_nodes}
    return next(iter(following.values())) if len(following) == 1 else None


def _norm_after(layer) -> tf_keras.layers.BatchNormalization | None:
    """The batch norm that is the only user of a convolution and sees nothing else, or None."""
    if not isinstance(layer, _CONVOLUTIONS) or layer.activation is not tf_keras.activations.linear:
        return None
    norm = _only_after(layer)
    if not isinstance(norm, tf_keras.layers.BatchNormalization):
        return None
    sources = {id(node.inbound_layers) for node in norm.inbound_nodes}
    return norm if sources == {id(layer)} else None


def _fold(layer, norm) -> list[np.ndarray]:
    """Kernel and bias of convolution and batch norm together, computed in double precision."""
    kernel, *bias = (np.asarray(value, np.float64) for value in layer.get_weights())
    ones = np.ones(norm.moving_mean.shape)
    gamma = norm.gamma.numpy() if norm.scale else ones
    beta = norm.beta.numpy() if norm.center else 0 * ones
    scale = gamma / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
    offset = beta + (sum(bias) - norm.moving_mean.numpy()) * scale
    depthwise = isinstance(layer, tf_keras.layers.DepthwiseConv2D)
    # A depthwise kernel's last two axes, channel and multiplier, make the output's channels.
    factor = scale.reshape(kernel.shape[2:]) if depthwise else scale
    return [(kernel * factor).astype(np.float32), offset.astype(np.float32)]


def normalized(layer: tf_keras.layers.BatchNormalization, x: tf.Tensor) -> tf.Tensor:
    """Normalises a batch as a layer does in training, without updating its moving averages.

    Args:
      layer: batch norm over the last axis, with scale and offset.
      x: [batch, height, width, channels].
    """
    x = tf.cast(x, layer.compute_dtype)
    if layer.fused:
        return tf.compat.v1.nn.fused_batch_norm(x, layer.gamma, layer.beta, epsilon=layer.epsilon)[
            0
        ]
    # Of all replicas, where the layer is synchronised.
    inputs = tf.cast(x, tf.float32)
    mean, variance = layer._calculate_mean_and_var(inputs, [0, 1, 2], False)
    result = tf.nn.batch_normalization(
        inputs, mean, variance, layer.beta, layer.gamma, layer.epsilon
    )
    return tf.cast(result, x.dtype)


def calibrate(model: tf_keras.Model, images: Iterable[np.ndarray]) -> None:
    """Sets batch norm's moving averages to statistics of images; inference stays the same.

    Files with batch norm folded into convolutions do not say what its averages were. Inference
    works with any; but training mode computes the same as inference only if they are the statistics
    of the layer's inputs.

    The inputs of every batch norm in inference are measured in one pass, since no layer's output
    changes. Its scale and offset are set to give the same function of the input as before.

    Args:
      model: functional model of plain layers.
      images: uint8 or float [height, width, 3] each, in 0..255; an image counts by its number of
        pixels.

    Raises:
      UserError: there are no images, or some statistics are not finite.
    """
    norm = tf_keras.layers.BatchNormalization
    norms = [layer for layer in model.layers if isinstance(layer, norm)]
    statistics = _statistics(model, norms, images)
    for layer, (mean, variance) in zip(norms, statistics):
        gamma, beta, old_mean, old_variance = (w.astype(np.float64) for w in layer.get_weights())
        factor = gamma / np.sqrt(old_variance + layer.epsilon)
        gamma = factor * np.sqrt(variance + layer.epsilon)
        layer.set_weights([gamma, beta + factor * (mean - old_mean), mean, variance])


def _statistics(
    model: tf_keras.Model, norms: list, images: Iterable[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean and variance, [channels] each, of every layer's input over all its uses and images."""
    uses = [(k, node) for k, layer in enumerate(norms) for node in range(len(layer.inbound_nodes))]
    inputs = tf_keras.Model(model.inputs, [norms[k].get_input_at(node) for k, node in uses])

    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.float32)])
    def moments(pixels):
        """Means, variances and counts per channel, so that the feature maps are soon freed."""
        results = []
        for x in tf.nest.flatten(inputs(pixels, training=False)):
            mean, variance = tf.nn.moments(x, [0, 1, 2])
            results.append((mean, variance, tf.size(x) / tf.shape(x)[-1]))
        return results

    totals = [[np.float64(0), np.float64(0), np.float64(0)] for _ in norms]
    for image in images:
        results = moments(tf.constant(np.asarray(image, np.float32)[np.newaxis]))
        for (k, _), result in zip(uses, results):
            _merge(totals[k], *(np.asarray(value, np.float64) for value in result))
    if any(count == 0 for _, _, count in totals):
        raise UserError("batch norm's statistics need at least one image")
    if not all(np.all(np.isfinite(mean + variance)) for mean, variance, _ in totals):
        raise UserError("batch norm's statistics on these images are not finite")
    return [(mean, variance) for mean, variance, _ in totals]


def _merge(total: list, mean: np.ndarray, variance: np.ndarray, count: np.ndarray) -> None:
    """Adds one image's statistics to a total (Chan et al., 1979: no sums of large squares)."""
    old_mean, old_variance, old_count = total
    whole = old_count + count
    share = count / whole
    shift = mean - old_mean
    total[0] = old_mean + share * shift
    total[1] = (1 - share) * old_variance + share * variance + share * (1 - share) * shift**2
    total[2] = whole
