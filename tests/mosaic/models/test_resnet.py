"""Dilated ResNets as backbones: their dilations and stochastic depth."""

import gin
import numpy as np
import pytest
import tensorflow as tf

from mosaic.models.deeplab import deeplab
from networks import RESNET


def test_dilations_of_a_resnet():
    for stride, expected in ((8, (1, 2, 4)), (16, (1, 1, 2)), (32, (1, 1, 1))):
        model = deeplab(3, output_stride=stride, **RESNET)
        dilations = [
            layer.dilation_rate[0] for layer in model.layers if layer.name.endswith("spatial_conv")
        ]
        assert dilations[3:13] == [expected[0]] * 4 + [expected[1]] * 6
        grid = (1, 2, 4) if expected[2] > 1 else (1, 1, 1)
        assert dilations[13:] == [expected[2] * factor for factor in grid]


def test_stochastic_depth_drops_whole_residuals():
    gin.parse_config("dilated_resnet.stochastic_depth = 0.5")
    model = deeplab(3, **RESNET)
    rates = [layer.rate for layer in model.layers if layer.name.endswith("_drop")]
    assert rates == pytest.approx([0.2] * 3 + [0.3] * 4 + [0.4] * 6 + [0.5] * 3)
    dropped = model.get_layer("backbone_block15_drop")(tf.ones([400, 2, 3, 4]), training=True)
    assert np.all(np.ptp(dropped, axis=(1, 2, 3)) == 0)
    values, counts = np.unique(dropped[:, 0, 0, 0], return_counts=True)
    assert values.tolist() == [0, 2]
    assert min(counts) > 140
