"""Features of loaded layers, brought to the scale that new layers are made for.

The scale of a loaded layer's features is whatever suited the next layer of its old network. A new
layer in that place learns faster by the square of that scale: with features of root mean square 10,
training diverges at a learning rate that suits features of root mean square 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.models.resizing import ResizeLike

# Layers that pass a factor of their input on to their output.
_HOMOGENEOUS = (
    tf_keras.layers.ReLU,
    tf_keras.layers.Add,
    tf_keras.layers.Concatenate,
    ResizeLike,
)


def rescale_features(
    model: tf_keras.Model,
    is_loaded: Callable[[str], bool],
    images: Iterable[np.ndarray],
    above: float = 0.0,
) -> dict[str, float]:
    """Scales batch norms so that the inputs of new layers have a root mean square of 1.

    Only those batch norms change whose output goes to new layers alone, directly or through ReLU,
    sums, concatenations and resizes. What the loaded layers can tell apart stays the same.

    Args:
      model: functional model of plain layers.
      is_loaded: function of a layer's name: whether the layer has loaded weights.
      images: uint8 or float [height, width, 3] each, in 0..255, as in training.
      above: root mean square up to which inputs stay as they are.

    Returns:
      The old root mean square of each input that was brought to 1, by the new layer's name.
    """
    images = list(images)
    found = {}
    for layer in model.layers:
        if not layer.weights or is_loaded(layer.name):
            continue
        norms = _norms_before(layer)
        if not norms or not all(_feeds_only(norm, layer) for norm in norms):
            continue
        features = tf.function(tf_keras.Model(model.inputs, layer.input))
        squares = [
            float(tf.reduce_mean(tf.square(features(tf.constant(image[np.newaxis], tf.float32)))))
            for image in images
        ]
        root = float(np.sqrt(np.mean(squares)))
        if not root > above:
            continue
        for norm in norms:
            norm.gamma.assign(norm.gamma / root)
            norm.beta.assign(norm.beta / root)
        found[layer.name] = root
    return found


def _norms_before(layer) -> list:
    """The batch norms that a layer's input comes from; none if it also comes from anything else."""
    norms = []
    for source in _sources(layer):
        if isinstance(source, tf_keras.layers.BatchNormalization):
            norms.append(source)
        elif isinstance(source, _HOMOGENEOUS) and not getattr(source, "max_value", None):
            before = _norms_before(source)
            if not before:
                return []
            norms += before
        else:
            return []
    return norms


def _sources(layer) -> Iterator:
    inputs = tf.nest.flatten(layer.input)
    # A resize takes only the size of its second input.
    for tensor in inputs[:1] if isinstance(layer, ResizeLike) else inputs:
        yield tensor.node.layer


def _feeds_only(layer, goal) -> bool:
    """Whether all paths from a layer's output lead to `goal`, through homogeneous layers alone."""
    following = [node.outbound_layer for node in layer.outbound_nodes]
    return bool(following) and all(
        after is goal or (isinstance(after, _HOMOGENEOUS) and _feeds_only(after, goal))
        for after in following
    )
