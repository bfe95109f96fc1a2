"""Answers averaged over scales, mirror images and windows."""

import numpy as np
import pytest
import tensorflow as tf

from mosaic.inference.multiscale import average, starts
from mosaic.inference.predictors import Predictor, of_network
from mosaic.models.resizing import ALIGNED
from mosaic.utils.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 24, 36, 3), np.uint8)
# The channels are the logits: what a pixel gets depends on that pixel alone.
PIXELS = Predictor(lambda images: tf.cast(images, tf.float32) / 32.0, "network", 3)


def test_one_scale_is_the_predictor_itself(small_network):
    network = of_network(small_network)
    images = np.random.default_rng(1).integers(0, 256, (1, 64, 96, 3), np.uint8)
    np.testing.assert_array_equal(average(network)(images), network(images))


@pytest.mark.parametrize("arguments", [{"flip": True}, {"window": (10, 13)}])
def test_pixelwise_answers_do_not_change(arguments):
    """Mirroring back, and putting windows where they were cut."""
    np.testing.assert_array_equal(average(PIXELS, **arguments)(IMAGES), PIXELS(IMAGES))
    answer = average(PIXELS, **arguments).run(tf.constant(IMAGES))
    factor = 2 if "flip" in arguments else 1
    expected = factor * tf.nn.softmax(IMAGES.astype(np.float32) / 32.0)
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-6)


def test_scales_with_corners_aligned():
    """As `predict_labels_multi_scale` of research/deeplab says, for logits of stride 8."""
    kernel = np.random.default_rng(0).normal(size=(9, 9, 3, 4)).astype(np.float32) / 500

    def network(images):
        return tf.nn.conv2d(tf.cast(images, tf.float32), kernel, 8, "SAME")

    def aligned(x, size):
        return tf.compat.v1.image.resize_bilinear(x, size, align_corners=True)

    images = np.random.default_rng(1).integers(0, 256, (1, 33, 65, 3), np.uint8)
    expected = []
    for scale in (0.5, 0.75, 1.0, 1.25):
        size = [int((side - 1.0) * scale + 1.0) for side in (33, 65)]
        for step in (1, -1):
            seen = aligned(images.astype(np.float32)[:, :, ::step], size)
            small = [int((side - 1.0) * max(1.0, scale) / 8 + 1.0) for side in (33, 65)]
            logits = aligned(aligned(network(seen), small)[:, :, ::step], (33, 65))
            expected.append(tf.nn.softmax(logits))
    predictor = Predictor(network, "network", 4, rule=ALIGNED)
    found = average(predictor, (0.5, 0.75, 1.0, 1.25), flip=True).run(tf.constant(images))
    np.testing.assert_allclose(found, sum(expected), rtol=1e-4, atol=1e-5)


def test_scales_are_averaged():
    answer = average(PIXELS, scales=(0.5, 1.0)).run(tf.constant(IMAGES))
    half = np.round(tf.image.resize(IMAGES, (12, 18)))
    expected = tf.image.resize(tf.nn.softmax(half / 32.0), (24, 36)) + tf.nn.softmax(
        IMAGES.astype(np.float32) / 32.0
    )
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "window", "overlap"), [(100, 30, 1 / 3), (31, 30, 0), (90, 30, 0)]
)
def test_windows_cover_all(size, window, overlap):
    begins = list(starts(size, window, overlap))
    assert begins[0] == 0
    assert begins[-1] == size - window
    assert max(np.diff(begins)) <= window * (1 - overlap)


@pytest.mark.parametrize(
    ("predictor", "arguments", "message"),
    [
        (Predictor(lambda x: x, "tflite", None), {"flip": True}, "need logits"),
        (Predictor(lambda x: x, "tflite", 3, (8, 8)), {"scales": (2.0,)}, "this one takes 8x8"),
        (PIXELS, {"scales": (0.0,)}, "factors above 0"),
        (PIXELS, {"window": (8, 8), "overlap": 1.0}, "not in 0 to below 1"),
    ],
)
def test_what_cannot_be(predictor, arguments, message):
    with pytest.raises(UserError, match=message):
        average(predictor, **arguments)
