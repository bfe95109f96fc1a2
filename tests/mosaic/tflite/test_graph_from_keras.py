"""Networks of Keras layers as graphs."""

import numpy as np
import pytest
import tf_keras

from mosaic.models.inputs import image_input
from mosaic.models.layers import Norm, conv_bn
from mosaic.models.pooling import PoolToBins, PoolWindows
from mosaic.tflite import graph_from_keras
from mosaic.tflite.graph import Node, Pool, ancestors

POOLS = (
    # layer, map, window, stride, whether it is the same
    (PoolToBins(4), (16, 24), (4, 6), (4, 6), True),
    (PoolToBins(4), (23, 30), (8, 9), (5, 7), True),
    (PoolToBins(4), (23, 30), (8, 9), (5, 6), False),
    (PoolToBins(4), (3, 3), (3, 3), (1, 1), False),
    (PoolToBins(1), (16, 24), (16, 24), (1, 1), True),
    (PoolWindows((4, 6)), (16, 24), (4, 6), (4, 6), True),
    (PoolWindows((4, 6)), (16, 24), (4, 6), (2, 3), False),
    (PoolWindows((4, 6)), (16, 24), (8, 12), (8, 12), False),
    (PoolWindows((4, 6)), (16, 24), (16, 24), (16, 24), False),
    (PoolWindows((32, 12)), (16, 24), (16, 12), (16, 12), True),
    (PoolWindows((32, 64)), (16, 24), (16, 24), (2, 2), True),
    (tf_keras.layers.GlobalAveragePooling2D(), (16, 24), (16, 24), (1, 1), True),
    (tf_keras.layers.GlobalAveragePooling2D(), (16, 24), (8, 12), (8, 12), False),
)


@pytest.mark.parametrize(("layer", "size", "window", "stride", "same"), POOLS)
def test_pools_are_told_by_their_windows(layer, size, window, stride, same):
    pixels = tf_keras.Input([*size, 3])
    if isinstance(layer, PoolToBins) and min(size) < layer.bins:
        pixels = tf_keras.Input([None, None, 3])
    step = graph_from_keras.of_model(tf_keras.Model(pixels, layer(pixels)))
    other = Node("pool", "pool", step.inputs, Pool.of(size, window, stride))
    assert step.fits(other) == same


def test_batch_norm_and_activation_belong_to_their_convolution():
    pixels, x = image_input("symmetric")
    model = tf_keras.Model(pixels, conv_bn(Norm(), "stem", 8, 3, 2, activation="relu6")(x))
    source, step = ancestors((graph_from_keras.of_model(model),))
    assert (step.kind, step.name, step.options) == ("conv", "stem_conv", {"relu6"})
    assert step.content.convolution is model.get_layer("stem_conv")
    assert step.content.norm is model.get_layer("stem_bn")
    np.testing.assert_allclose(source.content.scale * 255 + source.content.offset, 1.0)


def test_a_layer_has_a_step_for_each_use():
    pixels, shared = tf_keras.Input([8, 8, 3]), tf_keras.layers.Conv2D(3, 1, name="shared")
    last = graph_from_keras.of_model(tf_keras.Model(pixels, shared(shared(pixels))))
    assert [node.name for node in ancestors((last,))][1:] == ["shared", "shared"]


def test_batch_norm_of_a_sum_is_a_step_of_its_own():
    pixels = tf_keras.Input([8, 8, 3])
    x = tf_keras.layers.BatchNormalization()(tf_keras.layers.Add()([pixels, pixels]))
    assert graph_from_keras.of_model(tf_keras.Model(pixels, x)).kind == "batchnormalization"
