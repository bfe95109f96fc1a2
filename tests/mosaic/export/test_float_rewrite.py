"""Networks as float files have them: the same function, in fewer operators."""

import numpy as np
import pytest
import tf_keras
from tf_keras import layers as keras

from mosaic.export.float_rewrite import in_floats
from mosaic.models.inputs import image_input
from mosaic.models.layers import Norm, conv_bn
from mosaic.models.resizing import ResizeAlways, ResizeLike
from tiny_network import randomized


def _network(order, then="conv"):
    """Image-level features beside two maps, and what comes after their concatenation."""
    norm = Norm()
    images, x = image_input("imagenet")
    x = conv_bn(norm, "first", 4, 3, strides=2)(x)
    pooled = keras.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    pooled = ResizeLike(name="pixel_resize")([conv_bn(norm, "pixel", 5)(pooled), x])
    parts = {"x": x, "y": conv_bn(norm, "other", 3)(x), "pooled": pooled}
    x = keras.Concatenate(name="concat")([parts[name] for name in order])
    x = conv_bn(norm, "project", 6, 3 if then == "wide" else 1)(x)
    return randomized(tf_keras.Model(images, keras.Conv2D(2, 1, name="logits")(x)))


@pytest.mark.parametrize(
    ("order", "halves"),
    [
        (["pooled", "x"], ["project_conv_pooled", "project_conv"]),
        (["x", "y", "pooled"], ["project_conv", "project_conv_pooled"]),
    ],
)
def test_a_repeated_pixel_goes_through_its_part_of_a_convolution_once(order, halves):
    network = _network(order)
    rewritten = in_floats(network)
    total = rewritten.get_layer("project_conv_sum")
    assert [part.node.layer.name for part in total.input] == halves
    assert not any(isinstance(layer, ResizeLike) for layer in rewritten.layers)
    _assert_same(network, rewritten)


@pytest.mark.parametrize(
    ("order", "then"), [(["x", "pooled", "y"], "conv"), (["x", "pooled"], "wide")]
)
def test_others_keep_their_concatenation_and_resize_the_pixel(order, then):
    network = _network(order, then)
    rewritten = in_floats(network)
    assert type(rewritten.get_layer("pixel_resize")) is ResizeAlways
    _assert_same(network, rewritten)


def _assert_same(network, rewritten):
    images = np.random.default_rng(0).uniform(0, 255, [2, 12, 16, 3]).astype(np.float32)
    expected = network(images, training=False)
    np.testing.assert_allclose(rewritten(images, training=False), expected, rtol=1e-3, atol=1e-4)
