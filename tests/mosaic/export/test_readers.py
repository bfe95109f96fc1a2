"""What readers of TFLite files take, and what they are not given."""

import pathlib
import re

import pytest

from mosaic.export.readers import READERS, options
from mosaic.export.tflite import INPUT_TYPES, OUTPUTS, TFLiteOptions
from mosaic.export.tolerances import LIMITS
from mosaic.utils.errors import UserError


@pytest.mark.parametrize("reader", READERS.values())
def test_readers_take_what_can_be_written(reader):
    assert set(reader.outputs) <= set(OUTPUTS)
    assert set(reader.input_types) <= set(INPUT_TYPES)
    assert set(reader.quantize or ()) <= {*LIMITS, "all"}


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
        (
            "mlperf",
            {"quantize": ["all"]},
            {"output": "labels", "input_type": "uint8", "size": (512, 512), "quantize": ["all"]},
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


def test_the_programs_of_the_phone_page_name_what_exports_have():
    """Files, signature, input and output."""
    names = {"images", "labels", "serving_default"}
    for quantize in LIMITS:
        for output in OUTPUTS:
            names.add(f"mosaic_{TFLiteOptions((64, 64), output, quantize).suffix}.tflite")
    page = pathlib.Path(__file__).parents[3] / "docs" / "phone.md"
    programs = re.findall(r"```(?:kotlin|cpp)\n(?!android)(.*?)```", page.read_text(), re.DOTALL)
    assert len(programs) == 3
    for program in programs:
        named = re.findall(r'"(.*?)"', re.sub(r"#include.*", "", program))
        assert named and set(named) <= names
