"""A TFLite file, read once and passed on: its bytes, tensors, and operators by name.

The schema is TensorFlow Lite's (tensorflow/compiler/mlir/lite/schema).
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import struct

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from mosaic.models import resizing
from mosaic.utils.errors import UserError, check_regular
from mosaic.utils.model_format import TFLITE_MARK, format_of, kind_of

# Errors that the reader of a damaged flatbuffer raises.
DAMAGE = (
    struct.error,
    AttributeError,
    LookupError,
    OverflowError,
    TypeError,
    ValueError,
)


@dataclasses.dataclass(frozen=True, eq=False)
class TFLiteModel:
    """A TFLite file that has been read; it can be used wherever a path can.

    Attributes:
      path: path of the file.
      content: bytes of the file, with the ZIP archive that may follow the model.
      model: content of the model, the schema's `ModelT`.
    """

    path: str
    content: bytes
    model: schema.ModelT

    @classmethod
    def open(cls, path: str | os.PathLike) -> TFLiteModel:
        """Reads a file.

        Args:
          path: path of the file.

        Raises:
          UserError: there is no such file, or it is not a TFLite file that can be read.
        """
        path = os.fspath(path)
        check_regular(path)
        try:
            content = pathlib.Path(path).read_bytes()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}") from None
        if content[4:8] != TFLITE_MARK:
            raise UserError(f"{path}: not a TFLite file" + _instead(content))
        try:
            return cls(path, content, flatbuffer_utils.read_model_from_bytearray(content))
        except DAMAGE as error:
            raise unreadable(path, error) from None

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.path

    @property
    def graph(self) -> schema.SubGraphT:
        """The main graph."""
        return self.model.subgraphs[0]

    @functools.cached_property
    def operators(self) -> list[tuple[str, schema.OperatorT]]:
        """The main graph's operators, (name, `OperatorT`) each, in their order of execution."""
        known = names(schema.BuiltinOperator)
        codes = map(flatbuffer_utils.get_builtin_code_from_operator_code, self.model.operatorCodes)
        kinds = [known[code] for code in codes]
        return [(kinds[operator.opcodeIndex], operator) for operator in self.graph.operators]

    @functools.cached_property
    def precision(self) -> str:
        """Precision: `float32`, `float16` or `dynamic` (only the weights), `int8` and so on."""
        tensors = self.graph.tensors
        for kind, operator in self.operators:
            if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
                computed, kept = (type_of(tensors[index]) for index in operator.inputs[:2])
                if computed != "FLOAT32":
                    return computed.lower()
                if kept != "FLOAT32":
                    return "dynamic"
        halves = any(type_of(tensor) == "FLOAT16" for tensor in tensors)
        return "float16" if halves else "float32"

    @property
    def resize_rule(self) -> str:
        """The rule in `resizing.RULES` of its resizes, which its logits' resize shares."""
        options = [o.builtinOptions for kind, o in self.operators if kind == "RESIZE_BILINEAR"]
        return resizing.common(
            resizing.named(rule.halfPixelCenters, rule.alignCorners) for rule in options
        )

    @property
    def float_operators(self) -> list[str]:
        """The names of its operators with float32 inputs or outputs."""
        tensors = self.graph.tensors
        return [
            kind
            for kind, operator in self.operators
            if any(
                tensors[index].type == schema.TensorType.FLOAT32
                for index in (*operator.inputs, *operator.outputs)
                if index >= 0
            )
        ]


def opened(path: str) -> TFLiteModel | str:
    """Returns the opened file if a path names a TFLite file, or else the path as it is.

    Raises:
      UserError: the file is missing or damaged, as for `TFLiteModel.open`.
    """
    return TFLiteModel.open(path) if format_of(path) == "tflite" else path


def unpack(content: bytes) -> schema.ModelT:
    """Returns the model of an undamaged file's content; every buffer keeps its index."""
    return flatbuffer_utils.convert_bytearray_to_object(content)


def pack(model: schema.ModelT) -> bytes:
    """Returns a model as the content of a file."""
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def unreadable(path: str, error: Exception) -> UserError:
    """Returns the error to raise where a file turns out to be damaged."""
    return UserError(f"{path}: the TFLite file cannot be read, copy it again ({error})")


def _instead(content: bytes) -> str:
    kind = kind_of(content[:64])
    return f"; {kind}" if kind else ""


def names(enumeration) -> dict[int, str]:
    """The names of one of the schema's enumerations, by value."""
    return {value: key for key, value in vars(enumeration).items() if isinstance(value, int)}


def type_of(tensor: schema.TensorT) -> str:
    """The name of a tensor's type, such as UINT8."""
    return flatbuffer_utils.type_to_name(tensor.type)


def foreign(model: schema.ModelT) -> list[str]:
    """The names of a model's operators that are not TFLite's own; Flex operators are among them."""
    return sorted(
        {
            code.customCode.decode(errors="replace").removeprefix("Flex")
            for code in model.operatorCodes
            if flatbuffer_utils.get_builtin_code_from_operator_code(code)
            == schema.BuiltinOperator.CUSTOM
        }
    )
