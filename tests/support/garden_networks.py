"""The Garden's networks and checkpoints, and ours beside them."""

import re

import numpy as np
import tensorflow as tf
from official.vision.modeling.backbones.mobilenet import MobileNet
from official.vision.modeling.decoders.aspp import ASPP
from official.vision.modeling.heads.segmentation_heads import SegmentationHead
from official.vision.modeling.segmentation_model import SegmentationModel

from mosaic.models.deeplab import deeplab
from mosaic.models.variables import variable_name

WIDTH = 0.35
CLASSES = 5


def randomize(variables, seed=0):
    """Gives every variable a value of its own, small enough for activations to stay near 1."""
    rng = np.random.default_rng(seed)
    for variable in variables:
        if variable.dtype == tf.float32:
            low = 0.5 if re.search("gamma|variance", variable.name) else -0.1
            variable.assign(rng.uniform(low, low + 1.0, variable.shape))


def values(model):
    return {variable_name(v): v.numpy() for v in model.variables}


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


DEEPLABS = {
    "v3": ({}, {"num_convs": 0}, ()),
    "v3+": (
        {"decoder": True, "head_convs": 2},
        {"num_convs": 2, "use_depthwise_convolution": True},
        (6, 12, 18),
    ),
    "v3+ in one piece": (
        {"decoder": True, "head_convs": 2, "separable_head": False},
        {"num_convs": 2},
        (6,),
    ),
}


def garden_deeplab(form):
    ours, head, rates = DEEPLABS[form]
    if "decoder" in ours:
        head = {**head, "feature_fusion": "deeplabv3plus", "low_level": "2/depthwise"}
    model = SegmentationModel(
        MobileNet(
            "MobileNetV2",
            filter_size_scale=WIDTH,
            output_stride=16,
            output_intermediate_endpoints=True,
        ),
        ASPP(4, list(rates), num_filters=16),
        SegmentationHead(CLASSES, 4, num_filters=16, low_level_num_filters=8, **head),
    )
    model(tf.zeros([1, 64, 96, 3]))
    return model


def our_deeplab(form):
    settings, _, rates = DEEPLABS[form]
    return deeplab(
        CLASSES,
        width_multiplier=WIDTH,
        atrous_rates=rates,
        aspp_filters=16,
        low_level_filters=8,
        head_filters=16,
        **settings,
    )


def assert_same_logits(theirs, ours):
    images = np.random.default_rng(0).uniform(0, 255, [1, 64, 96, 3]).astype(np.float32)
    normalized = ours.get_layer("normalize")(images)
    expected = theirs(normalized, training=False)["logits"]
    assert np.ptp(expected) > 0
    tolerance = 1e-5 * np.ptp(expected)
    np.testing.assert_allclose(ours(images, training=False), expected, rtol=0, atol=tolerance)
