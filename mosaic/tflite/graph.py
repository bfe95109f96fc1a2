"""Networks as graphs of convolutions: which node is computed from which, in files and in models.

A model of this project and a TFLite file (`mosaic.tflite.graph_from_file`) are both reduced to
`Node`s, so that they can be compared node by node. Batch norm and activation belong to the
convolution before them; dropout and type conversions are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LINEAR = frozenset(("linear",))


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One operation of a network, in a file or in a model of this project.

    Attributes:
      kind: `input`, `conv`, `depthwise`, `add`, `mul`, `concat`, `pool`, `max_pool`, `slice`,
        `resize`, or the lower case name of an operator or layer that no network here has.
      name: name of the file's tensor or of the model's layer.
      inputs: nodes that it is computed from.
      shape: settings that must be equal for two nodes to do the same: a `Convolution`, a `MaxPool`,
        a slice's first channel and size. A file's pool has a `Pool` and a model's a `PoolRule`,
        which gives a `Pool` for every size of map.
      options: possible activations, or a resize's possible rules; two nodes must share one. A
        quantized range can leave more than one possible.
      content: `Weights` or `Affine` of a file, or the layers of a model.
      limit: greatest value of a rectified output: the upper end of a file's 8-bit range, or a
        model's own; None for none. Nodes that differ in it still do the same to smaller values.
    """

    kind: str
    name: str
    inputs: tuple[Node, ...] = ()
    shape: Any = None
    options: frozenset[str] = frozenset(("linear",))
    content: Any = None
    limit: float | None = None

    def fits(self, other: Node) -> bool:
        """Returns whether `other`, a file's node, does the same to equal inputs as this one."""
        if self.kind != other.kind or len(self.inputs) != len(other.inputs):
            return False
        shape = self.shape
        if isinstance(shape, PoolRule):
            shape = shape.on(other.shape.size)
        if isinstance(shape, Convolution) and isinstance(other.shape, Convolution):
            shape = shape.padded_as(other.shape)
        return shape == other.shape and bool(self.options & other.options)

    def __str__(self) -> str:
        details = [] if self.shape is None else [str(self.shape)]
        if self.kind != "input":
            details.append(" or ".join(sorted(self.options)))
        return f"{self.name!r} ({self.kind} {', '.join(details)})"


class Convolution(NamedTuple):
    """What defines a convolution besides its weights.

    Attributes:
      kernel: (height, width), in pixels.
      channels: numbers of input and output channels; of a depthwise convolution, number of input
        channels and multiplier.
      stride: (vertical, horizontal) stride, in pixels.
      dilation: (vertical, horizontal) dilation; 1 for a 1x1 kernel, where it changes nothing.
      padding: `same`, `valid`, or `centred` for as much on each side; `same` for a 1x1 kernel,
        where it changes nothing. A file's padding may be `same or centred`: where there is a
        stride, the map's size decides whether the two differ.
    """

    kernel: tuple[int, int]
    channels: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: str

    @classmethod
    def of(cls, kernel, channels, stride, dilation, padding) -> Convolution:
        """Makes one; a 1x1 kernel, which they do not affect, gets dilation 1 and `same` padding."""
        if tuple(kernel) == (1, 1):
            dilation, padding = (1, 1), "same"
        return cls(tuple(kernel), tuple(channels), tuple(stride), tuple(dilation), padding)

    def padded_as(self, other: Convolution) -> Convolution:
        """Returns this one in the words of a file's, if their padding can be the same."""
        if self.padding in other.padding.split(" or "):
            return self._replace(padding=other.padding)
        return self

    def __str__(self) -> str:
        (height, width), (first, second) = self.kernel, self.channels
        text = f"{height}x{width}, channels {first} to {second}, stride {self.stride[0]}"
        return f"{text}, dilation {self.dilation[0]}, {self.padding} padding"


class Pool(NamedTuple):
    """Average pooling of a map whose size is known, 'valid' padding; (height, width) each.

    Attributes:
      size: size of the map.
      window: size of the area that is averaged into one value.
      stride: distance from one window to the next; the window's own size if there is only one.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    stride: tuple[int, int]

    @classmethod
    def of(cls, size, window, stride) -> Pool:
        """Makes one; a single window, which has no next one, gets its own size as stride."""
        stride = tuple(w if s - w < step else step for s, w, step in zip(size, window, stride))
        return cls(tuple(size), tuple(window), stride)

    def __str__(self) -> str:
        parts = zip(("windows of", "stride", "on a map of"), (self.window, self.stride, self.size))
        return ", ".join(f"{name} {height}x{width}" for name, (height, width) in parts)


class PoolRule(NamedTuple):
    """Average pooling whose windows follow the map's size.

    Attributes:
      name: name for messages.
      window: function of a map's size along an axis and of the axis (0 or 1); returns window and
        stride along it.
    """

    name: str
    window: Callable[[int, int], tuple[int, int]]

    def on(self, size: tuple[int, int]) -> Pool | None:
        """Returns the pool on a map of that size; None where the map is too small."""
        windows, strides = zip(*(self.window(side, axis) for axis, side in enumerate(size)))
        return Pool.of(size, windows, strides) if all(strides) else None

    def __str__(self) -> str:
        return self.name


class MaxPool(NamedTuple):
    """Windows and strides per axis, and `same` or `valid` padding."""

    window: tuple[int, int]
    stride: tuple[int, int]
    padding: str

    def __str__(self) -> str:
        return f"{self.window[0]}x{self.window[1]}, stride {self.stride[0]}, {self.padding} padding"


class Weights(NamedTuple):
    """A convolution's weights as real numbers, in Keras' layout.

    Attributes:
      kernel: [height, width, input, output]; of a depthwise convolution [height, width, input,
        multiplier].
      bias: [channels], zeros where the file has none.
      kernel_quantization_step: distance between neighbouring values that the file can hold, in a
        shape that broadcasts to the kernel; 0 for floating point.
      bias_quantization_step: [channels], the same of the bias.
    """

    kernel: np.ndarray
    bias: np.ndarray
    kernel_quantization_step: np.ndarray
    bias_quantization_step: np.ndarray


class Affine(NamedTuple):
    """How pixels become the first convolution's input: scale * pixel + offset, per channel.

    Attributes:
      scale: factor, scalar or [3].
      offset: summand, scalar or [3].
      known: False for a float file that neither normalises its input nor says how to.
    """

    scale: np.ndarray
    offset: np.ndarray
    known: bool


def ancestors(outputs: tuple[Node, ...]) -> list[Node]:
    """Returns `outputs` and all nodes that they are computed from, each after its inputs."""
    found: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node not in found:
            for source in node.inputs:
                visit(source)
            found[node] = None

    for output in outputs:
        visit(output)
    return list(found)
