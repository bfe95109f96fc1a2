"""Learning rates by step, and the optimizers that follow them."""

import numpy as np
import pytest
import tensorflow as tf

from mosaic.training import optimizers


def _published():
    """The schedule of the 77.24 mIoU."""
    decay = optimizers.polynomial_decay(learning_rate=0.1, steps=100_000, power=0.9)
    return optimizers.linear_warmup(decay, steps=925)


@pytest.mark.parametrize("step", [0, 1, 500, 924])
def test_warmup_rises_to_the_schedules_own_value(step):
    top = 0.1 * (1 - 925 / 100_000) ** 0.9
    np.testing.assert_allclose(_published()(step), top * step / 925, rtol=1e-6)


@pytest.mark.parametrize("step", [925, 926, 50_000, 99_000, 100_000])
def test_polynomial_decay_counts_from_step_0(step):
    expected = 0.1 * (1 - step / 100_000) ** 0.9
    np.testing.assert_allclose(_published()(step), expected, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("decay", [optimizers.polynomial_decay, optimizers.cosine_decay])
def test_whole_numbers_are_rates_too(decay):
    schedule = optimizers.linear_warmup(decay(1, 100), 3, 0)
    assert float(schedule(tf.constant(0))) == 0.0
    np.testing.assert_allclose(schedule(tf.constant(50)), decay(1.0, 100)(50), rtol=1e-6)


def test_polynomial_decay_ends():
    schedule = optimizers.polynomial_decay(0.1, 100, power=2.0, end_learning_rate=0.02)
    np.testing.assert_allclose(schedule(0), 0.1, rtol=1e-6)
    np.testing.assert_allclose(schedule(50), 0.08 * 0.25 + 0.02, rtol=1e-6)
    np.testing.assert_allclose(schedule(100), 0.02, rtol=1e-6)
    np.testing.assert_allclose(schedule(1000), 0.02, rtol=1e-6)


@pytest.mark.parametrize("step, share", [(0, 1.0), (50, 0.55), (100, 0.1), (1000, 0.1)])
def test_cosine_decay(step, share):
    schedule = optimizers.cosine_decay(0.2, 100, end_fraction=0.1)
    np.testing.assert_allclose(schedule(step), 0.2 * share, rtol=1e-6)


def test_warmup_from_another_rate_to_a_constant():
    schedule = optimizers.linear_warmup(0.5, steps=4, learning_rate=0.1)
    rates = [float(schedule(step)) for step in range(6)]
    np.testing.assert_allclose(rates, [0.1, 0.2, 0.3, 0.4, 0.5, 0.5], rtol=1e-6)


def test_no_warmup():
    schedule = optimizers.polynomial_decay(0.1, 10)
    assert optimizers.linear_warmup(schedule, steps=0) is schedule


def _minimize(optimizer, variable, gradients):
    values = []
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient), variable)])
        values.append(variable.numpy().tolist())
    return values


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(nesterov):
    """Keras' rule: velocity = momentum * velocity - rate * gradient."""
    optimizer = optimizers.sgd(0.1, momentum=0.9, nesterov=nesterov)
    found = _minimize(optimizer, tf.Variable([1.0, -2.0]), [[1.0, 2.0], [3.0, -1.0]])
    value, velocity, expected = np.array([1.0, -2.0]), np.zeros(2), []
    for gradient in np.array([[1.0, 2.0], [3.0, -1.0]]):
        velocity = 0.9 * velocity - 0.1 * gradient
        value = value + (0.9 * velocity - 0.1 * gradient if nesterov else velocity)
        expected.append(value)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_sgd_clips_each_gradient():
    optimizer = optimizers.sgd(1.0, momentum=0.0, clipnorm=1.0)
    found = _minimize(optimizer, tf.Variable([0.0, 0.0]), [[3.0, 4.0], [0.3, 0.4]])
    np.testing.assert_allclose(found, [[-0.6, -0.8], [-0.9, -1.2]], rtol=1e-6)


def test_sgd_follows_its_schedule():
    optimizer = optimizers.sgd(optimizers.linear_warmup(0.3, steps=3), momentum=0.0)
    found = _minimize(optimizer, tf.Variable([0.0]), [[1.0]] * 4)
    np.testing.assert_allclose(np.ravel(found), [0.0, -0.1, -0.3, -0.6], atol=1e-6)


def test_adam():
    """The first step is the learning rate in the direction of the gradient's sign."""
    optimizer = optimizers.adam(0.01, beta_1=0.8, beta_2=0.9, epsilon=1e-9)
    found = _minimize(optimizer, tf.Variable([1.0, 1.0]), [[5.0, -0.1]])
    np.testing.assert_allclose(found, [[0.99, 1.01]], rtol=1e-5)
    assert optimizer.get_config()["beta_1"] == 0.8
    assert optimizer.get_config()["beta_2"] == 0.9


def test_decoupled_weight_decay_takes_its_share_of_kernels_alone():
    kernel, bias = tf.Variable([2.0], name="a/kernel"), tf.Variable([2.0], name="a/bias")
    zero = tf.constant([0.0])
    optimizer = optimizers.adamw(0.1, weight_decay=0.5)
    optimizer.apply_gradients([(zero, kernel), (zero, bias)])
    np.testing.assert_allclose(kernel, [2.0 * (1 - 0.1 * 0.5)], rtol=1e-6)
    np.testing.assert_array_equal(bias, [2.0])


def test_without_decay_it_is_adam():
    variables = [tf.Variable([1.0, -2.0]) for _ in range(2)]
    made = optimizers.adamw(0.1, weight_decay=0.0), optimizers.adam(0.1)
    for optimizer, variable in zip(made, variables, strict=True):
        for step in range(3):
            optimizer.apply_gradients([(tf.constant([0.3, step - 1.0]), variable)])
    np.testing.assert_allclose(variables[0], variables[1], rtol=1e-6)
