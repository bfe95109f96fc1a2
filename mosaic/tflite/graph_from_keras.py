"""Models of this project as the graphs of convolutions that `mosaic.tflite.graph` describes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tf_keras

from mosaic.models import layers, pooling, resizing
from mosaic.tflite import hard_sigmoid, paddings
from mosaic.tflite.graph import LINEAR, Affine, Convolution, MaxPool, Node, PoolRule


class Layers(NamedTuple):
    """A model's convolution and what follows it.

    Attributes:
      convolution: Conv2D or DepthwiseConv2D layer.
      norm: batch normalisation after it, or None.
    """

    convolution: tf_keras.layers.Layer
    norm: tf_keras.layers.BatchNormalization | None


def of_model(model: tf_keras.Model) -> Node:
    """Reduces a functional model of plain layers, with one output, to a graph.

    Returns:
      The node of the model's output. The content of a convolution is `Layers`, that of the input
      `Affine`. A layer that is applied several times has one node for each use.
    """
    config = model.get_config()
    pending = {
        (entry["name"], index): [tuple(source[:2]) for source in sources]
        for entry in config["layers"]
        for index, sources in enumerate(entry["inbound_nodes"] or [[]])
    }
    nodes: dict[tuple[str, int], Node] = {}
    while pending:
        ready = [key for key, sources in pending.items() if all(s in nodes for s in sources)]
        for key in ready:
            sources = tuple(nodes[source] for source in pending.pop(key))
            nodes[key] = _node(model.get_layer(key[0]), sources)
    return nodes[tuple(config["output_layers"][0][:2])]


def _node(layer: tf_keras.layers.Layer, sources: tuple[Node, ...]) -> Node:
    """The node of a layer; for a layer that belongs to the node before it, that node, changed."""
    for kinds, handler in _LAYERS:
        if isinstance(layer, kinds):
            node = handler(layer, sources)
            if node is not None:
                return node
    return Node(type(layer).__name__.lower(), layer.name, sources)


def _input(layer, sources: tuple[Node, ...]) -> Node:
    return Node("input", layer.name, content=Affine(np.ones(1), np.zeros(1), False))


def _normalize(layer, sources: tuple[Node, ...]) -> Node | None:
    if sources[0].kind != "input":
        return None
    mean, std = np.asarray(layer.mean), np.asarray(layer.std)
    return dataclasses.replace(sources[0], content=Affine(1.0 / std, -mean / std, True))


def _convolution(layer, sources: tuple[Node, ...]) -> Node:
    depthwise = isinstance(layer, tf_keras.layers.DepthwiseConv2D)
    kernel = layer.depthwise_kernel if depthwise else layer.kernel
    padding, (source,) = layer.padding, sources
    pads = paddings.centred(layer.kernel_size, layer.dilation_rate)
    if source.kind == "pad" and padding == "valid" and source.shape == pads:
        padding, sources = "centred", source.inputs
    shape = Convolution.of(
        kernel.shape[:2], kernel.shape[2:], layer.strides, layer.dilation_rate, padding
    )
    node = Node(
        "depthwise" if depthwise else "conv",
        layer.name,
        sources,
        shape,
        content=Layers(layer, None),
    )
    return _activated(node, layer)


def _batch_norm(layer, sources: tuple[Node, ...]) -> Node | None:
    node = sources[0]
    if not isinstance(node.content, Layers) or node.content.norm or node.options != LINEAR:
        return None
    return dataclasses.replace(node, content=node.content._replace(norm=layer))


def _activated(node: Node, layer) -> Node:
    name = tf_keras.activations.serialize(layer.activation)
    return dataclasses.replace(node, options=frozenset((name,)))


def _activation(layer, sources: tuple[Node, ...]) -> Node | None:
    return _activated(sources[0], layer) if _can_be_activated(sources[0]) else None


def _relu(layer, sources: tuple[Node, ...]) -> Node | None:
    limit = None if layer.max_value is None else float(layer.max_value)
    if layer.negative_slope or layer.threshold:
        return None
    if limit is None and sources[0].options == {"relu"}:
        return sources[0]
    if not _can_be_activated(sources[0]):
        return None
    name = "relu6" if limit == 6.0 else "relu"
    return dataclasses.replace(sources[0], options=frozenset((name,)), limit=limit)


def _hard(layer, sources: tuple[Node, ...]) -> Node | None:
    name = hard_sigmoid.NAME if isinstance(layer, layers.HardSigmoid) else "hard_swish"
    if not _can_be_activated(sources[0]):
        return None
    return dataclasses.replace(sources[0], options=frozenset((name,)))


def _pad(layer, sources: tuple[Node, ...]) -> Node:
    return Node("pad", layer.name, sources, tuple(map(tuple, layer.padding)))


def _can_be_activated(node: Node) -> bool:
    return node.kind in ("conv", "depthwise", "add") and node.options == LINEAR


def _pool(layer, sources: tuple[Node, ...]) -> Node:
    if isinstance(layer, pooling.PoolToBins):
        rule = PoolRule(f"{layer.bins} bins", lambda size, _: pooling.bin_window(size, layer.bins))
    elif isinstance(layer, pooling.PoolWindows):
        height, width = layer.window
        rule = PoolRule(f"windows of {height}x{width}", layer.step)
    else:
        rule = PoolRule("the whole map", lambda size, _: (size, size))
    return Node("pool", layer.name, sources, rule)


def _max_pool(layer, sources: tuple[Node, ...]) -> Node:
    shape = MaxPool(tuple(layer.pool_size), tuple(layer.strides), layer.padding)
    return Node("max_pool", layer.name, sources, shape)


def _resize(layer, sources: tuple[Node, ...]) -> Node:
    # The second tensor only gives the size.
    return Node("resize", layer.name, sources[:1], options=frozenset((layer.rule,)))


_LAYERS: tuple[tuple[Any, Callable], ...] = (
    (tf_keras.layers.InputLayer, _input),
    (layers.Normalize, _normalize),
    # Keras' DepthwiseConv2D is no Conv2D.
    ((tf_keras.layers.Conv2D, tf_keras.layers.DepthwiseConv2D), _convolution),
    (tf_keras.layers.BatchNormalization, _batch_norm),
    (tf_keras.layers.ReLU, _relu),
    (tf_keras.layers.Activation, _activation),
    ((layers.HardSigmoid, layers.HardSwish), _hard),
    (tf_keras.layers.ZeroPadding2D, _pad),
    (layers.Dropout, lambda layer, sources: sources[0]),
    (tf_keras.layers.Dropout, lambda layer, sources: sources[0]),
    (tf_keras.layers.Add, lambda layer, sources: Node("add", layer.name, sources)),
    (tf_keras.layers.Concatenate, lambda layer, sources: Node("concat", layer.name, sources)),
    (tf_keras.layers.Multiply, lambda layer, sources: Node("mul", layer.name, sources)),
    (
        (pooling.PoolToBins, pooling.PoolWindows, tf_keras.layers.GlobalAveragePooling2D),
        _pool,
    ),
    (tf_keras.layers.MaxPool2D, _max_pool),
    (
        layers.ChannelSlice,
        lambda layer, sources: Node("slice", layer.name, sources, (layer.start, layer.size)),
    ),
    (resizing.ResizeLike, _resize),
)
