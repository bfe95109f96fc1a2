"""The moving average of the weights: evaluated and kept, while training goes on without it."""

import numpy as np
import tensorflow as tf
from tiny_training import tiny

from mosaic.checkpoints import loading
from mosaic.training import train_loop
from mosaic.training.averaging import ExactAverage, averaged
from mosaic.training.optimizers import sgd


def test_without_a_decay_there_is_no_average():
    optimizer = sgd(0.1)
    assert averaged(optimizer, None) is optimizer


def test_the_exchange_changes_no_bit(small_network):
    optimizer = averaged(sgd(0.1), 0.9)
    optimizer.shadow_copy(small_network)
    before = [variable.numpy() for variable in small_network.trainable_variables]
    optimizer.swap_weights()
    assert all(not variable.numpy().any() for variable in small_network.trainable_variables)
    optimizer.swap_weights()
    for variable, value in zip(small_network.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_it_is_the_average_of_the_steps():
    weight = tf.Variable(1.0)
    optimizer = ExactAverage(sgd(0.5, momentum=0.0), average_decay=0.5)
    optimizer.shadow_copy(_Weights([weight]))
    expected = 0.0
    for step in range(1, 5):
        optimizer.apply_gradients([(tf.constant(1.0), weight)])
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * float(weight)
    optimizer.swap_weights()
    np.testing.assert_allclose(weight, expected, rtol=1e-6)


class _Weights:
    """A model of some variables."""

    def __init__(self, variables):
        self.trainable_variables = variables


def test_the_best_checkpoint_has_the_average_and_the_run_its_weights(drawn, tmp_path):
    arguments = tiny(drawn, steps=4, eval_interval=2, optimizer=sgd(0.1))
    arguments["model"].set_weights([w + 0.1 for w in arguments["model"].get_weights()])
    train_loop.train(str(tmp_path), **arguments, average_decay=0.999)
    run = loading.read(str(tmp_path)).arrays
    best = loading.read(str(tmp_path / "best_ckpt")).arrays
    assert run.keys() == best.keys()
    assert any(not np.array_equal(run[name], best[name]) for name in run)
    for variable in arguments["model"].variables:
        np.testing.assert_array_equal(variable, run[variable.name.removesuffix(":0")])
