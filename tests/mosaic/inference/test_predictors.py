"""Predictors of networks: sizes in and out, and decisions before or after the resize."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from mosaic.inference import predictors
from mosaic.inference.multiscale import average
from mosaic.models.pooling import PoolToBins
from mosaic.utils.errors import UserError

SIZE = (64, 96)


def test_labels_first_is_nearest_neighbour(small_network):
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    network = predictors.of_network(small_network)
    answer = network(images, (32, 48), argmax_before_resize=True)
    whole = network(images).numpy()
    np.testing.assert_array_equal(answer, whole[:, 1::2, 1::2])


@pytest.mark.parametrize(("format", "seen"), [("network", 76), ("tflite", 80)])
def test_a_file_gets_pixels_rounded(format, seen):
    predictor = predictors.Predictor(lambda x: tf.cast(10 * x[..., 0], tf.int32), format, None)
    images = np.full((1, 2, 2, 3), 7.6, np.float32)
    assert np.all(predictor(images).numpy() == seen)


def test_logits_of_a_network_are_resized_before_the_decision(small_network, drawn):
    """Not the labels: at stride 4 they would come in blocks of 4x4."""
    labels = predictors.of_network(small_network)(drawn.images[:1]).numpy()[0]
    blocks = labels.reshape(16, 4, 24, 4)
    assert np.any(blocks != blocks[:, :1, :, :1])


def test_images_that_are_too_small():
    """Also where another size was traced before, and where images are made smaller first."""
    source = tf_keras.Input([None, None, 3])
    features = tf_keras.layers.Conv2D(3, 1, 16, "same")(source)
    network = predictors.of_network(tf_keras.Model(source, PoolToBins(4)(features)))
    images = np.zeros((1, 64, 96, 3), np.uint8)
    network(images), network(np.zeros((1, 72, 96, 3), np.uint8))
    for small, settings in ((images[:, :40], {}), (images, {"input_size": (40, 96)})):
        with pytest.raises(UserError, match="images of 40x96 are too small: a feature map of 3x6"):
            network(small, **settings)
    with pytest.raises(UserError, match="images of 32x48 are too small"):
        average(network, scales=(0.5,))(images)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((30, 41), (17, 23)), ((33, 20), (90, 77)), ((6, 8), (3, 4)), ((1, 5), (4, 1))],
)
def test_one_image_is_resized_as_batches_are(size, wanted):
    """To the last bit, though without TensorFlow's copy of a large image."""
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    expected = predictors.fit(tf.constant(image[np.newaxis]), wanted)[0]
    np.testing.assert_array_equal(predictors.fit_image(image, wanted), expected)
