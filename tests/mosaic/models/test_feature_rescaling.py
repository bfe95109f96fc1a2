"""Features that are brought to a root mean square of 1."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from mosaic.models import mosaic
from mosaic.models.deeplab import deeplab
from mosaic.models.feature_rescaling import rescale_features

IMAGES = list(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8))


def _root(model, tensor):
    features = tf_keras.Model(model.inputs, tensor)(np.array(IMAGES, np.float32))
    return float(tf.sqrt(tf.reduce_mean(tf.square(features))))


def _is_old(name):
    return name != "logits"


@pytest.mark.parametrize(
    "build",
    [
        lambda: deeplab(3, decoder=True, head_convs=1, width_multiplier=0.35),
        lambda: mosaic.mosaic(3, bins=(1, 4), projected_filters=(8, 8)),
    ],
    ids=["deeplab", "mosaic"],
)
def test_inputs_of_new_layers_get_a_root_mean_square_of_one(build):
    model = build()
    tensor = model.get_layer("logits").input
    last = [v for v in model.variables if v.name.startswith(("head0_project_bn", "decoder"))]
    for variable in last:
        if "gamma" in variable.name:
            variable.assign(7.0 * variable)
    features = tf_keras.Model(model.inputs, tensor)(np.array(IMAGES, np.float32)).numpy()
    before = _root(model, tensor)
    found = rescale_features(model, _is_old, IMAGES)
    assert found == {"logits": pytest.approx(before, rel=1e-3)}
    assert before > 0
    assert _root(model, tensor) == pytest.approx(1.0, rel=1e-3)
    scaled = tf_keras.Model(model.inputs, tensor)(np.array(IMAGES, np.float32)).numpy()
    np.testing.assert_allclose(scaled * before, features, rtol=1e-2, atol=1e-4 * features.max())


def test_what_loaded_layers_read_too_is_left_alone():
    images = tf_keras.Input([None, None, 3])
    x = tf_keras.layers.BatchNormalization(name="shared")(images)
    old = tf_keras.layers.Conv2D(2, 1, name="old")(x)
    new = tf_keras.layers.Conv2D(2, 1, name="logits")(x)
    model = tf_keras.Model(images, [old, new])
    weights = model.get_weights()
    assert rescale_features(model, _is_old, IMAGES) == {}
    for one, other in zip(model.get_weights(), weights):
        np.testing.assert_array_equal(one, other)


def test_a_root_mean_square_at_or_below_the_bound_stays():
    images = tf_keras.Input([None, None, 3])
    x = tf_keras.layers.BatchNormalization(gamma_initializer="zeros", beta_initializer="ones")(
        images
    )
    model = tf_keras.Model(images, tf_keras.layers.Conv2D(2, 1, name="logits")(x))
    weights = model.get_weights()
    assert rescale_features(model, _is_old, IMAGES, above=1.0) == {}
    for one, other in zip(model.get_weights(), weights):
        np.testing.assert_array_equal(one, other)
    assert rescale_features(model, _is_old, IMAGES, above=0.99) == {"logits": pytest.approx(1.0)}


def test_a_ceiling_is_no_mere_factor():
    images = tf_keras.Input([None, None, 3])
    x = tf_keras.layers.ReLU(6.0)(tf_keras.layers.BatchNormalization()(images))
    model = tf_keras.Model(images, tf_keras.layers.Conv2D(2, 1, name="logits")(x))
    assert rescale_features(model, _is_old, IMAGES) == {}
