"""Images and labels that are fitted into one size."""

import numpy as np
import tensorflow as tf

from data.resize_and_pad import Fit


def test_a_fitting_image_is_left_as_it_is():
    rng = np.random.default_rng(0)
    image, label = rng.integers(0, 256, (5, 8, 3), np.uint8), rng.integers(0, 9, (5, 8), np.uint8)
    found, found_label = Fit((5, 8), 255)(tf.constant(image), tf.constant(label))
    np.testing.assert_array_equal(found, image)
    np.testing.assert_array_equal(found_label, label)
