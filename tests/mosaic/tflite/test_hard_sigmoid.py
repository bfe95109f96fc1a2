"""Hard sigmoid as converters write it."""

import numpy as np
import pytest

from mosaic.tflite import hard_sigmoid
from mosaic.tflite.graph import Node, Weights


def conv(kind="conv", activation="relu6"):
    weights = Weights(np.ones((1, 1, 2, 3)), np.array([3.0, 4.0, 2.0]), np.zeros(3), np.zeros(3))
    return Node(kind, "x", options=frozenset((activation,)), content=weights, limit=6.0)


@pytest.mark.parametrize("factor", [1 / 6, 0.16667, 0.1661])
def test_a_sixth_of_relu6_is_one(factor):
    found = hard_sigmoid.merged(conv(), np.array([factor]), "y")
    assert (found.name, found.options, found.limit) == ("y", {"hard_sigmoid"}, None)
    np.testing.assert_array_equal(found.content.bias, [0.0, 1.0, -1.0])


@pytest.mark.parametrize(
    ("node", "factor"),
    [
        (conv(), [0.25]),
        (conv(), [1 / 6, 1 / 6, 1 / 6]),
        (conv(activation="relu"), [1 / 6]),
        (conv(kind="add"), [1 / 6]),
    ],
)
def test_other_products_are_none(node, factor):
    assert hard_sigmoid.merged(node, np.array(factor), "y") is None
