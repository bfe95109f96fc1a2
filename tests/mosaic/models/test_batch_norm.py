"""Batch norm: folded into convolutions, and measured on images."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from mosaic.models import batch_norm
from mosaic.models.batch_norm import folded
from mosaic.models.deeplab import deeplab
from mosaic.models.mosaic import mosaic
from tiny_network import answers, pictures, randomized, tiny

NORM = tf_keras.layers.BatchNormalization


@pytest.fixture(scope="module")
def images():
    return pictures()


def _trained(model):
    """Batch norms as training leaves them: all four of their variables matter."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, NORM):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return model


def _networks():
    yield "shared group convolutions", lambda: mosaic(3, bins=(1, 4))
    yield (
        "group convolutions of each level",
        lambda: mosaic(3, bins=(1, 4), shared_group_convs=False, projected_filters=(8, 8)),
    )
    yield "DeepLab", lambda: deeplab(3)


@pytest.mark.parametrize("build", [pytest.param(b, id=name) for name, b in _networks()])
def test_no_batch_norm_is_left_and_the_logits_are_the_same(build):
    tf_keras.utils.set_random_seed(0)
    model = _trained(build())
    before = model.get_weights()
    inference = folded(model)
    assert not any(isinstance(layer, NORM) for layer in inference.layers)
    images = tf.random.uniform([2, 64, 96, 3], maxval=255, seed=1)
    expected, found = (m(images, training=False).numpy() for m in (model, inference))
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.ptp(expected))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_bias_scale_and_multiplier_are_minded():
    images = tf_keras.Input([None, None, 2])
    x = tf_keras.layers.DepthwiseConv2D(3, depth_multiplier=2, bias_initializer="ones")(images)
    x = NORM(scale=False)(x)
    x = NORM(center=False)(tf_keras.layers.Conv2D(4, 1, bias_initializer="ones")(x))
    model = _trained(tf_keras.Model(images, x))
    inference = folded(model)
    assert not any(isinstance(layer, NORM) for layer in inference.layers)
    values = tf.random.normal([1, 8, 8, 2], seed=1)
    np.testing.assert_allclose(inference(values), model(values, training=False), atol=1e-5)


def test_what_cannot_be_folded_stays():
    """A convolution with an activation, one that others read too, and a norm of a sum."""
    images = tf_keras.Input([None, None, 2])
    active = NORM()(tf_keras.layers.Conv2D(2, 1, activation="relu")(images))
    read = tf_keras.layers.Conv2D(2, 1)(images)
    x = NORM()(tf_keras.layers.Add()([active, NORM()(read), read]))
    model = _trained(tf_keras.Model(images, x))
    assert folded(model) is model


def test_calibration_measures_what_each_batch_norm_sees(images):
    model = randomized(tiny(shared=True))
    before = answers(model, images)
    layer = model.get_layer("expand_bn")
    seen = answers(tf_keras.Model(model.inputs, layer.input), images)
    batch_norm.calibrate(model, images)
    np.testing.assert_allclose(layer.moving_mean, seen.mean((0, 1, 2)), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(layer.moving_variance, seen.var((0, 1, 2)), rtol=1e-3)
    np.testing.assert_allclose(answers(model, images), before, atol=1e-3)
