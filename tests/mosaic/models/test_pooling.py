"""Average pooling into bins, by windows, and as convolutions."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from mosaic import cli
from mosaic.models import pooling
from mosaic.models.pooling import PoolWindows
from mosaic.utils.errors import UserError


def test_input_too_small_while_tracing():
    """Neither AutoGraph nor Keras puts its frames around the message."""
    pool = pooling.PoolToBins(4)

    @tf.function
    def run(images):
        return pool(images)

    with pytest.raises(UserError) as caught:
        run(tf.zeros([1, 3, 8, 2]))
    code, line = cli.explain(caught.value)
    assert code == 2
    assert line.startswith("a feature map of 3x8 cannot be pooled into 4x4 bins; use")


def test_input_too_small_at_run_time():
    pool = pooling.PoolToBins(4)
    dynamic = tf.function(pool, input_signature=[tf.TensorSpec([None, None, None, 2])])
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        dynamic(tf.zeros([1, 3, 8, 2]))
    code, line = cli.explain(caught.value)
    told = "the input is too small for 4x4 pooling bins; use larger images, or enlarge them ("
    assert code == 2 and line.startswith(told)
    assert "predict.py --size=HEIGHTxWIDTH" in line


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("bins", [4, 8, 16])
@pytest.mark.parametrize("size", [(16, 32), (17, 31), (23, 30), (64, 128)])
def test_pool_to_bins(size, bins, dynamic):
    """As in the Garden: stride size // bins, window size // bins + size % bins."""
    x = np.random.default_rng(0).normal(size=[2, *size, 3]).astype(np.float32)
    reference = tf_keras.layers.AveragePooling2D(
        pool_size=[n // bins + n % bins for n in size], strides=[n // bins for n in size]
    )
    pool = pooling.PoolToBins(bins)
    if dynamic:
        pool = tf.function(pool, input_signature=[tf.TensorSpec([None, None, None, 3])])
    pooled = pool(x)
    assert pooled.shape == (2, bins, bins, 3)
    np.testing.assert_allclose(pooled, reference(x), atol=1e-5)


@pytest.mark.parametrize("size", [(9, 14), (8, 6), (3, 20), (2, 2)])
def test_pooling_windows(size):
    layer = PoolWindows((4, 6))
    x = tf.random.stateless_normal([2, *size, 3], [1, 2])
    height, width = min(4, size[0]), min(6, size[1])
    expected = [
        [
            np.mean(x[:, i : i + height, j : j + width], axis=(1, 2))
            for j in range(0, size[1] - width + 1, width)
        ]
        for i in range(0, size[0] - height + 1, height)
    ]
    expected = np.transpose(expected, (2, 0, 1, 3))
    np.testing.assert_allclose(layer(x), expected, atol=1e-6)
    unknown = tf.function(layer, input_signature=[tf.TensorSpec([None, None, None, 3])])
    np.testing.assert_allclose(unknown(x), expected, atol=1e-6)
    assert layer.compute_output_shape(x.shape) == expected.shape
    assert PoolWindows.from_config(layer.get_config()).window == (4, 6)


@pytest.mark.parametrize("size", [(9, 14), (4, 6), (3, 20)])
def test_pooling_windows_with_strides(size):
    layer = PoolWindows((4, 6), (2, 3))
    layer = PoolWindows.from_config(layer.get_config())
    x = tf.random.stateless_normal([1, *size, 3], [1, 2])
    window = [min(most, own) for most, own in zip((4, 6), size)]
    expected = tf.nn.avg_pool2d(x, window, (2, 3), "VALID")
    np.testing.assert_allclose(layer(x), expected, atol=1e-6)
    unknown = tf.function(layer, input_signature=[tf.TensorSpec([None, None, None, 3])])
    np.testing.assert_allclose(unknown(x), expected, atol=1e-6)
    assert layer.compute_output_shape(x.shape) == expected.shape


@pytest.mark.parametrize(
    ("size", "bins", "kernels"),
    [
        ((16, 16), 4, [(2, 2), (2, 2)]),
        ((8, 24), 4, [(1, 3), (2, 2)]),
        ((10, 10), 2, [(5, 5)]),
        ((14, 14), 2, None),  # a window of 7
        ((10, 16), 4, None),  # windows that overlap
    ],
)
def test_averages_by_convolution(size, bins, kernels):
    x = tf.random.stateless_uniform([2, *size, 6], [1, 2])
    expected = pooling.PoolToBins(bins)(x)
    traced = tf.function(pooling.PoolToBinsByConvolution(bins))

    found = [
        tuple(op.inputs[1].shape[:2])
        for op in traced.get_concrete_function(x).graph.get_operations()
        if op.type == "DepthwiseConv2dNative"
    ]
    assert found == (kernels or [])
    if (1, 3) not in found:  # TensorFlow's own kernel wants equal strides
        np.testing.assert_allclose(traced(x), expected, atol=1e-6)
