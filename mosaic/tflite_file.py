"""TFLite files as what their schema says: tensors, buffers, and operators by name.

The schema is TensorFlow Lite's (tensorflow/compiler/mlir/lite/schema).
"""

from __future__ import annotations

import pathlib
import struct

from mosaic.errors import UserError

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
    from ai_edge_litert import schema_py_generated as schema

    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    if content[4:8] != b"TFL3":
        raise UserError(f"{path}: not a TFLite file")
    try:
        return schema.ModelT.InitFromPackedBuf(content)
    except DAMAGE as error:
        raise unreadable(path, error) from None


def unreadable(path: str, error: Exception) -> UserError:
    """What to raise where a file turns out to be damaged."""
    return UserError(f"{path}: the TFLite file cannot be read ({error})")


def pack(model) -> bytes:
    """Returns a `ModelT` as the content of a file."""
    import flatbuffers

    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def names(enumeration) -> dict[int, str]:
    """The names of one of the schema's enumerations, by value."""
    return {value: key for key, value in vars(enumeration).items() if isinstance(value, int)}


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
