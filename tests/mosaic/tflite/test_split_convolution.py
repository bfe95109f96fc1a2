"""Convolutions that a file computes in two halves."""

import numpy as np
import pytest

from mosaic.tflite.graph import LINEAR, Convolution, Node, Weights
from mosaic.tflite.split_convolution import merged

RELU = frozenset(("relu",))


def _conv(name, inputs, channels, kernel=(1, 1), options=LINEAR):
    shape = Convolution.of(kernel, channels, (1, 1), (1, 1), "same")
    values = np.full((*kernel, *channels), channels[0], np.float64)
    zeros = np.zeros(channels[1])
    return Node("conv", name, inputs, shape, options, Weights(values, zeros, zeros, zeros))


MAP, PIXEL = Node("input", "map"), Node("pool", "pixel")
MAPS = Node("concat", "maps", (MAP, MAP))


@pytest.mark.parametrize("pixel_first", [True, False])
def test_the_order_of_the_sum_is_that_of_the_concatenation(pixel_first):
    halves, alone = [_conv("a", (MAPS,), (4, 2)), _conv("b", (PIXEL,), (3, 2))], [False, True]
    if pixel_first:
        halves, alone = halves[::-1], alone[::-1]
    whole = merged(tuple(halves), tuple(alone), "sum", RELU)
    (concat,) = whole.inputs
    kinds = ["resize", "input", "input"]
    assert [part.kind for part in concat.inputs] == (kinds if pixel_first else kinds[::-1])
    assert (whole.shape.channels, whole.options) == ((7, 2), RELU)
    expected = [3] * 3 + [4] * 4
    np.testing.assert_array_equal(
        whole.content.kernel[0, 0, :, 0], expected if pixel_first else expected[::-1]
    )


@pytest.mark.parametrize(
    ("other", "alone"),
    [
        (_conv("b", (MAP,), (3, 2)), (False, False)),
        (_conv("b", (PIXEL,), (3, 2), options=RELU), (False, True)),
        (_conv("b", (PIXEL,), (3, 2), (3, 3)), (False, True)),
        (PIXEL, (False, True)),
    ],
)
def test_other_sums_are_none(other, alone):
    assert merged((_conv("a", (MAP,), (4, 2)), other), alone, "sum", LINEAR) is None
