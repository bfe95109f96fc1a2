"""What readers of TFLite files take, and what they are not given."""

import pytest

from mosaic.export.readers import READERS, options
from mosaic.export.tflite import INPUT_TYPES, OUTPUTS
from mosaic.export.tolerances import LIMITS
from mosaic.utils.errors import UserError


@pytest.mark.parametrize("reader", READERS.values())
def test_readers_take_what_can_be_written(reader):
    assert set(reader.outputs) <= set(OUTPUTS)
    assert set(reader.input_types) <= set(INPUT_TYPES)
    assert set(reader.quantize or ()) <= set(LIMITS)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("mediapipe", {}, {"output": "logits", "input_type": "uint8"}),
        (
            "mediapipe",
            {"output": "logits_stride4", "quantize": ["none", "int8"]},
            {"output": "logits_stride4", "input_type": "uint8", "quantize": ["none", "int8"]},
        ),
        ("litert", {"input_type": "int8"}, {"output": "labels", "input_type": "int8"}),
        (
            "mlperf",
            {},
            {
                "output": "labels",
                "input_type": "uint8",
                "size": (512, 512),
                "quantize": ["int8"],
            },
        ),
        (None, {"output": "labels"}, {"output": "labels"}),
    ],
)
def test_what_is_left_open_is_chosen(name, given, expected):
    assert options(name, given) == expected


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("mediapipe", {"output": "labels"}, "takes --output=logits or logits_stride4, not labels"),
        ("mediapipe", {"input_type": "int8"}, "takes --input_type=uint8, not int8"),
        ("mlperf", {"size": (257, 257)}, "takes --size=512x512, not 257x257"),
    ],
)
def test_what_a_reader_does_not_take_is_refused(name, given, message):
    with pytest.raises(UserError, match=f"--for={name} {message}"):
        options(name, given)
