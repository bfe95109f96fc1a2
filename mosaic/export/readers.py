"""Who reads a TFLite file, and which output, input and size it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from mosaic.utils.errors import UserError


@dataclasses.dataclass(frozen=True)
class Reader:
    """What a reader of TFLite files takes; the first of several is chosen.

    Attributes:
      outputs: outputs, as of `mosaic.export.tflite.TFLiteOptions`.
      input_types: input types of int8 files.
      size: (height, width) that it gives, in pixels; None if it fits images to any.
      quantize: kinds of quantization; None leaves the choice to the export.
    """

    outputs: tuple[str, ...]
    input_types: tuple[str, ...] = ("uint8", "int8")
    size: tuple[int, int] | None = None
    quantize: tuple[str, ...] | None = None


_KINDS = ("int8", "none", "float16", "dynamic", "all")
# MediaPipe's ImageSegmenter computes masks from scores, and takes no int8 input. MLPerf Mobile's
# app gives images of 512x512 to files whose answer is one class index for each pixel.
READERS = {
    "mediapipe": Reader(("logits", "logits_stride4"), ("uint8",)),
    "litert": Reader(("labels", "logits", "logits_stride4")),
    "mlperf": Reader(("labels",), size=(512, 512), quantize=_KINDS),
}


def options(name: str | None, given: Mapping[str, object]) -> dict[str, object]:
    """Returns the options of an export for a reader: what the user gave, and what that leaves open.

    Args:
      name: key of `READERS`, or None for no reader in particular.
      given: values that the user gave for `output`, `input_type`, `size` and `quantize`.

    Raises:
      UserError: the reader does not take what the user gave.
    """
    if name is None:
        return dict(given)
    reader = READERS[name]
    takes = {
        "output": reader.outputs,
        "input_type": reader.input_types,
        "size": reader.size and (reader.size,),
        "quantize": reader.quantize,
    }
    chosen = dict(given)
    for option, known in takes.items():
        if known is None:
            continue
        values = chosen.get(option)
        for value in values if option == "quantize" and values else [values]:
            if value is not None and value not in known:
                listed = " or ".join(map(_text, known))
                raise UserError(f"--for={name} takes --{option}={listed}, not {_text(value)}")
        if values is None:
            chosen[option] = list(known[:1]) if option == "quantize" else known[0]
    return chosen


def _text(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
