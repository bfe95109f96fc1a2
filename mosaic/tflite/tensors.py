"""The tensors of a TFLite file: names, sizes, and the real numbers that quantized ones stand for.

By TensorFlow Lite's quantization specification: real = scale * (stored - zero point).
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mosaic.tflite import model_file
from mosaic.tflite.graph import LINEAR, Affine
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.errors import UserError

_DTYPES = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "FLOAT64": np.float64,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}
_LIMITS = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767)}


class Tensors:
    """The tensors of a file's main graph, by their index."""

    def __init__(self, file: TFLiteModel):
        self._path = file.path
        self._buffers = file.model.buffers
        self._tensors = file.graph.tensors
        self._types = model_file.names(schema.TensorType)
        self._activations = model_file.names(schema.ActivationFunctionType)
        self._passed_on: dict[int, int] = {}

    def pass_on(self, source: int, output: int) -> None:
        """Records that a constant is another one in another precision, as float16 weights are."""
        self._passed_on[output] = source

    def name(self, index: int) -> str:
        return self._tensors[index].name.decode(errors="replace").split(";")[0]

    def size(self, index: int) -> tuple[int, ...]:
        """The shape, -1 where it is not fixed."""
        tensor = self._tensors[index]
        shape = () if tensor.shape is None else tensor.shape
        known = tensor.shapeSignature
        return tuple(map(int, shape if known is None or len(known) != len(shape) else known))

    def scale(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Scales and zero points of a tensor, empty where it is not quantized."""
        quantization = self._tensors[index].quantization
        if quantization is None or quantization.scale is None:
            return np.zeros(0), np.zeros(0)
        scale = np.asarray(quantization.scale, np.float64)
        zero = quantization.zeroPoint
        return scale, np.zeros(scale.size) if zero is None else np.asarray(zero, np.float64)

    def pixels(self, index: int) -> Affine | None:
        """How an int8 or uint8 input reads pixels in 0..255; None for inputs of other types."""
        ends = self.range(index)
        if ends is None or self._types[self._tensors[index].type] == "INT16":
            return None
        # The pixel 0 is stored as the type's lowest value.
        return Affine(self.scale(index)[0], np.asarray(ends[:1]), True)

    def range(self, index: int) -> tuple[float, float] | None:
        """The least and the largest real number of a tensor with one scale; None for others."""
        limits = _LIMITS.get(self._types[self._tensors[index].type])
        scale, zero = self.scale(index)
        if limits is None or scale.size != 1:
            return None
        low, high = (float(scale[0] * (limit - zero[0])) for limit in limits)
        return low, high

    def limit(self, index: int) -> float | None:
        """The largest real number of an 8-bit tensor with one scale; None for others."""
        ends = self.range(index)
        return None if ends is None else ends[1]

    def constant(self, index: int) -> np.ndarray | None:
        """Returns a constant as real numbers, or None if the tensor is not one."""
        index = self._passed_on.get(index, index)
        if index < 0:
            return None
        tensor = self._tensors[index]
        data = self._buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            return None
        kind = self._types[tensor.type]
        if kind not in _DTYPES:
            raise UserError(
                f"{self._path}: {self.name(index)!r} is of type {kind}, which is not supported"
            )
        values = np.frombuffer(bytes(data), _DTYPES[kind]).reshape(self.size(index))
        scale, zero = self.scale(index)
        if scale.size == 0:
            return values
        if scale.size > 1:
            axis = [1] * values.ndim
            axis[tensor.quantization.quantizedDimension] = -1
            scale, zero = scale.reshape(axis), zero.reshape(axis)
        return (values.astype(np.float64) - zero) * scale

    def step(self, index: int) -> np.ndarray:
        """The quantization step of a constant: [1] or [channels], 0 for floating point."""
        scale, _ = self.scale(self._passed_on.get(index, index))
        return scale if scale.size else np.zeros(1)

    def active(self, operator, implied: bool = True) -> frozenset[str]:
        """Returns the activations that an operator's output may have gone through.

        Some converters leave out an activation that the output's quantized range implies: one
        that starts at zero is rectified, and one within 0..6 may or may not be cut at 6.

        Args:
          operator: operator of the file.
          implied: whether a range that starts at zero proves a rectifier; a sum of rectified values
            has such a range by itself.
        """
        options = operator.builtinOptions
        fused = self._activations[getattr(options, "fusedActivationFunction", 0)]
        if fused != "NONE":
            return frozenset((fused.lower(),))
        ends = self.range(operator.outputs[0])
        if ends is None:
            return LINEAR
        low, high = ends
        # Quantizers move a range by up to one quantization step, so that zero is one of its values.
        step = self.scale(operator.outputs[0])[0][0]
        if low < -1.01 * step:
            return LINEAR
        found = {"relu"} if implied and low > -0.01 * step else {"relu", "linear"}
        return frozenset(found | {"relu6"} if high <= 6.0 + 1.01 * step else found)
