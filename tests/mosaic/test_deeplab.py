import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.vision.modeling.heads.segmentation_heads import SegmentationHead
from official.vision.modeling.layers.deeplab import SpatialPyramidPooling

from mosaic.checkpoints import variable_name
from mosaic.counting import count
from mosaic.deeplab import deeplab


def shapes(model):
    return {variable_name(v): tuple(v.shape) for v in model.variables}


def pixels(height, width, count=2):
    rng = np.random.default_rng(0)
    return tf.constant(rng.uniform(0, 255, (count, height, width, 3)), tf.float32)


def test_mlperf_form_costs_what_the_published_file_does():
    model = deeplab(
        32,
        decoder=True,
        head_convs=2,
        pooling_first=True,
        half_pixel_centers=False,
        first_atrous_dilation=1,
        normalization="symmetric",
    )
    cost = count(model, 512, 512)
    assert (cost.multiply_adds, cost.weights) == (5_277_302_784, 2_256_272)


def test_the_starter_network_of_257_pixels_fits_its_published_size():
    model = deeplab(21, width_multiplier=0.5)
    assert 4 * count(model, 257, 257).weights < 2.7 * 2**20
    assert model(pixels(257, 257, 1)).shape == (1, 17, 17, 21)


@pytest.mark.parametrize("decoder", [False, True])
def test_the_same_weights_serve_output_strides_16_and_8(decoder):
    settings = {"decoder": decoder, "head_convs": 2 * decoder, "atrous_rates": (6, 12)}
    coarse = deeplab(5, output_stride=16, **settings)
    fine = deeplab(5, output_stride=8, **settings)
    assert shapes(coarse) == shapes(fine)
    assert coarse(pixels(64, 96)).shape == ((2, 16, 24, 5) if decoder else (2, 4, 6, 5))
    assert fine(pixels(64, 96)).shape == ((2, 16, 24, 5) if decoder else (2, 8, 12, 5))
    rates = {
        m: [m.get_layer(f"aspp{k}_conv").dilation_rate[0] for k in (1, 2)] for m in (coarse, fine)
    }
    assert rates == {coarse: [6, 12], fine: [12, 24]}


@pytest.mark.parametrize(
    ("stride", "first", "expected"),
    [
        (16, 2, [1] * 13 + [2] * 4),
        (16, 1, [1] * 13 + [1] + [2] * 3),
        (8, 2, [1] * 6 + [2] * 8 + [4] * 3),
        (8, 1, [1] * 6 + [1] + [2] * 7 + [4] * 3),
    ],
)
def test_only_the_first_removed_stride_has_its_own_dilation(stride, first, expected):
    model = deeplab(2, output_stride=stride, first_atrous_dilation=first)
    layers = [model.get_layer(f"backbone_{k:02}_spatial_depthwise") for k in range(1, 18)]
    assert [layer.dilation_rate[0] for layer in layers] == expected


# The head's layers in the Garden's order of variables and under our names.
HEAD = (
    "decoder_low_conv",
    "decoder_low_bn",
    "head0_spatial_depthwise",
    "head0_project_conv",
    "head1_spatial_depthwise",
    "head1_project_conv",
    "head0_spatial_bn",
    "head0_project_bn",
    "head1_spatial_bn",
    "head1_project_bn",
    "logits",
)
ASPP = ("aspp0", "aspp1", "aspp2", "aspp_pooling", "aspp_project")


def test_arithmetic_is_that_of_the_garden():
    model = deeplab(5, atrous_rates=(2, 3), decoder=True, head_convs=2, aspp_filters=16)
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.2, variable.shape) + ("gamma" in variable.name))
    features = ("backbone_17_project_bn", "backbone_03_spatial_relu6")
    backbone = tf_keras.Model(model.inputs, [model.get_layer(name).output for name in features])
    aspp = SpatialPyramidPooling(16, [2, 3], dropout=0.0)
    head = SegmentationHead(
        5, "4", 2, use_depthwise_convolution=True, feature_fusion="deeplabv3plus", low_level="2"
    )
    images = pixels(64, 96)
    for training in (True, False, True):
        deep, low = backbone(images, training=training)
        head(({"2": low}, {"4": aspp(deep)}))
        names = [f"{name}_{kind}" for name in ASPP for kind in ("conv", "bn")]
        for garden, layers in ((aspp, names), (head, HEAD)):
            ours = [v for name in layers for v in model.get_layer(name).trainable_variables]
            for theirs, variable in zip(garden.trainable_variables, ours):
                theirs.assign(variable)
        expected = head(({"2": low}, {"4": aspp(deep, training=training)}), training=training)
        np.testing.assert_allclose(model(images, training=training), expected, rtol=1e-3, atol=1e-3)
