"""1x1 convolutions before resizes: the same function, in fewer products."""

import numpy as np
import pytest
import tf_keras
from tf_keras import layers as keras

from mosaic.models.batch_norm import folded
from mosaic.models.late_resize import before_resizes
from mosaic.models.mosaic import mosaic
from mosaic.models.resizing import ResizeLike
from tiny_network import randomized


def _network(filters=4, size=1, rule=None, only_resized=False):
    """A map, a smaller one, and a convolution of both side by side."""
    images = keras.Input([None, None, 3], name="images")
    x = keras.Conv2D(3, 3, padding="same", name="wide")(images)
    small = keras.Conv2D(5, 3, 2, padding="same", name="small")(x)
    resized = ResizeLike(name="resize", **(rule or {}))([small, x])
    joined = keras.Concatenate(name="joined")([resized] if only_resized else [resized, x])
    y = keras.Conv2D(filters, size, padding="same", name="project")(joined)
    return randomized(tf_keras.Model(images, keras.ReLU(name="logits")(y)))


def _difference(network, rewritten):
    images = np.random.default_rng(0).uniform(-1, 1, [2, 13, 18, 3]).astype(np.float32)
    expected = network(images, training=False).numpy()
    assert np.ptp(expected) > 0
    return np.max(np.abs(rewritten(images, training=False) - expected)) / np.ptp(expected)


@pytest.mark.parametrize("rule", [{}, {"half_pixel_centers": False}, {"align_corners": True}])
def test_a_resized_map_goes_through_its_part_of_a_convolution_before(rule):
    network = _network(rule=rule)
    rewritten = before_resizes(network)
    early = rewritten.get_layer("project_of_resize")
    assert early.input.node.layer.name == "small"
    assert early.output.shape[-1] == 4
    assert _difference(network, rewritten) < 1e-5


@pytest.mark.parametrize("others", [{"filters": 6}, {"size": 3}])
def test_what_would_resize_more_channels_or_look_at_neighbours_stays(others):
    network = _network(**others)
    assert before_resizes(network) is network


def test_mosaic_resizes_its_pooled_maps_after_the_projection():
    network = folded(randomized(mosaic(3, bins=(1, 2, 3), branch_filters=(64, 64))))
    rewritten = before_resizes(network)
    early = {layer.name for layer in rewritten.layers} - {layer.name for layer in network.layers}
    assert early == {
        "decoder1_merge_conv_of_decoder1_resize",
        "decoder1_merge_conv_sum",
        "encoder_project_conv_of_encoder_bins2_resize",
        "encoder_project_conv_of_encoder_bins3_resize",
        "encoder_project_conv_pooled",
        "encoder_project_conv_sum",
    }
    images = np.random.default_rng(0).uniform(0, 255, [1, 64, 96, 3]).astype(np.float32)
    expected, found = (net(images, training=False).numpy() for net in (network, rewritten))
    assert np.max(np.abs(found - expected)) < 1e-4 * np.ptp(expected)
