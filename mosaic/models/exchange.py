"""Layers of a network exchanged for others with the same settings and weights."""

from __future__ import annotations

from collections.abc import Mapping

import tf_keras


def exchanged(
    model: tf_keras.Model, kinds: Mapping[type[tf_keras.layers.Layer], type[tf_keras.layers.Layer]]
) -> tf_keras.Model:
    """Returns a copy of a network in which layers of other classes stand for some.

    Args:
      model: functional model of plain layers, which stays as it is.
      kinds: class that takes the place of each class that is not kept; subclasses are kept.
    """

    def copied(layer):
        return kinds.get(type(layer), type(layer)).from_config(layer.get_config())

    copy = tf_keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy
