"""What files cost: parameters, multiply-adds and bytes."""

import pytest

from mosaic.benchmark import file_cost
from mosaic.models import cost as model_cost
from mosaic.tflite.model_file import TFLiteModel, opened

SIZE = (64, 96)


@pytest.mark.parametrize("name", ["none.tflite", "float16.tflite", "int8.tflite", "saved_model"])
def test_cost_is_that_of_the_network(files, network, name):
    """Multiply-adds to the last one; parameters but for the pooling's constant kernels."""
    expected = model_cost.count(network, *SIZE)
    path = opened(str(files / name))
    count = file_cost.of_saved_model if name == "saved_model" else file_cost.of_tflite
    cost = count(path, SIZE)
    pooling = name == "int8.tflite"
    assert abs(cost.parameters / expected.weights - 1) < (0.02 if pooling else 1e-6)
    assert abs(cost.multiply_adds / expected.multiply_adds - 1) < (0.01 if pooling else 1e-6)
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
