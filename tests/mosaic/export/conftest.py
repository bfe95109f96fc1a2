"""A network that is exported fast."""

import numpy as np
import pytest
import tf_keras


@pytest.fixture(scope="session")
def tiny_network():
    """Dark or bright by a single convolution at stride 2."""
    images = tf_keras.Input([None, None, 3], name="images")
    brightness = np.array([-1.0, 1.0, 0.0]) * np.full([2, 2, 3, 1], 1 / 12)
    bias = np.array([127.0, -127.0, -60.0])
    layer = tf_keras.layers.Conv2D(3, 2, 2, "same", weights=[brightness, bias])
    return tf_keras.Model(images, layer(images), name="tiny")
