"""Layers of a network exchanged for others with the same settings and weights."""

from __future__ import annotations

from collections.abc import Mapping

import tf_keras

# The class that takes the place of each class that is not kept; subclasses are kept.
Kinds = Mapping[type[tf_keras.layers.Layer], type[tf_keras.layers.Layer]]


def exchanged(model: tf_keras.Model, kinds: Kinds) -> tf_keras.Model:
    """Returns a copy of a network in which layers of other classes stand for some.

    Args:
      model: functional model of plain layers, which stays as it is.
      kinds: class that takes the place of each class that is not kept.
    """
    copy = tf_keras.models.clone_model(
        model, clone_function=lambda layer: made(layer, layer.get_config(), kinds)
    )
    copy.set_weights(model.get_weights())
    return copy


def made(layer: tf_keras.layers.Layer, settings: dict, kinds: Kinds) -> tf_keras.layers.Layer:
    """Makes a layer of the class that takes the place of a layer's, or of its own."""
    return kinds.get(type(layer), type(layer)).from_config(settings)
