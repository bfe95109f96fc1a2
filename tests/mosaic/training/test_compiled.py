"""What a step consists of compiles with XLA, without which no TPU computes it."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from mosaic.evaluation.protocols import Evaluation
from mosaic.training.losses import CrossEntropy
from mosaic.training.task import SegmentationTask
from tiny_network import tiny


@pytest.fixture
def parts(drawn):
    tf_keras.utils.set_random_seed(0)
    task = SegmentationTask(tiny(), drawn, CrossEntropy(), 2, 0, Evaluation(batch_size=1))
    return task, (tf.constant(drawn.images[:2]), tf.constant(drawn.labels[:2]))


def test_a_training_step_compiles(parts):
    task, batch = parts
    optimizer = tf_keras.optimizers.legacy.SGD(0.1)

    def step():
        return task.train_step(batch, task.model, optimizer)["loss"]

    expected = task.build_losses(batch[1], task.model(batch[0], training=True))
    found = tf.function(step, jit_compile=True, autograph=False)()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_validation_step_compiles_and_counts_the_same(parts):
    task, batch = parts

    def step():
        task.validation_step(batch, task.model)

    step()
    expected = task.confusion.result().numpy()
    task.confusion.reset_state()
    tf.function(step, jit_compile=True, autograph=False)()
    # XLA fuses sums: a tie may be broken the other way.
    assert expected.sum() == task.confusion.result().numpy().sum() > 0
    assert np.abs(expected - task.confusion.result().numpy()).sum() <= 2
