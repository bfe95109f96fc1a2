"""Optimizers and learning-rate schedules for gin: the Model Garden's own, by their common names."""

from __future__ import annotations

from typing import Annotated

import gin
import tf_keras
from official.modeling.optimization import legacy_adamw, lr_schedule

from mosaic.utils.settings import AT_LEAST_0, BELOW_1, POSITIVE, STEPS, between

_Rate = Annotated[float, AT_LEAST_0]
Schedule = tf_keras.optimizers.schedules.LearningRateSchedule | _Rate


@gin.configurable(module="schedules")
def polynomial_decay(
    learning_rate: _Rate,
    steps: Annotated[int, STEPS],
    power: Annotated[float, AT_LEAST_0] = 0.9,
    end_learning_rate: _Rate = 0.0,
) -> Schedule:
    """(learning_rate - end) * (1 - step / steps) ** power + end, and `end` after `steps`."""
    return lr_schedule.PolynomialDecayWithOffset(
        initial_learning_rate=float(learning_rate),  # Keras computes a whole one in integers
        decay_steps=steps,
        end_learning_rate=end_learning_rate,
        power=power,
    )


@gin.configurable(module="schedules")
def cosine_decay(
    learning_rate: _Rate,
    steps: Annotated[int, STEPS],
    end_fraction: Annotated[float, AT_LEAST_0] = 0.0,
) -> Schedule:
    """Half a cosine from `learning_rate` to `end_fraction` of it over `steps`."""
    return lr_schedule.CosineDecayWithOffset(
        initial_learning_rate=float(learning_rate), decay_steps=steps, alpha=end_fraction
    )


@gin.configurable(module="schedules")
def linear_warmup(
    schedule: Schedule,
    steps: Annotated[int, between(0, 10**9)],
    learning_rate: _Rate = 0.0,
) -> Schedule:
    """Linear from `learning_rate` to the value of `schedule` at step `steps`, then the schedule.

    The schedule counts from step 0, as in the Garden: warm-up replaces its first steps and does
    not shift it.
    """
    if not steps:
        return schedule
    return lr_schedule.LinearWarmup(schedule, steps, learning_rate)


@gin.configurable(module="optimizers")
def sgd(
    learning_rate: Schedule,
    momentum: Annotated[float, BELOW_1] = 0.9,
    nesterov: bool = False,
    clipnorm: Annotated[float, POSITIVE] | None = None,
) -> tf_keras.optimizers.legacy.Optimizer:
    """Stochastic gradient descent; `clipnorm` limits each gradient's L2 norm."""
    kwargs = {} if clipnorm is None else {"clipnorm": clipnorm}
    return tf_keras.optimizers.legacy.SGD(
        learning_rate, momentum=momentum, nesterov=nesterov, **kwargs
    )


@gin.configurable(module="optimizers")
def adam(
    learning_rate: Schedule,
    beta_1: Annotated[float, BELOW_1] = 0.9,
    beta_2: Annotated[float, BELOW_1] = 0.999,
    epsilon: Annotated[float, POSITIVE] = 1e-7,
) -> tf_keras.optimizers.legacy.Optimizer:
    """Adam."""
    return tf_keras.optimizers.legacy.Adam(learning_rate, beta_1, beta_2, epsilon)


@gin.configurable(module="optimizers")
def adamw(
    learning_rate: Schedule,
    weight_decay: Annotated[float, AT_LEAST_0] = 0.01,
    beta_1: Annotated[float, BELOW_1] = 0.9,
    beta_2: Annotated[float, BELOW_1] = 0.999,
    epsilon: Annotated[float, POSITIVE] = 1e-7,
) -> tf_keras.optimizers.legacy.Optimizer:
    """Adam with decoupled weight decay; a network's own `weight_decay` should be 0 beside it.

    `weight_decay` times the learning rate is what a step takes from each kernel; biases and batch
    norm are not decayed. (I. Loshchilov, F. Hutter: Decoupled Weight Decay Regularization, 2019.)
    """
    return legacy_adamw.AdamWeightDecay(
        learning_rate,
        beta_1,
        beta_2,
        epsilon,
        weight_decay_rate=weight_decay,
        exclude_from_weight_decay=["bias", "gamma", "beta"],
        gradient_clip_norm=0.0,
    )
