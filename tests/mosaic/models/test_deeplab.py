"""DeepLabv3 and v3+: their cost and arithmetic, and the Garden's networks beside them."""

import zipfile
from itertools import chain
from types import SimpleNamespace

import gin
import numpy as np
import official.vision.configs.semantic_segmentation  # noqa: F401 - registers the experiments
import pytest
import tensorflow as tf
import tf_keras
from official.core import exp_factory
from official.vision.modeling import factory
from official.vision.modeling.heads.segmentation_heads import SegmentationHead
from official.vision.modeling.layers.deeplab import SpatialPyramidPooling

import mlperf
import mosaic.training.train_loop  # noqa: F401 - registers what gin files bind
from data.label_map import LabelMap
from mosaic import config
from mosaic.export import tflite
from mosaic.models.cost import count
from mosaic.models.deeplab import deeplab
from networks import RESNET, randomize, shapes


def pixels(height, width, count=2):
    rng = np.random.default_rng(0)
    return tf.constant(rng.uniform(0, 255, (count, height, width, 3)), tf.float32)


def test_mlperf_form_costs_what_the_published_file_does(record_property):
    cost = count(deeplab(**mlperf.DEEPLAB), 512, 512)
    record_property("deeplab_multiply_adds", cost.multiply_adds)
    record_property("deeplab_weights", cost.weights)
    assert (cost.multiply_adds, cost.weights) == (5_277_302_784, 2_256_272)


def test_the_starter_network_of_257_pixels_fits_its_published_size(tmp_path, record_property):
    config.parse([config.find("deeplabv3_257")], ["DATA_DIR = 'nowhere'"])
    model, found = config.build("train.model"), LabelMap.named("pascal_voc")
    classes = SimpleNamespace(class_names=found.names, colors=found.colors, ignore_label=255)
    assert model.get_layer("backbone_02_project_conv").filters == 12
    cost = count(model, 257, 257)
    assert cost.weights == 688_357
    path = tmp_path / "257.tflite"
    randomize(model.variables, seed=2, gain=1)  # equal values would be stored once
    images = [np.zeros((257, 257, 3), np.uint8)]
    tflite.write(model, images, str(path), tflite.TFLiteOptions((257, 257)), dataset=classes)
    record_property("starter_bytes", path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        names = path.stat().st_size - min(info.header_offset for info in archive.infolist())
    # Names and colours of classes, appended, come on top of what the published file has.
    assert 4 * cost.weights < path.stat().st_size - names < 2_779_264
    assert model(pixels(257, 257, 1)).shape == (1, 33, 33, 21)
    with gin.unlock_config():
        gin.bind_parameter("deeplab.output_stride", 16)
    assert shapes(config.build("train.model")) == shapes(model)


def test_features_of_output_stride_16_are_every_other_one_of_8():
    """At sizes of a multiple of 16 plus 1, where the first block without stride is not dilated."""
    models = {s: deeplab(3, output_stride=s, first_atrous_dilation=1) for s in (16, 8)}
    randomize(models[16].variables, seed=2, gain=1)
    models[8].set_weights(models[16].get_weights())
    images = pixels(97, 129, 1)
    coarse, fine = (
        tf_keras.Model(m.inputs, m.get_layer("aspp0_conv").input)(images) for m in models.values()
    )
    assert coarse.shape[1:3] == (7, 9)
    assert fine.shape[1:3] == (13, 17)
    np.testing.assert_allclose(fine[:, ::2, ::2], coarse, rtol=1e-4, atol=1e-5 * np.ptp(coarse))
    # At even sizes the two part, by the side on which padding goes.
    coarse, fine = (
        tf_keras.Model(m.inputs, m.get_layer("aspp0_conv").input)(images[:, :96, :128])
        for m in models.values()
    )
    assert np.max(np.abs(fine[:, ::2, ::2] - coarse)) > 0.1 * np.std(coarse)


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
PLAIN_HEAD = (
    "decoder_low_conv",
    "decoder_low_bn",
    "head0_conv",
    "head1_conv",
    "head0_bn",
    "head1_bn",
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


MOBILENET_BLOCKS = tuple(f"{k:02}" for k in range(18))
MOBILENET_UNITS = (
    "conv",
    "bn",
    "expand_conv",
    "expand_bn",
    "spatial_depthwise",
    "spatial_bn",
    "project_conv",
    "project_bn",
)
RESNET_BLOCKS = ("stem0", "stem1", "stem2", *(f"block{k:02}" for k in range(16)))
RESNET_UNITS = (
    "conv",
    "bn",
    "shortcut_conv",
    "shortcut_bn",
    "reduce_conv",
    "reduce_bn",
    "spatial_conv",
    "spatial_bn",
    "expand_conv",
    "expand_bn",
    "se_reduce",
    "se_expand",
)
PLUS = {"decoder": True, "head_convs": 2}
# The Garden's experiment, changes to its model, and the same in our terms.
GARDEN = {
    "resnet v3+": (
        "seg_deeplabv3plus_cityscapes",
        {
            "num_classes": 5,
            "backbone": {
                "dilated_resnet": {
                    "model_id": 50,
                    "se_ratio": 0.25,
                    "stochastic_depth_drop_rate": 0.2,
                }
            },
            "decoder": {"aspp": {"pool_kernel_size": [32, 48]}},
        },
        "dilated_resnet.se_ratio = 0.25\ndilated_resnet.stochastic_depth = 0.2",
        {
            **RESNET,
            **PLUS,
            "atrous_rates": (6, 12, 18),
            "low_level": "2",
            "separable_head": False,
            "pooling_window": (32, 48),
        },
    ),
    "resnet v3, stride 8, stem v0": (
        "seg_deeplabv3_pascal",
        {
            "num_classes": 5,
            "backbone": {
                "dilated_resnet": {
                    "model_id": 50,
                    "output_stride": 8,
                    "stem_type": "v0",
                    "multigrid": [1, 3, 2],
                }
            },
            "decoder": {"aspp": {"level": 3}},
            "head": {"level": 3},
        },
        "dilated_resnet.stem = 'v0'\ndilated_resnet.multigrid = (1, 3, 2)",
        {**RESNET, "atrous_rates": (6, 12, 18), "output_stride": 8, "norm_momentum": 0.9997},
    ),
    "mobilenet v3": ("mnv2_deeplabv3_pascal", {"num_classes": 5}, "", {}),
    "mobilenet v3+": (
        "mnv2_deeplabv3plus_cityscapes",
        {"num_classes": 5, "decoder": {"aspp": {"pool_kernel_size": [32, 48]}}},
        "",
        {**PLUS, "pooling_window": (32, 48)},
    ),
}


def pairs(theirs, ours):
    """The Garden's layers with weights, in the order of their creation, and ours."""
    kinds = (
        tf_keras.layers.Conv2D,
        tf_keras.layers.DepthwiseConv2D,
        tf_keras.layers.BatchNormalization,
    )
    parts = [
        [
            layer
            for layer in part._flatten_layers(include_self=False)
            if isinstance(layer, kinds) and layer.weights
        ]
        for part in (theirs.backbone, theirs.decoder, theirs.head)
    ]
    there = {layer.name for layer in ours.layers}
    resnet = "backbone_stem0_conv" in there
    blocks, units = (RESNET_BLOCKS, RESNET_UNITS) if resnet else (MOBILENET_BLOCKS, MOBILENET_UNITS)
    names = (
        [f"backbone_{b}_{u}" for b in blocks for u in units],
        [
            f"{branch}_{kind}"
            for branch in ("aspp0", "aspp1", "aspp2", "aspp3", "aspp_pooling", "aspp_project")
            for kind in ("conv", "bn")
        ],
        HEAD if "head0_spatial_bn" in there else PLAIN_HEAD,
    )
    found = [[ours.get_layer(name) for name in part if name in there] for part in names]
    # A MobileNet's last convolution, which our form leaves out.
    unused = [] if resnet else [parts[0].pop(), parts[0].pop()]
    assert [len(part) for part in parts] == [len(part) for part in found]
    return list(zip(chain.from_iterable(parts), chain.from_iterable(found))), unused


@pytest.mark.parametrize(
    "name",
    # The longest is marked; the other ResNet has all but its squeeze and excitation.
    [pytest.param(n, marks=[pytest.mark.slow] if n == "resnet v3+" else []) for n in GARDEN],
)
def test_network_of_a_registered_experiment(name, record_property):
    """Logits, weight decay, batch norm and initial weights are those of the Garden's own model."""
    experiment, changes, bindings, settings = GARDEN[name]
    tf_keras.utils.set_random_seed(0)
    registered = exp_factory.get_exp_config(experiment)
    registered.task.model.override(changes)
    decay = registered.task.losses.l2_weight_decay
    theirs = factory.build_segmentation_model(
        tf_keras.layers.InputSpec(shape=[None, None, None, 3]),
        registered.task.model,
        l2_regularizer=tf_keras.regularizers.L2(decay / 2),
    )
    gin.parse_config(bindings)
    ours = deeplab(5, weight_decay=decay, **settings)
    images = pixels(72, 136, 1)
    normalized = ours.get_layer("normalize")(images)
    theirs(normalized)

    same, unused = pairs(theirs, ours)
    for garden, layer in same:
        for expected, variable in zip(garden.variables, layer.variables, strict=True):
            assert np.std(variable) == pytest.approx(np.std(expected), rel=0.2), variable.name
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            assert (layer.momentum, layer.epsilon) == (garden.momentum, garden.epsilon)
        randomize(garden.variables, seed=2, gain=1)
        layer.set_weights(garden.get_weights())
    expected = theirs(normalized, training=False)["logits"]
    scale = np.ptp(expected)
    assert np.min(np.std(expected, axis=(1, 2))) > 0.01 * scale > 1e-4
    difference = np.max(np.abs(ours(images, training=False) - expected)) / scale
    record_property("deeplab_logits", float(difference))
    assert difference <= 1e-5

    rest = sum(decay * tf.nn.l2_loss(layer.kernel) for layer in unused if hasattr(layer, "kernel"))
    np.testing.assert_allclose(sum(ours.losses), sum(theirs.losses) - rest, rtol=1e-5)


def test_a_resnets_weights_serve_every_output_stride():
    settings = {**RESNET, **PLUS, "low_level": "2", "atrous_rates": (6,), "separable_head": False}
    fine, coarse = (deeplab(3, output_stride=stride, **settings) for stride in (8, 16))
    assert shapes(fine) == shapes(coarse)
    fine.set_weights(coarse.get_weights())
    for model, stride in ((fine, 8), (coarse, 16)):
        assert model(pixels(72, 136, 1)).shape == (1, 18, 34, 3)
        deep = tf_keras.Model(model.inputs, model.get_layer("aspp_project_swish").output)
        assert deep(pixels(72, 136, 1)).shape == (1, -(-72 // stride), -(-136 // stride), 256)


@pytest.mark.parametrize(
    ("arguments", "bindings", "message"),
    [
        ({"backbone": "DilatedResNet50", "width_multiplier": 0.5}, "", "are MobileNets'"),
        ({"backbone": "DilatedResNet50"}, "dilated_resnet.stem = 'v2'", "'v2' is not one of v0"),
        ({"backbone": "DilatedResNet50"}, "dilated_resnet.multigrid = (1, 2)", "3 values"),
        ({"backbone": "DilatedResNet50", "decoder": True}, "", "not one of 2, 3, 4"),
    ],
)
def test_settings_that_contradict_each_other(arguments, bindings, message):
    gin.parse_config(bindings)
    with pytest.raises(ValueError, match=message):
        deeplab(3, **arguments)


def test_image_level_features_can_be_cut():
    network = deeplab(3, width_multiplier=0.1, aspp_filters=8, pooling_limit=0.5)
    randomize(network.variables)
    cut = tf_keras.Model(network.input, network.get_layer("aspp_resize").output)(pixels(33, 33))
    assert np.max(cut) == 0.5 > np.min(cut)
