"""Memory that a model takes."""

import pathlib

import pytest
import tensorflow as tf

from mosaic.benchmark import peak_memory
from mosaic.utils.errors import RunError

SIZE = (64, 96)


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="Linux only")
def test_memory_grows_with_what_a_model_holds(tmp_path):
    def network(megabytes):
        @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3])])
        def run(images):
            wide = tf.tile(images, [1, 8, 8, megabytes * 2**20 // (64 * 64 * 3 * 4)])
            return tf.reduce_max(wide, -1, keepdims=True)

        path = tmp_path / f"{megabytes}.tflite"
        function = run.get_concrete_function()
        content = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
        path.write_bytes(content)
        return str(path)

    small, large = (peak_memory.measure(network(size), (8, 8), 1) for size in (4, 64))
    assert 50e6 < large - small < 80e6


def test_a_failed_measurement_of_memory_is_told(tmp_path):
    with pytest.raises(RunError, match=r"x.tflite: its memory could not be measured \(ValueError"):
        peak_memory.measure(str(tmp_path / "x.tflite"), SIZE, 1)
