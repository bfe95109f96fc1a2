"""Layers that round to 8 bits in fixed ranges."""

import numpy as np
import pytest
import tensorflow as tf

from mosaic.models.fake_quant import FixedRange, RangedPool
from mosaic.models.pooling import PoolToBins


def test_pooling_by_several_convolutions_rounds_between_them():
    pool = RangedPool(4, low=0.0, high=2.0)

    traced = tf.function(pool)

    x = tf.random.stateless_uniform([1, 16, 16, 2], [1, 2])
    kinds = [op.type for op in traced.get_concrete_function(x).graph.get_operations()]
    wanted = ("DepthwiseConv2dNative", "FakeQuantWithMinMaxArgs")
    assert [kind for kind in kinds if kind in wanted] == [wanted[0], wanted[1], wanted[0]]
    np.testing.assert_allclose(traced(x), PoolToBins(4)(x), atol=1 / 255)


def test_a_fixed_range_has_256_values():
    found = np.unique(FixedRange(-1.0, 1.55)(tf.linspace(-3.0, 3.0, 9999)))
    np.testing.assert_allclose(found, np.linspace(-1.0, 1.55, 256), atol=1e-6)


@pytest.mark.parametrize("layer", [FixedRange(-1.0, 2.0), RangedPool(4, -1.0, 2.0)])
def test_ranges_are_kept_in_the_configuration(layer):
    again = type(layer).from_config(layer.get_config())
    assert (again.low, again.high) == (-1.0, 2.0)
