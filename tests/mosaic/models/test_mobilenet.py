"""MobileNets as backbones: the Garden's arithmetic, and dilation in the place of strides."""

import pytest
import tensorflow as tf
import tf_keras
from official.vision.modeling.backbones import mobilenet as garden

from mosaic.checkpoints import loading
from mosaic.models import layers, mobilenet
from networks import assert_close, noise, randomize


@pytest.mark.parametrize("model_id", ["MobileNetMultiAVGSeg", "MobileNetV2"])
def test_backbone_is_the_gardens(model_id, tmp_path):
    theirs = garden.MobileNet(
        model_id, filter_size_scale=1.0, output_stride=16, output_intermediate_endpoints=True
    )
    randomize(theirs.variables)
    images = tf_keras.Input([None, None, 3])
    endpoints = mobilenet.mobilenet(images, layers.Norm(), model_id, output_stride=16)
    ours = tf_keras.Model(images, endpoints)
    path = tf.train.Checkpoint(backbone=theirs).write(str(tmp_path / "backbone"))
    loading.load(ours, path)

    x = noise(96, 128) / 128 - 1
    found, expected = ours(x, training=False), theirs(x, training=False)
    assert found.keys() == expected.keys() - {"5"}
    for name, endpoint in found.items():
        assert_close(endpoint, expected[name], name)


def test_first_atrous_dilation():
    images = tf_keras.Input([None, None, 3])
    dilations = []
    for first in (2, 1):
        endpoints = mobilenet.mobilenet(images, layers.Norm(), first_atrous_dilation=first)
        model = tf_keras.Model(images, endpoints["4"])
        dilations.append(
            [
                layer.dilation_rate[0]
                for layer in model.layers
                if isinstance(layer, tf_keras.layers.DepthwiseConv2D)
            ]
        )
    garden_form, r4 = dilations
    atrous = garden_form.index(2)
    assert garden_form == [1] * atrous + [2] * (len(garden_form) - atrous)
    assert r4 == [1] * (atrous + 1) + garden_form[atrous + 1 :]
