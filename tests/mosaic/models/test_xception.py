"""Xception-65 as a backbone; its numbers are compared in tests/mosaic/checkpoints/test_zoo.py."""

import tf_keras

from mosaic.models.layers import Norm
from mosaic.models.xception import xception


def test_dilations_take_the_place_of_strides():
    images = tf_keras.Input([65, 65, 3])
    maps = xception(images, Norm(), output_stride=8)
    assert {name: tuple(x.shape[1:]) for name, x in maps.items()} == {
        "2": (17, 17, 256),
        "3": (9, 9, 2048),
    }
    layers = {layer.name: layer for layer in tf_keras.Model(images, maps).layers}
    found = [
        layers[f"backbone_block{k:02}_sep1_spatial_depthwise"].dilation_rate[0]
        for k in (1, 2, 3, 19, 20)
    ]
    assert found == [1, 1, 2, 2, 4]
