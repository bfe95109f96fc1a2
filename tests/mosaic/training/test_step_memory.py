"""The memory of a step, counted in its graph."""

import pytest
import tensorflow as tf

from mosaic.distribution import device_memory
from mosaic.models.cost import Cost
from mosaic.training import step_memory
from mosaic.utils.errors import UserError

FLOATS = 4 * 1000
COST = Cost(64, 96, 0, 0, 0, outputs=2**20)


def _peak(function):
    spec = tf.TensorSpec([1000], tf.float32)
    return step_memory.peak(tf.function(function).get_concrete_function(spec).graph)


def test_what_lives_at_the_same_time_is_counted():
    def function(x):
        first = x * 2.0
        second = first + 1.0
        third = second * first  # now all three live
        return tf.reduce_sum(third)

    assert _peak(function) == 3 * FLOATS


def test_what_is_no_longer_read_is_gone():
    def function(x):
        for _ in range(5):
            x = x * 2.0
        return tf.reduce_sum(x)

    assert _peak(function) == 2 * FLOATS


def test_one_round_of_a_loop_is_counted():
    def function(x):
        rows = tf.reshape(x, [10, 100])
        sums = tf.map_fn(lambda row: tf.reduce_sum(tf.tile(row, [200])), rows)
        return tf.reduce_sum(sums)

    assert 200 * 100 * 4 <= _peak(function) < 1.2 * 200 * 100 * 4


def test_another_view_is_no_other_memory():
    def function(x):
        first = x * 2.0
        shaped = tf.reshape(first, [10, 100])
        second = tf.exp(shaped)
        return tf.reduce_sum(second) + tf.reduce_sum(first)

    assert _peak(function) - 2 * FLOATS < 100  # and a few numbers


def test_a_batch_that_no_gpu_holds_is_told(monkeypatch):
    monkeypatch.setattr(device_memory, "of_gpu", lambda: device_memory.Room(2**30, "GPU memory"))
    message = (
        r"^train\.batch_size = 257 at 64x96: it would need at least 1\.0 GiB of GPU memory, and "
        r"there are 1\.0 GiB; take a smaller batch or crop, or set train\.recompute = True$"
    )
    with pytest.raises(UserError, match=message):
        step_memory.check_batch(COST, 257, recompute=False)
    step_memory.check_batch(COST, 256, recompute=False)
    step_memory.check_batch(COST, 257, recompute=True)
