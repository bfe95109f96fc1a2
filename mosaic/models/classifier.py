"""The layers of a network whose shapes are those of the classes."""

from __future__ import annotations

import tensorflow as tf
import tf_keras

from mosaic.models.resizing import ResizeLike

_CONVOLUTIONS = (tf_keras.layers.Conv2D, tf_keras.layers.DepthwiseConv2D)


def classifier(model: tf_keras.Model) -> frozenset[str]:
    """Returns the names of the layers that make logits: the last convolutions and what follows.

    Args:
      model: functional model of plain layers whose output are logits. MOSAIC has several last
        convolutions, the sum of whose outputs are the logits, and so has LR-ASPP.
    """
    found: set[str] = set()
    waiting = [model.output.node.layer]
    while waiting:
        layer = waiting.pop()
        if layer.name in found:
            continue
        found.add(layer.name)
        if not isinstance(layer, _CONVOLUTIONS):
            inputs = tf.nest.flatten(layer.input)
            # The second input of a resize only gives the size.
            inputs = inputs[:1] if isinstance(layer, ResizeLike) else inputs
            waiting += [tensor.node.layer for tensor in inputs]
    return frozenset(name for name in found if model.get_layer(name).weights)
