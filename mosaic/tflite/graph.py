"""Networks as graphs of convolutions: what is computed from what, whoever wrote it down.

A model of this project and a TFLite file (`mosaic.tflite.graph_from_file`) are both reduced to
`Node`s, so that they can be compared step by step. Batch norm and activation belong to the
convolution before them; dropout and type conversions are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LINEAR = frozenset(("linear",))
RESIZE_RULES = frozenset(("legacy", "half-pixel centres", "corners aligned"))


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One step of a network, in a file or in a model of this project.

    Attributes:
      kind: `input`, `conv`, `depthwise`, `add`, `mul`, `concat`, `pool`, `max_pool`, `slice`,
        `resize`, or the lower case name of an operator or layer that no network here has.
      name: of the file's tensor or the model's layer.
      inputs: what it is computed from.
      shape: what must be equal for two nodes to be the same step: a `Convolution`, a `MaxPool`, a
        slice's first channel and size. A file's pool has a `Pool` and a model's a `PoolRule`,
        which gives one for every size of map.
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
        """Returns whether a file's node does what this one of a model does to equal inputs."""
        if self.kind != other.kind or len(self.inputs) != len(other.inputs):
            return False
        shape = self.shape
        if isinstance(shape, PoolRule):
            shape = shape.on(other.shape.size)
        return shape == other.shape and bool(self.options & other.options)

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


class Pool(NamedTuple):
    """Average pooling of a map whose size is known, 'valid' padding; (height, width) each.

    Attributes:
      size: of the map.
      window: what is averaged into one.
      stride: from one window to the next; the window's own size where there is no next.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    stride: tuple[int, int]

    @classmethod
    def of(cls, size, window, stride) -> Pool:
        """Normalises the stride of a single window, which says nothing."""
        stride = tuple(w if s - w < step else step for s, w, step in zip(size, window, stride))
        return cls(tuple(size), tuple(window), stride)

    def __str__(self) -> str:
        parts = zip(("windows of", "stride", "on a map of"), (self.window, self.stride, self.size))
        return ", ".join(f"{name} {height}x{width}" for name, (height, width) in parts)


class PoolRule(NamedTuple):
    """Average pooling whose windows follow the map's size.

    Attributes:
      name: for messages.
      window: from a map's size along an axis, and the axis (0 or 1), to window and stride.
    """

    name: str
    window: Callable[[int, int], tuple[int, int]]

    def on(self, size: tuple[int, int]) -> Pool | None:
        """Returns what it is on a map of that size; None where the map is too small."""
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
      kernel: [height, width, input, output], or of a depthwise one [height, width, input,
        multiplier].
      bias: [channels], zeros where the file has none.
      kernel_step: between two numbers that the file can hold, to broadcast to the kernel; 0 where
        it holds floating point.
      bias_step: of the bias, in the same sense.
    """

    kernel: np.ndarray
    bias: np.ndarray
    kernel_step: np.ndarray
    bias_step: np.ndarray


class Affine(NamedTuple):
    """How pixels become the first convolution's input: scale * pixel + offset, per channel.

    Attributes:
      scale: scalar or [3].
      offset: scalar or [3].
      known: False for a float file that leaves normalisation to its caller and does not say so.
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
