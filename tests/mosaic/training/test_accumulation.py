"""Batches in parts: the loss of the whole, and what as many replicas would do."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from loss_inputs import made_batch
from mosaic.training.accumulation import check, of_part
from mosaic.training.losses import CrossEntropy, SoftJaccard, SumOfLosses
from mosaic.utils.errors import UserError

WEIGHTS = (0.5, 1.0, 2.0, 4.0)


@pytest.mark.parametrize(
    "loss",
    [
        CrossEntropy(),
        CrossEntropy(class_weights=WEIGHTS, normalization="batch"),
        CrossEntropy(top_k=0.3, normalization="image"),
        SumOfLosses([CrossEntropy(), CrossEntropy(label_smoothing=0.1)]),
    ],
    ids=["replica", "batch", "image", "sum"],
)
def test_the_mean_over_parts_is_the_loss_of_the_batch(loss):
    labels, logits = made_batch()
    labels = tf.where(tf.reshape([True, False], [2, 1, 1]), labels, tf.where(labels == 1, 1, 255))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        expected = loss(labels, logits)
        part = of_part(loss, labels, 2)
        found = sum(part(labels[k : k + 1], logits[k : k + 1]) for k in range(2)) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    gradient = tape.gradient(expected, logits)
    np.testing.assert_allclose(tape.gradient(found, logits), gradient, atol=1e-7)


@pytest.mark.parametrize(
    "loss", [SoftJaccard(), CrossEntropy(top_k=0.5), SumOfLosses([CrossEntropy(), SoftJaccard()])]
)
def test_losses_of_the_whole_batch_are_refused(loss):
    with pytest.raises(UserError, match="accumulation_steps = 2: the loss of a batch must be a"):
        check(loss, 2, 4, 1)


def test_parts_of_different_sizes_are_refused():
    check(CrossEntropy(), 2, 8, 2)
    with pytest.raises(UserError, match="= 6 does not divide into 2 equal parts on each of 2 rep"):
        check(CrossEntropy(), 2, 6, 2)


RUN = """
import functools, json, sys
import numpy as np, tensorflow as tf, tf_keras
from drawn import Drawn
from mosaic.models.layers import Norm
from mosaic.training.accumulation import AccumulatingTrainer
from mosaic.training.losses import CrossEntropy
from mosaic.training.task import SegmentationTask
from mosaic.training.trainer import BestCheckpoint, StopOnSignal, Trainer
import tiny_network
from tiny_network import randomized, tiny

class Data(Drawn):
    def train_batches(self, batch_size, seed, start_step=0, context=None):
        found = tf.data.Dataset.from_tensor_slices((self.images[:4], self.labels[:4])).repeat()
        return found.batch(batch_size // (context.num_replicas_in_sync if context else 1), True)

replicas, steps = int(sys.argv[1]), int(sys.argv[2])
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.get_strategy()
if replicas > 1:
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
tiny_network.Norm = functools.partial(Norm, momentum=0.9, synchronized=False)
with strategy.scope():
    model = randomized(tiny())
    task = SegmentationTask(model, Data(), CrossEntropy(normalization="image"), 4, 0)
    optimizer = tf_keras.optimizers.legacy.SGD(0.001, momentum=0.9)
    rest = task, optimizer, BestCheckpoint(sys.argv[3]), StopOnSignal()
    trainer = AccumulatingTrainer(*rest, steps) if steps > 1 else Trainer(*rest)
    trainer.start_at(0)
    losses = [float(trainer.train(tf.constant(2))["training_loss"]) for _ in range(2)]
print(json.dumps([losses, [variable.numpy().tolist() for variable in model.variables]]))
"""


def _run(root, folder, replicas, steps):
    paths = [str(root), str(root / "tests" / "support")]
    code = f"import sys; sys.path[:0] = {paths!r}\n{RUN}"
    words = [str(replicas), str(steps), str(folder)]
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    losses, variables = json.loads(result.stdout.splitlines()[-1])
    return losses, [np.array(variable) for variable in variables]


@pytest.mark.slow
def test_a_run_is_that_of_replicas_with_batch_norm_of_their_own(root, tmp_path):
    losses, variables = _run(root, tmp_path, 1, 2)
    others, expected = _run(root, tmp_path, 2, 1)
    np.testing.assert_allclose(losses, others, rtol=1e-5)
    for variable, other in zip(variables, expected):
        np.testing.assert_allclose(variable, other, rtol=1e-4, atol=1e-5)
