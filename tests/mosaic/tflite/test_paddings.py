"""What convolutions add around a map."""

import numpy as np
import pytest
import tensorflow as tf

from mosaic.tflite import paddings


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("side", [8, 9])
def test_same_is_tensorflows(stride, dilation, side):
    if stride > 1 and dilation > 1:
        pytest.skip("TensorFlow has no such convolution")
    x, kernel = tf.random.normal((1, side, side, 1)), tf.random.normal((3, 3, 1, 1))
    pads = paddings.same((side,) * 2, (3, 3), (stride,) * 2, (dilation,) * 2)
    padded = tf.pad(x, [(0, 0), *pads, (0, 0)])
    expected, found = (
        tf.nn.conv2d(image, kernel, stride, padding, dilations=dilation)
        for image, padding in ((x, "SAME"), (padded, "VALID"))
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("side", "stride", "pads", "name"),
    [
        (8, 2, ((0, 1), (0, 1)), "same"),
        (8, 2, ((1, 1), (1, 1)), "centred"),
        (9, 2, ((1, 1), (1, 1)), "same or centred"),
        (9, 2, None, "same or centred"),
        (8, 2, None, "same"),
        (8, 1, ((1, 1), (1, 1)), "same"),
        (-1, 1, ((1, 1), (1, 1)), "same"),
        (-1, 2, ((1, 1), (1, 1)), "centred"),
        (-1, 2, None, ""),
        (8, 2, ((2, 1), (2, 1)), ""),
    ],
)
def test_names(side, stride, pads, name):
    assert paddings.named((side,) * 2, (3, 3), (stride,) * 2, (1, 1), pads) == name
