"""Gradient accumulation: a batch is computed in parts, one after the other, in one training step.

Gradients are those of the whole batch's loss, but for batch norm: each part is normalised by its
own statistics, as on as many replicas that do not share theirs. Moving averages are updated once,
by the mean over the parts.
"""

from __future__ import annotations

import copy

import tensorflow as tf
import tf_keras

from mosaic.training import losses
from mosaic.training.trainer import Trainer
from mosaic.utils import bound_settings
from mosaic.utils.errors import UserError


def check(loss: losses.Loss, steps: int, batch_size: int, replicas: int) -> None:
    """Checks that a batch can be computed in parts.

    Args:
      loss: loss of the whole batch.
      steps: number of parts.
      batch_size: number of images in the batch.
      replicas: number of replicas that share it.

    Raises:
      UserError: parts would have different sizes, or their losses do not add up to the batch's.
    """
    name = f"train.accumulation_steps = {steps}"
    if batch_size % (replicas * steps):
        where = f" on each of {replicas} replicas" if replicas > 1 else ""
        raise UserError(
            f"{name}: {bound_settings.name_of('train.batch_size')} = {batch_size} does not divide "
            f"into {steps} equal parts{where}"
        )
    if of_part(loss, tf.zeros([1, 1, 1], tf.int32), steps) is None:
        raise UserError(
            f"{name}: the loss of a batch must be a sum over its images. CrossEntropy is, with "
            "top_k = 1 or normalization = 'image'; SoftJaccard and losses of your own are not"
        )


def of_part(loss: losses.Loss, whole: tf.Tensor, parts: int) -> losses.Loss | None:
    """Returns the loss for one of several equal parts of a batch; their mean is the batch's loss.

    Args:
      loss: loss of batches.
      whole: labels of the whole batch.
      parts: number of parts.

    Returns:
      A loss; None where no mean over parts is the loss of the batch.
    """
    found = [copy.copy(part) for part in losses.parts_of(loss) or [None]]
    if not all(
        type(part) is losses.CrossEntropy and not part.chooses_across_images for part in found
    ):
        return None
    for part in found:
        part.whole, part.share = whole, 1.0 / parts
    return losses.SumOfLosses(found) if len(found) > 1 else found[0]


class AccumulatingTrainer(Trainer):
    """`Trainer` that computes each replica's part of a batch in several steps over time.

    Args:
      steps: number of parts.
    """

    def __init__(self, task, optimizer, best, stop, steps: int):
        super().__init__(task, optimizer, best, stop)
        self._steps = steps
        norms = [
            layer
            for layer in task.model.layers
            if isinstance(layer, tf_keras.layers.BatchNormalization) and layer.trainable
        ]
        averages = [x for norm in norms for x in (norm.moving_mean, norm.moving_variance)]
        weights = task.model.trainable_variables
        self._averages = tuple((x, _like(x), _like(x)) for x in averages)
        self._gradients = tuple((x, _like(x)) for x in weights)
        self._loss = _like(tf.zeros([]))

    def train_step(self, iterator):
        """One step of the optimizer, on a batch that is computed in parts."""
        inputs = self.next_train_inputs(iterator)
        self.strategy.run(self._begin)
        for part in tf.range(self._steps):
            self.strategy.run(self._add, args=(inputs, part))
        self.strategy.run(self._apply)

    def _begin(self):
        for kept in (self._loss, *(sums for _, sums in self._gradients)):
            kept.assign(tf.zeros_like(kept))
        for average, before, sums in self._averages:
            before.assign(tf.convert_to_tensor(average))
            sums.assign(tf.zeros_like(sums))

    def _add(self, inputs, part):
        """Adds up loss and gradients of a part, and batch norm's averages after it alone."""
        images, labels = (tf.reshape(x, [self._steps, -1, *x.shape[1:]])[part] for x in inputs)
        of_these = of_part(self.task.segmentation_loss, inputs[1], self._steps)
        loss, gradients = self.task.gradients(images, labels, self.model, self.optimizer, of_these)
        self._loss.assign_add(loss / self._steps)
        for (_, sums), gradient in zip(self._gradients, gradients):
            sums.assign_add(gradient / self._steps)
        for average, before, sums in self._averages:
            sums.assign_add(average / self._steps)
            average.assign(tf.convert_to_tensor(before))

    def _apply(self):
        for average, _, sums in self._averages:
            average.assign(tf.convert_to_tensor(sums))
        self.optimizer.apply_gradients(
            [(tf.convert_to_tensor(sums), x) for x, sums in self._gradients]
        )
        self._train_loss.update_state(tf.convert_to_tensor(self._loss))
        self.global_step.assign_add(1)


def _like(x) -> tf.Variable:
    """A variable of the shape of another, with a value of its own on each replica."""
    return tf.Variable(
        tf.zeros(x.shape),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.MEAN,
    )
