"""Rounding of kernels and tensors in quantization-aware training."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mosaic.models.quantizer_placement import Site
from mosaic.models.quantizers import KernelQuantizer, RangeQuantizer

SITE = Site(("conv", 0), 0, measured=True, signed=True)


class Layer:
    """Makes variables as a Keras layer does."""

    def add_weight(self, name, **_):
        return tf.Variable(0.0, name=name)


@pytest.mark.parametrize("shape", [(3, 3, 4, 8), (3, 3, 8, 1)])
def test_kernels_have_a_scale_for_each_output_channel(shape):
    rng = np.random.default_rng(0)
    by_channel = rng.normal(size=(np.prod(shape) // 8, 8)) * 10.0 ** np.arange(-3, 5)
    step = np.abs(by_channel).max(0) / 127
    expected = (np.round(by_channel / step) * step).reshape(shape)
    kernel = tf.constant(by_channel.reshape(shape), tf.float32)
    found = KernelQuantizer()(kernel, True, {})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_the_first_kernel_is_rounded_as_the_file_has_it():
    """Divided by what normalisation divides each channel of the image by."""
    divisors = np.array([1.0, 3.0, 7.0])
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 5)).astype(np.float32)
    found = KernelQuantizer(divisors)(kernel, True, {}).numpy()
    in_file = kernel / divisors[:, np.newaxis]
    steps = found / divisors[:, np.newaxis] / (np.abs(in_file).max((0, 1, 2)) / 127)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert np.all(np.abs(steps) < 127.01)


def test_gradients_pass_a_kernels_rounding():
    kernel = tf.Variable(tf.random.stateless_normal([1, 1, 4, 4], [1, 2]))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(KernelQuantizer()(kernel, True, {}))
    np.testing.assert_array_equal(tape.gradient(total, kernel), np.ones([1, 1, 4, 4]))


def test_the_first_batch_sets_a_range():
    quantizer = RangeQuantizer([], SITE, 0.9)
    weights = quantizer.build([None], "x", Layer())
    quantizer(tf.constant([-1.0, 3.0]), True, weights)
    assert (float(weights["low"]), float(weights["high"])) == (-1.0, 3.0)


def test_later_batches_move_a_range_by_its_decay():
    quantizer = RangeQuantizer([], SITE, 0.9)
    weights = quantizer.build([None], "x", Layer())
    for high in (3.0, 5.0):
        quantizer(tf.constant([-1.0, high]), True, weights)
    assert float(weights["high"]) == pytest.approx(3.2)


def test_a_loaded_range_of_what_is_never_negative_comes_up_to_0():
    """As the Garden's begin at -6, in checkpoints of few steps."""
    quantizer = RangeQuantizer([], dataclasses.replace(SITE, signed=False), 0.9)
    weights = quantizer.build([None], "x", Layer())
    weights["low"].assign(-6.0)
    weights["high"].assign(6.0)
    quantizer(tf.constant([0.0, 6.0]), True, weights)
    assert float(weights["low"]) == pytest.approx(-5.4)


def test_inference_leaves_a_range_as_it_is():
    quantizer = RangeQuantizer([], SITE, 0.9)
    weights = quantizer.build([None], "x", Layer())
    quantizer(tf.constant([-1.0, 3.0]), False, weights)
    assert float(weights["high"]) == 0.0


def test_tensors_of_a_group_are_rounded_in_the_range_of_all():
    group = []
    one, other = (RangeQuantizer(group, SITE, 0.9) for _ in range(2))
    first, second = (quantizer.build([None], "x", Layer()) for quantizer in (one, other))
    other(tf.constant([-4.0, 0.0]), True, second)
    found = one(tf.constant([-9.0, 2.0]), True, first)
    assert float(found[0]) == pytest.approx(-9.0, abs=0.1)
    assert float(other(tf.constant([1.9]), False, second)[0]) == pytest.approx(1.9, abs=0.1)
