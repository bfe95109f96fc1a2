"""The same network for inference in fewer steps: arithmetic that TensorFlow leaves undone.

On a CPU TensorFlow fuses batch norm with ordinary convolutions, but not with depthwise ones, where
it costs two thirds of what they cost, and it normalises the image in three passes.
"""

from __future__ import annotations

import numpy as np
import tf_keras

from mosaic.layers import Normalize

_CONVOLUTIONS = (tf_keras.layers.Conv2D, tf_keras.layers.DepthwiseConv2D)


def folded(model: tf_keras.Model) -> tf_keras.Model:
    """Simplifies a network, exactly but for rounding.

    A batch norm that alone takes a convolution's output becomes part of it, and normalisation's
    division part of the first convolution.

    Args:
      model: a functional model of plain layers.

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
            # Zero, with which convolutions pad, stays the mean.
            return tf_keras.layers.Rescaling(1.0, [-m for m in layer.mean], name=layer.name)
        settings = layer.get_config()
        if layer.name in norms:
            settings["use_bias"] = True
        return type(layer).from_config(settings)

    copy = tf_keras.models.clone_model(model, clone_function=copied)
    for layer in model.layers:
        if layer.name in gone:
            continue
        values = layer.get_weights()
        if layer.name in norms:
            values = _fold(layer, norms[layer.name])
        if layer is first:
            values[0] = values[0] / np.asarray(normalize.std, np.float32)[:, np.newaxis]
        copy.get_layer(layer.name).set_weights(values)
    return copy


def beginning(model: tf_keras.Model) -> tuple[Normalize | None, tf_keras.layers.Conv2D | None]:
    """Returns the normalisation and the convolution that alone takes what comes of it, or Nones."""
    for layer in model.layers:
        if isinstance(layer, Normalize):
            after = _only_after(layer)
            return (layer, after) if type(after) is tf_keras.layers.Conv2D else (None, None)
    return None, None


def _only_after(layer) -> tf_keras.layers.Layer | None:
    """The layer that takes a layer's output, if no other does."""
    following = {id(node.outbound_layer): node.outbound_layer for node in layer.outbound_nodes}
    return next(iter(following.values())) if len(following) == 1 else None


def _norm_after(layer) -> tf_keras.layers.BatchNormalization | None:
    """The batch norm that takes a convolution's outputs and nothing else, if there is one."""
    if not isinstance(layer, _CONVOLUTIONS) or layer.activation is not tf_keras.activations.linear:
        return None
    norm = _only_after(layer)
    if not isinstance(norm, tf_keras.layers.BatchNormalization):
        return None
    sources = {id(node.inbound_layers) for node in norm.inbound_nodes}
    return norm if sources == {id(layer)} else None


def _fold(layer, norm) -> list[np.ndarray]:
    """Kernel and bias of both together, computed in double precision."""
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
