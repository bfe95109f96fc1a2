"""The forms of outputs that are read, and those that are refused."""

import numpy as np
import pytest

from mosaic.inference.output_form import form
from mosaic.utils.errors import UserError

SIZE = (6, 10)
NONE = (0.0, 0)


def _logits():
    return np.random.default_rng(0).normal(size=(*SIZE, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[np.newaxis],
        lambda x: x.transpose(2, 0, 1)[np.newaxis],
        lambda x: x.reshape(1, -1, 3),
        lambda x: x.reshape(-1, 3).T[np.newaxis],
        lambda x: x,
    ],
    ids=["nhwc", "nchw", "n(hw)c", "nc(hw)", "hwc"],
)
def test_logits_of_every_form_are_read_alike(change):
    values = change(_logits())
    output = form("x.tflite", values.shape, SIZE, NONE)
    assert output.num_classes == 3
    np.testing.assert_array_equal(output.read(values, SIZE), _logits())


@pytest.mark.parametrize(
    "shape", [(1, *SIZE), (1, *SIZE, 1), (1, 1, *SIZE), (1, 60), (1, 60, 1), SIZE]
)
def test_class_indices_of_every_form_are_read_alike(shape):
    labels = _logits().argmax(-1)
    for dtype in (np.int32, np.int64, np.uint8, np.float32):
        output = form("x.tflite", shape, SIZE, NONE)
        assert output.num_classes is None
        found = output.read(labels.reshape(shape).astype(dtype), SIZE)
        np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize("shape", [(1, *SIZE), (1, *SIZE, 1), (1, 1, *SIZE), (1, 60), (1, 60, 1)])
def test_one_channel_in_0_to_1_is_cut_at_a_half(shape):
    values = np.random.default_rng(0).uniform(size=SIZE).astype(np.float32)
    found = form("x.tflite", shape, SIZE, NONE).read(values.reshape(shape), SIZE)
    np.testing.assert_array_equal(found, values > 0.5)


def test_a_quantized_probability_is_cut_at_a_half():
    values = np.arange(60, dtype=np.uint8).reshape(1, *SIZE, 1) * 4
    found = form("x.tflite", values.shape, SIZE, (1 / 256, 0)).read(values, SIZE)
    np.testing.assert_array_equal(found, values[0, ..., 0] > 128)


def test_one_channel_of_other_numbers_is_told():
    values = np.linspace(-3, 5, 60, dtype=np.float32).reshape(1, *SIZE, 1)
    with pytest.raises(UserError, match=r"one channel goes from -3 to 5: neither class indices"):
        form("x.tflite", values.shape, SIZE, NONE).read(values, SIZE)


@pytest.mark.parametrize("shape", [(1, *SIZE, 3), (1, *SIZE)])
def test_nan_is_told(shape):
    values = np.zeros(shape, np.float32)
    values.flat[7] = np.nan
    with pytest.raises(UserError, match=r"x.tflite: its output of \[1, 6, 10.*\] holds NaN"):
        form("x.tflite", shape, SIZE, NONE).read(values, SIZE)


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1001),
        (1, 10, 4),
        (1, 5, 4),
        (1, 1917, 4),
        (1, 1, 1, 1001),
        (1,),
        (1, 2, 3, 4, 5),
        (2, 64, 64, 3),
    ],
)
def test_what_is_no_segmentation_is_told(shape):
    with pytest.raises(UserError, match=rf"output of \[{shape[0]}.* is not a segmentation"):
        form("x.tflite", shape, (300, 300), NONE)


@pytest.mark.parametrize(
    ("shape", "classes"),
    [((1, 33, 33, 21), 21), ((1, 21, 33, 33), 21), ((1, 33, 33, 33), 33), ((1, 128, 256, 19), 19)],
)
def test_maps_smaller_than_the_image_are_found_by_its_aspect(shape, classes):
    size = (257, 257) if shape[-2] < 100 else (512, 1024)
    assert form("x.tflite", shape, size, NONE).num_classes == classes


def test_a_file_of_any_size_is_read_by_what_is_fixed():
    assert form("x.tflite", (-1, -1, -1, 5), None, NONE).axes == "nhwc"
    assert form("x.tflite", (1, 5, -1, -1), None, NONE).axes == "nchw"
    assert form("x.tflite", (-1, -1, -1), None, NONE).num_classes is None
    with pytest.raises(UserError, match="not a segmentation"):
        form("x.tflite", (-1, 1000), None, NONE)
