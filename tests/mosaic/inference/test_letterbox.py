"""Images that are scaled and padded to one size."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from garden_frames import encoded
from official.vision.dataloaders import segmentation_input
from official.vision.evaluation import segmentation_metrics

from mosaic.evaluation import metrics
from mosaic.inference.letterbox import letterbox
from mosaic.inference.predictors import Predictor, of_network
from mosaic.models.inputs import NORMALIZATIONS, image_input
from mosaic.models.resizing import ALIGNED

SIZE = (96, 96)
CLASSES = 5
LEVEL = NORMALIZATIONS["imagenet"][0]


@pytest.fixture(scope="module")
def network():
    tf_keras.utils.set_random_seed(0)
    images, x = image_input("imagenet")
    x = tf_keras.layers.Conv2D(8, 5, strides=4, padding="same", activation="relu")(x)
    return tf_keras.Model(images, tf_keras.layers.Conv2D(CLASSES, 3, padding="same")(x))


@pytest.mark.parametrize("shape", [(48, 80), (71, 33), (96, 96), (5, 90)])
def test_counts_are_those_of_the_garden(network, shape):
    """Its parser and its metric, but for rounding the scaled image to bytes."""
    rng = np.random.default_rng(shape[0])
    image = np.kron(rng.integers(0, 256, (12, 12, 3)), np.ones((8, 8, 1)))[: shape[0], : shape[1]]
    image = image.astype(np.uint8)
    label = rng.integers(0, CLASSES, shape).astype(np.uint8)
    label[:2] = 255
    parser = segmentation_input.Parser(
        output_size=list(SIZE),
        resize_eval_groundtruth=False,
        groundtruth_padded_size=list(SIZE),
        ignore_label=255,
    )
    images, truth = parser._parse_eval_data(encoded(image, label))
    body = tf_keras.Model(network.layers[1].output, network.output)
    garden = segmentation_metrics.MeanIoU(CLASSES, rescale_predictions=True)
    batch = {name: tf.constant(value)[tf.newaxis] for name, value in truth.items()}
    garden.update_state(batch, body(images[tf.newaxis]))

    predicted = letterbox(of_network(network), SIZE, LEVEL)(image[np.newaxis])
    found = metrics.count_pixels(label[np.newaxis], predicted, CLASSES, 255).numpy()
    expected = garden.total_cm.numpy()
    assert found.sum() == expected.sum()
    assert np.count_nonzero(expected.sum(0)) > 1
    assert np.abs(found - expected).sum() <= 0.02 * expected.sum()


def test_a_smaller_image_is_only_padded():
    """As research/deeplab pads: below and to the right, with a mean that is no whole number."""
    seen = []

    def run(images):
        seen.append(np.array(images))
        return tf.image.resize(images, (3, 3))

    image = np.random.default_rng(0).integers(0, 256, (1, 4, 5, 3), np.uint8)
    padded = letterbox(Predictor(run, "network", 3, rule=ALIGNED), (9, 9), (127.5,) * 3, False)
    answer = padded.run(image)
    expected = np.full((1, 9, 9, 3), 127.5, np.float32)
    expected[:, :4, :5] = image
    np.testing.assert_array_equal(seen[0], expected)
    whole = tf.compat.v1.image.resize_bilinear(run(expected), (9, 9), align_corners=True)
    np.testing.assert_allclose(answer, whole[:, :4, :5], atol=1e-4)
    assert padded(np.zeros((1, 27, 18, 3), np.uint8)).shape == (1, 27, 18)


def test_only_the_padding_has_its_level():
    seen = []

    def run(images):
        seen.append(images.numpy())
        return tf.zeros([1, 8, 8, 2])

    image = np.full((1, 4, 8, 3), 9, np.uint8)
    answer = letterbox(Predictor(run, "network", 2, traceable=False), (8, 8), (1.4, 2.0, 3.0))(
        image
    )
    assert answer.shape == (1, 4, 8)
    np.testing.assert_array_equal(seen[0][0, :4], np.full((4, 8, 3), 9))
    np.testing.assert_array_equal(seen[0][0, 4:], np.full((4, 8, 3), (1, 2, 3)))


def test_a_file_of_another_size_gets_its_own():
    seen = []

    def run(images):
        seen.append(images.numpy())
        return tf.zeros([1, 8, 8, 2])

    image = np.full((1, 4, 8, 3), 9, np.uint8)
    assert letterbox(Predictor(run, "tflite", 2, (8, 8)), SIZE, LEVEL)(image).shape == (1, 4, 8)
    assert seen[0].shape == (1, 8, 8, 3)


def test_labels_come_back_by_nearest_neighbour():
    """A quarter of the size inside, with other labels in the padding."""
    inside = np.arange(32).reshape(1, 4, 8)

    def run(images):
        return np.concatenate([inside, np.full((1, 4, 8), 99)], 1)

    predicted = letterbox(Predictor(run, "tflite", None, (8, 8), traceable=False), SIZE, LEVEL)(
        np.zeros((1, 16, 32, 3), np.uint8)
    )
    np.testing.assert_array_equal(predicted, np.kron(inside, np.ones((1, 4, 4))))


def test_images_of_fractions_are_rounded_at_any_size():
    """As those of ADE20K, which are resized before: a file takes bytes."""
    seen = []

    def run(images):
        seen.append(np.array(images))
        return tf.zeros([1, 8, 8, 2])

    model = letterbox(Predictor(run, "tflite", 2, traceable=False), (8, 8), (0, 0, 0))
    image = np.full((1, 8, 8, 3), 9.75, np.float32)
    model(image)
    model.coarse(image[0])
    np.testing.assert_array_equal(seen, np.full((2, 1, 8, 8, 3), 10))
