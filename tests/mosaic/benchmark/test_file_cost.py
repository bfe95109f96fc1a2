"""What files cost: parameters, multiply-adds and bytes."""

import pytest

from mosaic.benchmark import file_cost
from mosaic.models import cost as model_cost
from mosaic.tflite.model_file import TFLiteModel, opened

SIZE = (64, 96)


@pytest.mark.parametrize("name", ["none.tflite", "float16.tflite", "int8.tflite", "saved_model"])
def test_cost_is_that_of_the_network(files, network, name):
    """To the last one, but for the constant kernels of an int8 file's pooling.

    Float files compute the global branch's part of the encoder's projection once, not at each of
    4x6 places, in a convolution with a bias of its own, of zeros.
    """
    expected = model_cost.count(network, *SIZE)
    weights, multiply_adds = expected.weights, expected.multiply_adds
    if name in ("none.tflite", "float16.tflite"):
        weights, multiply_adds = weights + 128, multiply_adds - 64 * 128 * (4 * 6 - 1)
    path = opened(str(files / name))
    count = file_cost.of_saved_model if name == "saved_model" else file_cost.of_tflite
    cost = count(path, SIZE)
    pooling = name == "int8.tflite"
    assert abs(cost.parameters / weights - 1) < (0.02 if pooling else 1e-6)
    assert abs(cost.multiply_adds / multiply_adds - 1) < (0.01 if pooling else 1e-6)
    path = files / name
    bytes_ = [
        f.stat().st_size for f in (path.rglob("*") if path.is_dir() else [path]) if f.is_file()
    ]
    assert cost.size == sum(bytes_)


def test_cost_of_mlperfs_file(shared):
    """REFERENCE.md has counted it."""
    path = shared("models/mosaic_r4_ade20k_uint8.tflite")
    cost = file_cost.of_tflite(TFLiteModel.open(path), (512, 512))
    assert cost == file_cost.FileCost(path.stat().st_size, 1_862_176, 2_693_204_992)
