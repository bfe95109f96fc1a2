"""Conversion to TFLite with TFLite's own operators only, and errors of one line."""

from __future__ import annotations

import re

import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from mosaic.tflite import model_file
from mosaic.utils.errors import UserError
from mosaic.utils.quiet import quiet

# The converter's message about operators that it would leave to TensorFlow's runtime (Flex, "TF
# Select") or to the application (custom ones).
_FOREIGN = re.compile(r"^(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)


def convert(converter: tf.lite.TFLiteConverter, path: str) -> bytes:
    """Runs a converter.

    Args:
      converter: converter with all its settings.
      path: path of the new file, for messages.

    Returns:
      The file's content.

    Raises:
      UserError: the network has operators that are not TFLite's; the message names them.
    """
    try:
        with quiet():
            content = converter.convert()
    except ConverterError as error:
        names = sorted({n for found in _FOREIGN.findall(str(error)) for n in found.split(", ")})
        if not names:
            raise
        raise _foreign(path, names) from error
    if names := model_file.foreign(model_file.unpack(content)):
        raise _foreign(path, names)
    return content


def _foreign(path: str, names: list[str]) -> UserError:
    return UserError(
        f"{path}: TFLite has no operator for {', '.join(names)}; phones would need TensorFlow's "
        "runtime (Flex) for it: build the network without"
    )
