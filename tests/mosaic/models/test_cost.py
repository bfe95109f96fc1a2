"""What networks cost: multiply-adds, weights and variables."""

import tf_keras

from mosaic.models import cost as model_cost


def test_cost_by_hand():
    """A shared convolution is computed at every use, and its weights are there once."""
    images = tf_keras.Input([None, None, 3])
    shared = tf_keras.layers.Conv2D(5, 1)
    x = tf_keras.layers.Concatenate()([shared(images), shared(images)])
    x = tf_keras.layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
    x = tf_keras.layers.BatchNormalization()(x)
    cost = model_cost.count(tf_keras.Model(images, x), 8, 12)
    assert cost.multiply_adds == 2 * (3 * 5) * 8 * 12 + (9 * 10) * 4 * 6
    assert cost.weights == (3 * 5 + 5) + (9 * 10 + 10)
    assert cost.variables == (3 * 5 + 5) + 9 * 10 + 4 * 10
