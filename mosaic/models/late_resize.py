"""1x1 convolutions before resizes instead of after: the same function, in fewer products.

A 1x1 convolution treats all places alike, and a bilinear resize all channels, so they may change
places. Where a map is enlarged, put beside others and goes through a 1x1 convolution, its part of
the convolution then has as many products as the small map has places, and fewer channels are
enlarged. The parts are added.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import tf_keras
from tf_keras import layers as keras

from mosaic.models.resizing import ResizeLike


def before_resizes(network: tf_keras.Model) -> tf_keras.Model:
    """Returns a network for inference that resizes as late as possible, with the same weights.

    Args:
      network: functional model of plain layers; it comes back as it is where nothing is to gain.
    """
    changes = {}
    for conv in filter(is_pointwise, network.layers):
        resizes = [
            layer.name
            for layer in parts(conv)
            if type(layer) is ResizeLike
            and len(layer.outbound_nodes) == 1
            and (repeats_pixel(layer) or layer.output.shape[-1] >= conv.filters)
        ]
        if 0 < len(resizes) < len(parts(conv)):
            changes[conv.name] = resizes
    return apart(network, changes)


def is_pointwise(layer: keras.Layer) -> bool:
    """Whether a layer is a linear 1x1 convolution, and the only user of a concatenation."""
    return (
        type(layer) is keras.Conv2D
        and len(layer.inbound_nodes) == 1
        and (layer.kernel_size, layer.strides, layer.groups) == ((1, 1), (1, 1), 1)
        and layer.activation is tf_keras.activations.linear
        and isinstance(layer.input.node.layer, keras.Concatenate)
        and len(layer.input.node.layer.outbound_nodes) == 1
    )


def parts(conv: keras.Conv2D) -> list[keras.Layer]:
    """The layers whose outputs a convolution gets side by side, in their order."""
    return [part.node.layer for part in conv.input.node.layer.input]


def repeats_pixel(layer: keras.Layer) -> bool:
    """Whether a layer repeats a map of 1x1."""
    return type(layer) is ResizeLike and layer.input[0].shape[1:3] == (1, 1)


def apart(network: tf_keras.Model, changes: Mapping[str, Collection[str]]) -> tf_keras.Model:
    """Returns a network whose convolutions get some of their parts before the resize.

    A repeated pixel is not even resized: the sum repeats it. Without changes it is the same one.

    Args:
      network: functional model.
      changes: by the name of a convolution, as `is_pointwise` finds them, names of those of its
        `parts` that are resizes, and resize for it alone; not all.
    """
    if not changes:
        return network
    config = network.get_config()
    weights = {layer.name: layer.get_weights() for layer in network.layers if layer.weights}
    for name, resizes in changes.items():
        weights |= _divide(config, network.get_layer(name), resizes)
    result = tf_keras.Model.from_config(config)
    for layer, values in weights.items():
        result.get_layer(layer).set_weights(values)
    return result


def _divide(
    config: dict, conv: keras.Conv2D, resizes: Collection[str]
) -> dict[str, list[np.ndarray]]:
    """Changes the configuration of a network for one convolution; returns weights by layer."""
    name, concat = conv.name, conv.input.node.layer
    entries = {entry["name"]: entry for entry in config["layers"]}
    _hand_on(config, name, f"{name}_sum")
    kept, summands, kernels, gone = [], [], {}, set()
    kernel, *bias = conv.get_weights()
    slices = np.split(kernel, np.cumsum([part.shape[-1] for part in concat.input])[:-1], axis=2)
    for layer, node, weights in zip(parts(conv), entries[concat.name]["inbound_nodes"][0], slices):
        if layer.name not in resizes:
            summands += [] if kept else [name]
            kept.append((node, weights))
            continue
        is_pixel = repeats_pixel(layer)
        early = f"{name}_pooled" if is_pixel else f"{name}_of_{layer.name}"
        inputs = entries[layer.name]["inbound_nodes"][0]
        first = keras.Conv2D(conv.filters, 1, use_bias=False, name=early, dtype=conv.dtype_policy)
        _add(config, first, inputs[0])
        inputs[0] = _output(early)
        kernels[early] = [weights]
        gone |= {layer.name} if is_pixel else set()
        summands.append(early if is_pixel else layer.name)
    total = keras.Add(name=f"{name}_sum", dtype=conv.dtype_policy)
    _add(config, total, *map(_output, summands))
    if len(kept) == 1:
        gone.add(concat.name)
        entries[name]["inbound_nodes"] = [[kept[0][0]]]
    else:
        entries[concat.name]["inbound_nodes"] = [[node for node, _ in kept]]
    kernels[name] = [np.concatenate([weights for _, weights in kept], axis=2), *bias]
    config["layers"] = [entry for entry in config["layers"] if entry["name"] not in gone]
    return kernels


def _hand_on(config: dict, before: str, after: str) -> None:
    """Lets whatever takes a layer's output take another's."""
    for entry in config["layers"]:
        entry["inbound_nodes"] = [
            [[after if name == before else name, *rest] for name, *rest in node]
            for node in entry["inbound_nodes"]
        ]
    config["output_layers"] = [
        [after if name == before else name, *rest] for name, *rest in config["output_layers"]
    ]


def _add(config: dict, layer: keras.Layer, *inputs: list) -> None:
    entry = {**keras.serialize(layer), "name": layer.name, "inbound_nodes": [[*inputs]]}
    config["layers"].append(entry)


def _output(name: str) -> list:
    """A layer's output, as configurations name it."""
    return [name, 0, 0, {}]
