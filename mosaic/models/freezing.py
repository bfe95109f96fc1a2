"""Layers that training leaves as they are."""

from __future__ import annotations

from collections.abc import Sequence

import tf_keras

from mosaic.utils.errors import UserError, nearest


def freeze(model: tf_keras.Model, prefixes: Sequence[str]) -> None:
    """Keeps layers as they are in training; their batch norms use their moving statistics.

    Args:
      model: network, plain or of quantization-aware training.
      prefixes: beginnings of the names of layers, such as `backbone_`.

    Raises:
      UserError: no layer's name begins with one of them, or nothing is left to train.
    """
    for prefix in prefixes:
        frozen = [layer for layer in model.layers if layer.name.startswith(prefix)]
        if not frozen:
            names = dict.fromkeys(layer.name.split("_")[0] + "_" for layer in model.layers)
            raise UserError(
                f"train.frozen_prefixes: no layer of the network begins with {prefix!r}"
                f"{nearest(prefix, names)}; --show_config prints the layers"
            )
        for layer in frozen:
            layer.trainable = False
    if not model.trainable_variables:
        raise UserError(f"train.frozen_prefixes = {tuple(prefixes)!r} leaves nothing to train")
