"""The moving average of a network's weights, which is evaluated and kept instead of them."""

from __future__ import annotations

import tf_keras
from official.modeling import optimization


class ExactAverage(optimization.ExponentialMovingAverage):
    """The Garden's moving average of weights, whose exchange changes no bit of either.

    Its trainer exchanges weights and averages around each evaluation, also while the best network
    is saved. The Garden's own exchange adds and subtracts them, which rounds.
    """

    def swap_weights(self) -> None:
        for average, weight in zip(self._average_weights, self._model_weights):
            value = average.read_value()
            average.assign(weight.read_value())
            weight.assign(value)


def averaged(
    optimizer: tf_keras.optimizers.legacy.Optimizer, decay: float | None
) -> tf_keras.optimizers.legacy.Optimizer:
    """Returns an optimizer that also averages the trained weights.

    Args:
      optimizer: optimizer that trains.
      decay: share of the average that each step keeps, below 1; in the first steps it is less, as
        in `tf.train.ExponentialMovingAverage`. None for no average.
    """
    return optimizer if decay is None else ExactAverage(optimizer, average_decay=decay)
