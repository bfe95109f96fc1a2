"""Depthwise convolutions with dilation in one operation, for inference on CPUs."""

import numpy as np
import pytest
import tf_keras
from tf_keras import layers as keras

from mosaic.inference.predictors import of_network
from mosaic.models import native_dilation
from mosaic.models.batch_norm import folded
from mosaic.models.mosaic import mosaic
from tiny_network import randomized


def _network(padding="same", **settings):
    images = keras.Input([None, None, 4])
    x = keras.DepthwiseConv2D(3, dilation_rate=(2, 3), padding=padding, name="wide", **settings)(
        images
    )
    x = keras.BatchNormalization()(x)
    return randomized(tf_keras.Model(images, keras.DepthwiseConv2D(3, 2, name="strided")(x)))


@pytest.fixture
def kinds():
    found = native_dilation.kinds()
    if not found:
        pytest.skip("TensorFlow's kernels here do not know dilation")
    return found


@pytest.mark.parametrize(
    "settings", [{}, {"padding": "valid"}, {"depth_multiplier": 2}, {"use_bias": False}]
)
def test_the_operation_gives_what_keras_gives(kinds, settings):
    network = _network(**settings)
    inference = folded(network, kinds=kinds)
    assert type(inference.get_layer("wide")) is native_dilation.NativelyDilated
    images = np.random.default_rng(0).normal(size=[2, 17, 22, 4]).astype(np.float32)
    expected, found = (net(images, training=False).numpy() for net in (network, inference))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.ptp(expected))


def test_maps_smaller_than_the_kernel_and_numbers_of_16_bits(kinds):
    values = np.random.default_rng(0).normal(size=[1, 2, 9, 4]).astype(np.float32)
    for policy in ("float32", "mixed_bfloat16", "mixed_float16"):
        plain, native = (
            kind(3, dilation_rate=6, padding="same", activation="tanh", dtype=policy)
            for kind in next(iter(kinds.items()))
        )
        expected = plain(values)
        native.build(values.shape)
        native.set_weights(plain.get_weights())
        np.testing.assert_allclose(native(values), expected, atol=1e-5)


def test_a_predictor_has_no_batches_of_parts_of_a_map(kinds):
    network = randomized(mosaic(3, bins=(1, 2)))
    run = of_network(network).run
    images = np.zeros([1, 64, 96, 3], np.uint8)
    graph = run.get_concrete_function(images).graph.as_graph_def()
    used = {node.op for function in graph.library.function for node in function.node_def}
    used |= {node.op for node in graph.node}
    assert "DepthwiseConv2dNative" in used
    assert "SpaceToBatchND" not in used


def test_other_kernels_keep_keras_layers(monkeypatch):
    monkeypatch.setattr(native_dilation, "_supported", lambda: False)
    network = folded(_network(), kinds=native_dilation.kinds())
    assert type(network.get_layer("wide")) is keras.DepthwiseConv2D
