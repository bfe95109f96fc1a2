"""The layers that all networks are made of."""

import numpy as np
import pytest
import tensorflow as tf

from mosaic.models import inputs, layers


@pytest.mark.parametrize(
    "normalization, expected",
    [
        ("imagenet", [-123.675 / 58.395, (255 - 116.28) / 57.12, (100 - 103.53) / 57.375]),
        ("symmetric", [-1, 1, 100 / 127.5 - 1]),
    ],
)
def test_normalization(normalization, expected):
    layer = layers.Normalize(*inputs.NORMALIZATIONS[normalization])
    image = tf.constant([0, 255, 100], tf.uint8, shape=[1, 1, 1, 3])
    np.testing.assert_allclose(np.ravel(layer(image)), expected, atol=1e-6)


def test_normalization_has_the_same_bits_in_training():
    layer = layers.Normalize(*inputs.NORMALIZATIONS["imagenet"])
    image = tf.random.stateless_uniform([2, 5, 7, 3], [1, 2], 0, 256, tf.int32)
    np.testing.assert_array_equal(layer(image, training=True), layer(image))


@pytest.mark.parametrize("shape", [[2, 5, 7, 3], [None, None, None, 3]], ids=["known", "any"])
def test_normalization_keeps_the_shape_that_is_known(shape):
    layer = layers.Normalize(*inputs.NORMALIZATIONS["imagenet"])
    trained = tf.function(lambda images: layer(images, training=True))
    found = trained.get_concrete_function(tf.TensorSpec(shape, tf.uint8))
    assert found.output_shapes.as_list() == shape


@pytest.mark.parametrize("synchronized", [False, True])
def test_norm_of_several_replicas(synchronized, monkeypatch):
    class Strategy:
        num_replicas_in_sync = 2

    monkeypatch.setattr(tf.distribute, "get_strategy", Strategy)
    norm = layers.Norm(momentum=0.9, epsilon=0.01, synchronized=synchronized).layer("norm")
    assert norm.synchronized == synchronized
    assert (norm.momentum, norm.epsilon) == (0.9, 0.01)


def test_dropout_of_whole_examples():
    dropped = layers.Dropout(0.5, per_example=True)(tf.ones([200, 2, 3, 4]), training=True)
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert np.all(np.ptp(dropped, axis=(1, 2, 3)) == 0)


def test_dropout_is_of_training_alone():
    x = tf.ones([4, 2, 3, 4])
    np.testing.assert_array_equal(layers.Dropout(0.5)(x, training=False), x)


def test_channel_slice():
    x = tf.reshape(tf.range(24), [1, 2, 2, 6])
    np.testing.assert_array_equal(layers.ChannelSlice(2, 3)(x), x[..., 2:5])


@pytest.mark.parametrize(
    "layer",
    [
        layers.Normalize((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
        layers.Dropout(0.3, per_example=True),
        layers.ChannelSlice(2, 3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_settings_are_kept_in_the_configuration(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_hard_activations():
    x = tf.constant([-4.0, -1.5, 0.0, 1.5, 4.0])
    np.testing.assert_allclose(layers.HardSwish()(x), [0, -0.375, 0, 1.125, 4], atol=1e-6)
    np.testing.assert_allclose(layers.HardSigmoid()(x), [0, 0.25, 0.5, 0.75, 1], atol=1e-4)


@pytest.mark.parametrize("size, same", [(7, True), (8, False)])
def test_centred_padding_differs_from_same_where_the_size_is_even(size, same):
    x = tf.random.stateless_normal([1, size, size, 2], [1, 2])
    found = []
    for padding in ("same", "centred"):
        layer = layers.depthwise_bn(
            layers.Norm(), "unit", 3, 2, initializer="ones", padding=padding
        )
        found.append(layer(x))
    assert found[0].shape == found[1].shape
    assert np.allclose(*found) == same


@pytest.mark.parametrize("decay", [0.0, 0.02])
def test_weight_decay_is_half_the_sum_of_squares(decay):
    regularizer = layers.Norm(weight_decay=decay).regularizer()
    found = 0.0 if regularizer is None else float(regularizer(tf.constant([3.0, 4.0])))
    assert found == pytest.approx(decay * 25 / 2)
