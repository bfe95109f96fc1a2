"""TFLite files as graphs of convolutions, whatever their precision and their converter.

Files write the same network in many ways: uint8, int8, float16 or float weights, quantized per
tensor or per channel; batch norm folded or left as multiplications; activations fused, apart, or
implied by a quantized range; dilation as an attribute or between SPACE_TO_BATCH and BATCH_TO_SPACE;
padding as an attribute or as PAD. `read` reduces all of them to the nodes of `mosaic.tflite.graph`.
Neither tensor names nor indices nor the order of independent operators matter.

The operators' meaning is TensorFlow Lite's schema (tensorflow/compiler/mlir/lite/schema).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mosaic.models import resizing
from mosaic.tflite import hard_sigmoid, model_file, paddings, split_convolution
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.graph import (
    LINEAR,
    Affine,
    Convolution,
    MaxPool,
    Node,
    Pool,
    Weights,
)
from mosaic.tflite.model_file import TFLiteModel
from mosaic.tflite.tensors import Tensors
from mosaic.utils.errors import UserError


def read(file: TFLiteModel) -> tuple[Node, ...]:
    """Reads a TFLite file's main graph.

    Args:
      file: TFLite file, opened.

    Returns:
      The nodes that its outputs come from. What only prepares the output (resizing the logits,
      argmax, softmax, type conversions) is left out.

    Raises:
      UserError: the file is damaged.
    """
    try:
        return _Reader(file).outputs()
    except UserError:
        raise
    except model_file.DAMAGE as error:
        raise model_file.unreadable(file.path, error) from None


def first_inputs(file: TFLiteModel) -> tuple[Node, ...]:
    """The input as a file's first operators get it, with the arithmetic on it before them.

    Other than `read` this also reads files for images of any size, whose later operators compute
    with shapes.

    Raises:
      UserError: the file is damaged.
    """
    try:
        return _Reader(file).first_inputs()
    except model_file.DAMAGE as error:
        raise model_file.unreadable(file.path, error) from None


def quantized_input(file: TFLiteModel) -> tuple[float, float] | None:
    """The real range that a float input is quantized to directly; None if it is not quantized."""
    (index,) = file.graph.inputs
    users = [pair for pair in file.operators if index in pair[1].inputs]
    if [name for name, _ in users] != ["QUANTIZE"]:
        return None
    return Tensors(file).range(users[0][1].outputs[0])


_UNCHANGED = frozenset(("QUANTIZE", "DEQUANTIZE", "CAST", "RESHAPE"))
_NETWORK = frozenset(
    ("input", "conv", "depthwise", "add", "mul", "concat", "slice", "pool", "max_pool")
)
# Activations that pass on a positive factor of their input.
_HOMOGENEOUS = frozenset(("linear", "relu"))
_ACTIVATION_OPERATORS = {
    "RELU": "relu",
    "RELU6": "relu6",
    "RELU_N1_TO_1": "relu_n1_to_1",
    "HARD_SWISH": "hard_swish",
    "TANH": "tanh",
    "LOGISTIC": "sigmoid",
}


class _Reader:
    """Walks the operators, which a TFLite file keeps in an order of execution."""

    def __init__(self, file: TFLiteModel):
        self._file = file
        self._tensors = Tensors(file)
        self._paddings = model_file.names(schema.Padding)
        self._nodes: dict[int, Node] = {}
        # By node of averaging convolutions: the tensor averaged so far, and over which window.
        self._averages: dict[Node, tuple[int, tuple[int, int]]] = {}
        # The input of each sigmoid: swish multiplies the two.
        self._sigmoids: dict[Node, Node] = {}

    def outputs(self) -> tuple[Node, ...]:
        for index in self._file.graph.inputs:
            self._nodes[index] = self._input(index)
        for name, operator in self._file.operators:
            for index, node in zip(operator.outputs, self._apply(name, operator)):
                self._nodes[index] = node
        return tuple(_without_tail(self._nodes[index]) for index in self._file.graph.outputs)

    def first_inputs(self) -> tuple[Node, ...]:
        for index in self._file.graph.inputs:
            self._nodes[index] = self._input(index)
        found = []
        for name, operator in self._file.operators:
            sources = [self._nodes[i] for i in operator.inputs if i in self._nodes]
            if name == "TRANSPOSE" and sources:
                nodes = (sources[0],)
            elif not sources or name in (*_UNCHANGED, *_ARITHMETIC):
                nodes = self._apply(name, operator)
            else:
                nodes = ()
            inputs = [node for node in nodes if node.kind == "input"]
            self._nodes.update(zip(operator.outputs, inputs))
            # The size of an image is not yet the image.
            if sources and not inputs and name != "SHAPE":
                found += sources
        return tuple(found)

    def _apply(self, name: str, operator) -> tuple[Node, ...]:
        """Returns the nodes of an operator, one per output; none if it only computes constants."""
        sources = tuple(self._nodes[i] for i in operator.inputs if i in self._nodes)
        if not sources:
            # Weights of a float16 file pass through DEQUANTIZE.
            if name in ("DEQUANTIZE", "CAST"):
                self._tensors.pass_on(operator.inputs[0], operator.outputs[0])
            return ()
        if name in _UNCHANGED:
            return (sources[0],)
        handler = _HANDLERS.get(name)
        result = handler(self, name, operator, sources) if handler else None
        if result is None:
            node = Node(name.lower(), self._tensors.name(operator.outputs[0]), sources)
            return (node,) * len(operator.outputs)
        return result if isinstance(result, tuple) else (result,)

    def _input(self, index: int) -> Node:
        pixels = self._tensors.pixels(index)
        if pixels is None:
            said = tflite_metadata.read(self._file).normalization
            mean, std = (np.asarray(values) for values in said or ([0.0], [1.0]))
            pixels = Affine(1.0 / std, -mean / std, said is not None)
        return Node("input", self._tensors.name(index), content=pixels)

    def _convolution(self, name: str, operator, sources: tuple[Node, ...]) -> Node | None:
        kernel = self._tensors.constant(operator.inputs[1])
        if kernel is None:
            return None
        (source,), options = sources, operator.builtinOptions
        depthwise = name == "DEPTHWISE_CONV_2D"
        # TFLite keeps [output, height, width, input] and [1, height, width, channels].
        if depthwise:
            multiplier = options.depthMultiplier or 1
            kernel = kernel.reshape(*kernel.shape[1:3], -1, multiplier)
        else:
            kernel = kernel.transpose(1, 2, 3, 0)
        outputs = kernel.shape[2] * kernel.shape[3] if depthwise else kernel.shape[3]
        bias, bias_quantization_step = self._bias(operator, outputs)
        kernel_quantization_step = np.broadcast_to(self._tensors.step(operator.inputs[1]), outputs)
        dilation = (options.dilationHFactor, options.dilationWFactor)
        padding = self._paddings[options.padding].lower()
        if source.kind == "space_to_batch_nd":
            dilation, padding, source = source.shape, "same", source.inputs[0]
        stride = (options.strideH, options.strideW)
        if source.kind == "pad" and padding == "valid":
            size, pads = source.shape
            found = paddings.named(size, kernel.shape[:2], stride, dilation, pads)
            padding, source = (found, source.inputs[0]) if found else (padding, source)
        elif padding == "same":
            size = self._tensors.size(operator.inputs[0])[1:3]
            padding = paddings.named(size, kernel.shape[:2], stride, dilation) or padding
        if depthwise and stride == kernel.shape[:2] and not np.any(bias):
            average = self._average(operator, source, kernel)
            if average is not None:
                return average
        return Node(
            "depthwise" if depthwise else "conv",
            self._tensors.name(operator.outputs[0]),
            (source,),
            Convolution.of(kernel.shape[:2], kernel.shape[2:], stride, dilation, padding),
            self._tensors.active(operator),
            Weights(
                kernel,
                bias,
                kernel_quantization_step.reshape(_per_output(depthwise, kernel)),
                bias_quantization_step,
            ),
            self._tensors.limit(operator.outputs[0]),
        )

    def _bias(self, operator, outputs: int) -> tuple[np.ndarray, np.ndarray]:
        """A convolution's bias and its quantization step, [channels] each."""
        bias = self._tensors.constant(operator.inputs[2]) if len(operator.inputs) > 2 else None
        if bias is None:
            return np.zeros(outputs), np.zeros(outputs)
        if bias.dtype.kind == "i":
            # Without a scale of its own, its scale is that of input times kernel.
            (source, _), (weight, _) = (self._tensors.scale(index) for index in operator.inputs[:2])
            return bias * source * weight, np.broadcast_to(source * weight, outputs)
        return bias, np.broadcast_to(self._tensors.step(operator.inputs[2]), outputs)

    def _pad(self, name: str, operator, sources: tuple[Node, ...]) -> Node | None:
        pads = self._tensors.constant(operator.inputs[1])
        if pads is None or pads.shape != (4, 2) or np.any(pads[[0, 3]]):
            return None
        if name == "PADV2" and not self._pads_with_nothing(operator, sources[0]):
            return None
        shape = self._tensors.size(operator.inputs[0])[1:3], tuple(map(tuple, pads[1:3].tolist()))
        return Node("pad", self._tensors.name(operator.outputs[0]), sources, shape)

    def _pads_with_nothing(self, operator, source: Node) -> bool:
        """Whether padding with a value stands for that with 0: the mean colour around pixels."""
        value = self._tensors.constant(operator.inputs[2])
        in_pixels = source.kind == "input" and np.allclose(source.content.scale, 1.0)
        return value is not None and (in_pixels or not np.any(value))

    def _space_to_batch(self, name: str, operator, sources: tuple[Node, ...]) -> Node | None:
        block = self._tensors.constant(operator.inputs[1])
        if block is None:
            return None
        shape = tuple(int(size) for size in block)
        return Node("space_to_batch_nd", self._tensors.name(operator.outputs[0]), sources, shape)

    def _batch_to_space(self, name: str, operator, sources: tuple[Node, ...]) -> Node | None:
        # The convolution before it already has the block as its dilation.
        return sources[0] if sources[0].kind in ("conv", "depthwise") else None

    def _activation(self, name: str, operator, sources: tuple[Node, ...]) -> Node | None:
        source = sources[0]
        if name == "RELU" and source.options == {"relu"}:
            return source
        if source.kind not in ("conv", "depthwise", "add") or not source.options & LINEAR:
            return None
        node = self._activated(operator, source, _ACTIVATION_OPERATORS[name])
        if name == "LOGISTIC":
            self._sigmoids[node] = source
        return node

    def _activated(self, operator, node: Node, activation: str) -> Node:
        output = operator.outputs[0]
        return dataclasses.replace(
            node,
            name=self._tensors.name(output),
            options=frozenset((activation,)),
            limit=self._tensors.limit(output) or node.limit,
        )

    def _arithmetic(self, name: str, operator, sources: tuple[Node, ...]) -> Node | None:
        """Arithmetic of two maps, or of one with constants: normalisation or batch norm."""
        if len(sources) == 2:
            if name not in ("ADD", "MUL"):
                return None
            for one, other in (sources, sources[::-1]):
                if name == "MUL" and self._sigmoids.get(one) is other:
                    return self._activated(operator, other, "swish")
            options = self._tensors.active(operator, implied=False)
            output = self._tensors.name(operator.outputs[0])
            if name == "ADD":
                pixels = [self._tensors.size(i)[1:3] == (1, 1) for i in operator.inputs]
                if whole := split_convolution.merged(sources, pixels, output, options):
                    return whole
            return Node(name.lower(), output, sources, options=options)
        first = operator.inputs[0] in self._nodes
        constant = self._tensors.constant(operator.inputs[1 if first else 0])
        if constant is None or (name == "DIV" and not first):
            return None
        output = self._tensors.name(operator.outputs[0])
        if name == "MUL" and (gate := hard_sigmoid.merged(sources[0], constant, output)):
            return gate
        scale, offset = _ARITHMETIC[name](constant.ravel().astype(np.float64), first)
        return self._affine(operator, sources[0], np.asarray(scale), np.asarray(offset))

    def _affine(self, operator, node: Node, scale: np.ndarray, offset: np.ndarray) -> Node | None:
        """Makes scale * x + offset part of the convolution or of the input before it."""
        name = self._tensors.name(operator.outputs[0])
        if node.kind == "input":
            old: Affine = node.content
            content = Affine(old.scale * scale, old.offset * scale + offset, True)
            return dataclasses.replace(node, content=content)
        if node.kind not in ("conv", "depthwise") or not node.options & LINEAR:
            return None
        if {scale.size, offset.size} - {1, node.content.bias.size}:
            return None
        kernel, bias, kernel_quantization_step, bias_quantization_step = node.content
        scale = np.broadcast_to(scale.ravel(), bias.shape)
        factors = scale.reshape(_per_output(node.kind == "depthwise", kernel))
        content = Weights(
            kernel * factors,
            bias * scale + offset.ravel(),
            kernel_quantization_step * abs(factors),
            bias_quantization_step * abs(scale),
        )
        options, limit = self._tensors.active(operator), self._tensors.limit(operator.outputs[0])
        return dataclasses.replace(node, name=name, options=options, content=content, limit=limit)

    def _concatenation(self, name: str, operator, sources: tuple[Node, ...]) -> Node | None:
        if operator.builtinOptions.axis not in (-1, 3):
            return None
        return Node("concat", self._tensors.name(operator.outputs[0]), sources)

    def _pool(self, name: str, operator, sources: tuple[Node, ...]) -> Node | None:
        options = operator.builtinOptions
        window = (options.filterHeight, options.filterWidth)
        stride = (options.strideH, options.strideW)
        if name == "MAX_POOL_2D":
            shape = MaxPool(window, stride, self._paddings[options.padding].lower())
            return Node("max_pool", self._tensors.name(operator.outputs[0]), sources, shape)
        return self._windows(operator.inputs[0], operator.outputs[0], window, stride)

    def _windows(self, source: int, output: int, window, stride) -> Node | None:
        """Average pooling without padding; None if there is padding."""
        size, pooled = self._tensors.size(source)[1:3], self._tensors.size(output)[1:3]
        if pooled != tuple((side - w) // step + 1 for side, w, step in zip(size, window, stride)):
            return None
        shape = Pool.of(size, window, stride)
        return Node("pool", self._tensors.name(output), (self._nodes[source],), shape)

    def _average(self, operator, source: Node, kernel: np.ndarray) -> Node | None:
        """Average pooling that is written as depthwise convolutions of equal weights."""
        window = kernel.shape[:2]
        if window == (1, 1) or not np.allclose(kernel, 1 / np.prod(window), rtol=1e-3):
            return None
        start, before = self._averages.get(source, (operator.inputs[0], (1, 1)))
        whole = (before[0] * window[0], before[1] * window[1])
        node = self._windows(start, operator.outputs[0], whole, whole)
        if node is not None:
            self._averages[node] = (start, whole)
        return node

    def _mean(self, name: str, operator, sources: tuple[Node, ...]) -> Node | None:
        axes = self._tensors.constant(operator.inputs[1])
        if axes is None or sorted(axes.ravel() % 4) != [1, 2]:
            return None
        size = self._tensors.size(operator.inputs[0])[1:3]
        return Node(
            "pool", self._tensors.name(operator.outputs[0]), sources, Pool.of(size, size, size)
        )

    def _split(self, name: str, operator, sources: tuple[Node, ...]) -> tuple[Node, ...]:
        nodes, start = [], 0
        for output in operator.outputs:
            size = self._tensors.size(output)[-1]
            nodes.append(Node("slice", self._tensors.name(output), sources, (start, size)))
            start += size
        return tuple(nodes)

    def _slice(self, name: str, operator, sources: tuple[Node, ...]) -> Node | None:
        begin = self._tensors.constant(operator.inputs[1])
        output = operator.outputs[0]
        if (
            begin is None
            or self._tensors.size(output)[:-1] != self._tensors.size(operator.inputs[0])[:-1]
        ):
            return None
        masked = getattr(operator.builtinOptions, "beginMask", 0) >> (begin.size - 1) & 1
        start = 0 if masked else int(begin.ravel()[-1])
        return Node(
            "slice", self._tensors.name(output), sources, (start, self._tensors.size(output)[-1])
        )

    def _resize(self, name: str, operator, sources: tuple[Node, ...]) -> Node:
        options, name = operator.builtinOptions, self._tensors.name(operator.outputs[0])
        if self._tensors.size(operator.inputs[0])[1:3] == (1, 1):
            # One pixel is repeated under every rule.
            rules = resizing.RULES
        else:
            rules = frozenset((resizing.named(options.halfPixelCenters, options.alignCorners),))
        # Where the new size is not fixed, further sources compute it: they are left out.
        return Node("resize", name, (self._as_copied(operator, sources[0]),), options=rules)

    def _as_copied(self, operator, source: Node) -> Node:
        """A resize's input in the scale of its output, where an old converter left two scales.

        TensorFlow Lite's kernel averages the stored integers, whatever they stand for: the output
        is the input times the ratio of the scales. A convolution can do that before ReLU.
        """
        ends = operator.inputs[0], operator.outputs[0]
        (one, zero), (other, other_zero) = map(self._tensors.scale, ends)
        options = source.options & _HOMOGENEOUS
        if (
            one.size != 1
            or other.size != 1
            or np.isclose(one[0], other[0])
            or zero[0] != other_zero[0]
            or source.kind not in ("conv", "depthwise")
            or not options
        ):
            return source
        ratio = other[0] / one[0]
        content = Weights(*(values * ratio for values in source.content))
        limit = source.limit and source.limit * ratio
        return dataclasses.replace(source, options=options, content=content, limit=limit)

    def _minimum(self, name: str, operator, sources: tuple[Node, ...]) -> Node | None:
        """A rectified output that is cut at a number: converters write ReLU's limit like that."""
        source, *others = sources
        limit = None if others else self._tensors.constant(operator.inputs[1])
        if limit is None or limit.size != 1 or "relu" not in source.options:
            return None
        name = self._tensors.name(operator.outputs[0])
        return dataclasses.replace(source, name=name, limit=limit.item())

    def _repeat(self, name: str, operator, sources: tuple[Node, ...]) -> Node | None:
        """One pixel repeated over a map, as `resize_bilinear` writes it."""
        if self._tensors.size(operator.inputs[0])[1:3] != (1, 1):
            return None
        name = self._tensors.name(operator.outputs[0])
        return Node("resize", name, sources[:1], options=resizing.RULES)


# Scale and offset of an operation with a constant c; `first`: whether c is the second operand.
_ARITHMETIC: dict[str, Callable] = {
    "ADD": lambda c, first: (1.0, c),
    "SUB": lambda c, first: (1.0, -c) if first else (-1.0, c),
    "MUL": lambda c, first: (c, 0.0),
    "DIV": lambda c, first: (1.0 / c, 0.0),
}

_HANDLERS: dict[str, Callable] = {
    "CONV_2D": _Reader._convolution,
    "DEPTHWISE_CONV_2D": _Reader._convolution,
    "SPACE_TO_BATCH_ND": _Reader._space_to_batch,
    "BATCH_TO_SPACE_ND": _Reader._batch_to_space,
    "ADD": _Reader._arithmetic,
    "SUB": _Reader._arithmetic,
    "MUL": _Reader._arithmetic,
    "DIV": _Reader._arithmetic,
    "CONCATENATION": _Reader._concatenation,
    "AVERAGE_POOL_2D": _Reader._pool,
    "MAX_POOL_2D": _Reader._pool,
    "PAD": _Reader._pad,
    "PADV2": _Reader._pad,
    "MEAN": _Reader._mean,
    "MINIMUM": _Reader._minimum,
    "SPLIT": _Reader._split,
    "SPLIT_V": _Reader._split,
    "SLICE": _Reader._slice,
    "STRIDED_SLICE": _Reader._slice,
    "RESIZE_BILINEAR": _Reader._resize,
    "BROADCAST_TO": _Reader._repeat,
    "TILE": _Reader._repeat,
    **dict.fromkeys(_ACTIVATION_OPERATORS, _Reader._activation),
}


def _per_output(depthwise: bool, kernel: np.ndarray) -> tuple[int, ...]:
    """The shape in which a value for each output broadcasts to a kernel."""
    return kernel.shape[2:] if depthwise else kernel.shape[3:]


def _without_tail(node: Node) -> Node:
    """Goes back over what only prepares the output: resizing, argmax, softmax."""
    while node.kind not in _NETWORK and len(node.inputs) == 1:
        node = node.inputs[0]
    return node
