"""TFLite files as what their schema says: tensors, buffers, and operators by name.

The schema is TensorFlow Lite's (tensorflow/compiler/mlir/lite/schema).
"""

from __future__ import annotations

import pathlib
import struct

from mosaic.utils.errors import UserError

# What a damaged flatbuffer makes its reader raise.
DAMAGE = (
    struct.error,
    AttributeError,
    LookupError,
    OverflowError,
    TypeError,
    ValueError,
)


def parse(path: str):
    """Reads a TFLite file.

    Args:
      path: of the file.

    Returns:
      The schema's `ModelT`.

    Raises:
      UserError: there is no such file, or it is not a TFLite file that can be read.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    if content[4:8] != b"TFL3":
        raise UserError(f"{path}: not a TFLite file")
    try:
        return unpack(content)
    except DAMAGE as error:
        raise unreadable(path, error) from None


def unpack(content: bytes):
    """Returns the content of a file that is known to be whole as the schema's `ModelT`."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(content)


def unreadable(path: str, error: Exception) -> UserError:
    """What to raise where a file turns out to be damaged."""
    return UserError(f"{path}: the TFLite file cannot be read ({error})")


def pack(root, identifier: bytes = b"TFL3") -> bytes:
    """Returns a `ModelT` as the content of a file, or another schema's root as a buffer."""
    import flatbuffers

    builder = flatbuffers.Builder(0)
    builder.Finish(root.Pack(builder), file_identifier=identifier)
    return bytes(builder.Output())


def names(enumeration) -> dict[int, str]:
    """The names of one of the schema's enumerations, by value."""
    return {value: key for key, value in vars(enumeration).items() if isinstance(value, int)}


def type_of(tensor) -> str:
    """The name of a `TensorT`'s type, such as UINT8."""
    from ai_edge_litert import schema_py_generated as schema

    return names(schema.TensorType)[tensor.type]


def operators(model) -> list[tuple[str, object]]:
    """The main graph's operators, (name, `OperatorT`) each, in their order of execution."""
    from ai_edge_litert import schema_py_generated as schema

    known = names(schema.BuiltinOperator)
    found = []
    for operator in model.subgraphs[0].operators:
        code = model.operatorCodes[operator.opcodeIndex]
        # Old files fill only the deprecated 8-bit field, new ones both.
        found.append((known[max(code.builtinCode, code.deprecatedBuiltinCode)], operator))
    return found


def numbers(path: str) -> str:
    """What a file computes with: `float32`, `float16` or `dynamic` (weights alone), or `int8` etc.

    Raises:
      UserError: as `parse`.
    """
    model = parse(path)
    tensors = model.subgraphs[0].tensors
    for kind, operator in operators(model):
        if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            computed, kept = (type_of(tensors[index]) for index in operator.inputs[:2])
            if computed != "FLOAT32":
                return computed.lower()
            if kept != "FLOAT32":
                return "dynamic"
    halves = any(type_of(tensor) == "FLOAT16" for tensor in tensors)
    return "float16" if halves else "float32"


def half_pixel_centers(path: str) -> bool:
    """The rule of a file's own bilinear resizes, which the resize of its logits shares."""
    options = [o.builtinOptions for kind, o in operators(parse(path)) if kind == "RESIZE_BILINEAR"]
    return all(rule.halfPixelCenters or rule.alignCorners for rule in options)


def foreign(model) -> list[str]:
    """The names of a `ModelT`'s operators that are none of TFLite's, Flex ones included."""
    from ai_edge_litert import schema_py_generated as schema

    return sorted(
        {
            code.customCode.decode(errors="replace").removeprefix("Flex")
            for code in model.operatorCodes
            if max(code.builtinCode, code.deprecatedBuiltinCode) == schema.BuiltinOperator.CUSTOM
        }
    )
