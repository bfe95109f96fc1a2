"""Images and labels that are fitted into one size."""

import numpy as np
import pytest
import tensorflow as tf

from data.resize_and_pad import Fit


def test_a_fitting_image_is_left_as_it_is():
    rng = np.random.default_rng(0)
    image, label = rng.integers(0, 256, (5, 8, 3), np.uint8), rng.integers(0, 9, (5, 8), np.uint8)
    found, found_label = Fit((5, 8), 255)(tf.constant(image), tf.constant(label))
    np.testing.assert_array_equal(found, image)
    np.testing.assert_array_equal(found_label, label)


@pytest.mark.parametrize(
    ("found", "size"),
    [
        ((512, 683), (385, 513)),
        ((683, 512), (513, 385)),
        ((200, 513), (209, 513)),
        ((513, 513), (513, 513)),
        ((1000, 1001), (513, 513)),
    ],
)
def test_sides_are_a_multiple_plus_one(found, size):
    """As research/deeplab's `resize_to_range` makes them with a factor of 16."""
    image, label = tf.fill((*found, 3), np.uint8(9)), tf.fill(found, np.uint8(3))
    image, label = Fit((513, 513), 255, factor=16)(image, label)
    inside = np.argwhere(label.numpy() == 3).max(0) + 1
    assert tuple(inside) == size
    np.testing.assert_array_equal(np.all(image == 9, -1), label == 3)


@pytest.mark.parametrize(("factor", "pixel", "level"), [(None, 15, 127), (16, 255 / 16, 127.5)])
def test_pixels_stay_as_they_come_out_with_a_factor(factor, pixel, level):
    """As in research/deeplab, which pads with the mean of its normalisation."""
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 1] = 255
    found, _ = Fit((17, 33), 255, factor=factor)(image, image[..., 0])
    assert found[0, 1, 0] == pixel
    assert found[0, 32, 0] == level
