"""Networks restructured for float files: the same function of the image, in fewer operators.

Three things cost a float file of a small network a quarter of its time: normalisation, three
operators over the whole image; repeating a single pixel, an operator that kernel libraries lack and
that splits the network into parts; and multiplying that pixel by the same weights at every place.
Here normalisation is two operators, and where image-level features are concatenated with a map and
go through a 1x1 convolution, they go through their part of it once and are added.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tf_keras
from tf_keras import layers as keras

from mosaic.models import batch_norm
from mosaic.models.resizing import ResizeAlways, ResizeLike


@dataclasses.dataclass(frozen=True)
class _Split:
    """A 1x1 convolution of a concatenation, one of whose parts is a single pixel, repeated.

    Attributes:
      conv: name of the convolution.
      concat: name of the concatenation.
      resize: name of the layer that repeats the pixel.
      pixel: name of the layer that computes it.
      channels: the channels of the concatenation that are the pixel's.
    """

    conv: str
    concat: str
    resize: str
    pixel: str
    channels: slice

    @property
    def pooled(self) -> str:
        """Name of the convolution of the pixel."""
        return f"{self.conv}_pooled"

    @property
    def sum(self) -> str:
        """Name of the sum of both."""
        return f"{self.conv}_sum"

    @property
    def halves(self) -> list[str]:
        """Names of both, in the order of the concatenation: readers of the file tell it by that."""
        names = [self.pooled, self.conv]
        return names[:: 1 if self.channels.start == 0 else -1]


def in_floats(model: tf_keras.Model) -> tf_keras.Model:
    """Returns a network for float files with the weights that a network has now.

    Args:
      model: functional model of plain layers, which stays as it is.
    """
    network = batch_norm.folded(model, divided=False)
    for split in _splits(network):
        network = _apart(network, split)
    if not any(map(_repeats_pixel, network.layers)):
        return network

    def convert(layer):
        kind = ResizeAlways if type(layer) is ResizeLike else type(layer)
        return kind.from_config(layer.get_config())

    copy = tf_keras.models.clone_model(network, clone_function=convert)
    copy.set_weights(network.get_weights())
    return copy


def _splits(network: tf_keras.Model) -> list[_Split]:
    found = []
    for conv in network.layers:
        if type(conv) is not keras.Conv2D or (conv.kernel_size, conv.strides) != ((1, 1), (1, 1)):
            continue
        if conv.activation is not tf_keras.activations.linear:
            continue
        concat = conv.input.node.layer
        if not isinstance(concat, keras.Concatenate) or len(concat.outbound_nodes) > 1:
            continue
        first, last = concat.input[0], concat.input[-1]
        for part, channels in (
            (first, slice(0, first.shape[-1])),
            (last, slice(concat.output.shape[-1] - last.shape[-1], None)),
        ):
            resize = part.node.layer
            if _repeats_pixel(resize):
                pixel = resize.input[0].node.layer.name
                found.append(_Split(conv.name, concat.name, resize.name, pixel, channels))
                break
    return found


def _repeats_pixel(layer: keras.Layer) -> bool:
    """Whether a layer repeats a map of 1x1."""
    return type(layer) is ResizeLike and layer.input[0].shape[1:3] == (1, 1)


def _apart(network: tf_keras.Model, split: _Split) -> tf_keras.Model:
    """Returns a network whose convolution gets the pixel apart from the rest."""
    config = network.get_config()
    entries = {entry["name"]: entry for entry in config["layers"]}
    for entry in config["layers"]:
        nodes = entry["inbound_nodes"]
        entry["inbound_nodes"] = [
            [[split.sum if name == split.conv else name, *rest] for name, *rest in node]
            for node in nodes
        ]
    parts = entries[split.concat]["inbound_nodes"][0]
    kept = [part for part in parts if part[0] != split.resize]
    gone = {split.resize}
    if len(kept) == 1:
        gone.add(split.concat)
        entries[split.conv]["inbound_nodes"] = [kept]
    else:
        entries[split.concat]["inbound_nodes"] = [kept]
    conv = network.get_layer(split.conv)
    pooled = keras.Conv2D(conv.filters, 1, use_bias=False, name=split.pooled)
    for layer, inputs in (
        (pooled, [split.pixel]),
        (keras.Add(name=split.sum), split.halves),
    ):
        nodes = [[[name, 0, 0, {}] for name in inputs]]
        config["layers"].append(
            {**keras.serialize(layer), "name": layer.name, "inbound_nodes": nodes}
        )
    config["layers"] = [entry for entry in config["layers"] if entry["name"] not in gone]
    config["output_layers"] = [
        [split.sum if name == split.conv else name, *rest]
        for name, *rest in config["output_layers"]
    ]
    result = tf_keras.Model.from_config(config)
    for layer in network.layers:
        if layer.weights and layer.name != split.conv:
            result.get_layer(layer.name).set_weights(layer.get_weights())
    kernel, *bias = conv.get_weights()
    rest = np.delete(kernel, split.channels, axis=2)
    result.get_layer(split.conv).set_weights([rest, *bias])
    result.get_layer(split.pooled).set_weights([kernel[:, :, split.channels]])
    return result
