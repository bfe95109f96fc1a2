"""Networks as graphs of convolutions: what is computed from what, whoever wrote it down.

A model of this project and a TFLite file (`mosaic.tflite_graph`) are both reduced to `Node`s, so
that they can be compared step by step. Batch norm and activation belong to the convolution before
them; dropout and type conversions are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tf_keras

from mosaic import layers

LINEAR = frozenset(("linear",))
RESIZE_RULES = frozenset(("legacy", "half-pixel centres", "corners aligned"))


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One step of a network, in a file or in a model of this project.

    Attributes:
      kind: `input`, `conv`, `depthwise`, `add`, `concat`, `pool`, `slice`, `resize`, or the lower
        case name of an operator or layer that no network here has.
      name: of the file's tensor or the model's layer.
      inputs: what it is computed from.
      shape: what must be equal for two nodes to be the same step: a `Convolution`, a pool's number
        of bins, a slice's first channel and size.
      options: of which two nodes must share one: activations, or a resize's rules. A quantized
        range can leave more than one open.
      content: a file's `Weights` or `Affine`, or the model's layers.
    """

    kind: str
    name: str
    inputs: tuple[Node, ...] = ()
    shape: Any = None
    options: frozenset[str] = frozenset(("linear",))
    content: Any = None

    def fits(self, other: Node) -> bool:
        """Returns whether two nodes do the same to equal inputs."""
        return (
            self.kind == other.kind
            and len(self.inputs) == len(other.inputs)
            and self.shape == other.shape
            and bool(self.options & other.options)
        )

    def __str__(self) -> str:
        details = [] if self.shape is None else [str(self.shape)]
        if self.kind != "input":
            details.append(" or ".join(sorted(self.options)))
        return f"{self.name!r} ({self.kind} {', '.join(details)})"


class Convolution(NamedTuple):
    """What defines a convolution besides its weights.

    Attributes:
      kernel: height and width, in pixels.
      channels: input and output channels; of a depthwise one, input channels and multiplier.
      stride: per axis.
      dilation: per axis; 1 for a 1x1 kernel, where it changes nothing.
      padding: `same` or `valid`; `same` for a 1x1 kernel.
    """

    kernel: tuple[int, int]
    channels: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: str

    @classmethod
    def of(cls, kernel, channels, stride, dilation, padding) -> Convolution:
        """Normalises what a 1x1 kernel leaves without meaning."""
        if tuple(kernel) == (1, 1):
            dilation, padding = (1, 1), "same"
        return cls(tuple(kernel), tuple(channels), tuple(stride), tuple(dilation), padding)

    def __str__(self) -> str:
        (height, width), (first, second) = self.kernel, self.channels
        text = f"{height}x{width}, channels {first} to {second}, stride {self.stride[0]}"
        return f"{text}, dilation {self.dilation[0]}, {self.padding} padding"


class Weights(NamedTuple):
    """A convolution's weights as real numbers, in Keras' layout.

    Attributes:
      kernel: [height, width, input, output], or of a depthwise one [height, width, input,
        multiplier].
      bias: [channels], zeros where the file has none.
    """

    kernel: np.ndarray
    bias: np.ndarray


class Affine(NamedTuple):
    """How pixels become the first convolution's input: scale * pixel + offset, per channel.

    Attributes:
      scale: scalar or [3].
      offset: scalar or [3].
      known: False for a float file that leaves normalisation to its caller.
    """

    scale: np.ndarray
    offset: np.ndarray
    known: bool


def ancestors(outputs: tuple[Node, ...]) -> list[Node]:
    """Returns all that `outputs` are computed from, themselves included, each after its inputs."""
    found: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node not in found:
            for source in node.inputs:
                visit(source)
            found[node] = None

    for output in outputs:
        visit(output)
    return list(found)


class Layers(NamedTuple):
    """A model's convolution and what follows it.

    Attributes:
      convolution: Conv2D or DepthwiseConv2D.
      norm: its batch normalisation, or None.
    """

    convolution: tf_keras.layers.Layer
    norm: tf_keras.layers.BatchNormalization | None


def of_model(model: tf_keras.Model) -> Node:
    """Reduces a functional model of plain layers with one output.

    Returns:
      The node of its output. The content of convolutions is `Layers`, of the input an `Affine`.
      A layer that is applied several times has a node for each.
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
            nodes[key] = _step(model.get_layer(key[0]), sources)
    return nodes[tuple(config["output_layers"][0][:2])]


def _step(layer: tf_keras.layers.Layer, sources: tuple[Node, ...]) -> Node:
    """What a layer does to `sources`, or, where it belongs to the step before, that step anew."""
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
    shape = Convolution.of(
        kernel.shape[:2], kernel.shape[2:], layer.strides, layer.dilation_rate, layer.padding
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
    if limit not in _RELUS or layer.negative_slope or layer.threshold:
        return None
    if not _can_be_activated(sources[0]):
        return None
    return dataclasses.replace(sources[0], options=frozenset((_RELUS[limit],)))


def _can_be_activated(node: Node) -> bool:
    return node.kind in ("conv", "depthwise", "add") and node.options == LINEAR


def _resize(layer, sources: tuple[Node, ...]) -> Node:
    rule = "half-pixel centres" if layer.half_pixel_centers else "legacy"
    # The second tensor only gives the size.
    return Node("resize", layer.name, sources[:1], options=frozenset((rule,)))


_RELUS = {None: "relu", 6.0: "relu6"}

_LAYERS: tuple[tuple[Any, Callable], ...] = (
    (tf_keras.layers.InputLayer, _input),
    (layers.Normalize, _normalize),
    # Keras' DepthwiseConv2D is no Conv2D.
    ((tf_keras.layers.Conv2D, tf_keras.layers.DepthwiseConv2D), _convolution),
    (tf_keras.layers.BatchNormalization, _batch_norm),
    (tf_keras.layers.ReLU, _relu),
    (tf_keras.layers.Activation, _activation),
    (layers.Dropout, lambda layer, sources: sources[0]),
    (tf_keras.layers.Dropout, lambda layer, sources: sources[0]),
    (tf_keras.layers.Add, lambda layer, sources: Node("add", layer.name, sources)),
    (tf_keras.layers.Concatenate, lambda layer, sources: Node("concat", layer.name, sources)),
    (layers.PoolToBins, lambda layer, sources: Node("pool", layer.name, sources, layer.bins)),
    (
        tf_keras.layers.GlobalAveragePooling2D,
        lambda layer, sources: Node("pool", layer.name, sources, 1),
    ),
    (
        layers.ChannelSlice,
        lambda layer, sources: Node("slice", layer.name, sources, (layer.start, layer.size)),
    ),
    (layers.ResizeLike, _resize),
)
