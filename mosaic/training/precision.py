"""Mixed precision and compilation of training steps, by Keras' and the Model Garden's own means.

Networks are built in the precision of `runtime.precision` for training alone: what is exported or
scored afterwards is built again in float32, from weights that were float32 all along.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf
import tf_keras
from official.modeling import optimization, performance

from mosaic import config
from mosaic.models import quantization_aware
from mosaic.utils.errors import UserError

_TYPES = {
    "float32": tf.float32,
    "mixed_bfloat16": tf.bfloat16,
    "mixed_float16": tf.float16,
}

Optimizer = tf_keras.optimizers.legacy.Optimizer
LossScaleOptimizer = tf_keras.mixed_precision.LossScaleOptimizer


@contextlib.contextmanager
def configured() -> Iterator[None]:
    """In its block, networks are built in the precision that is configured."""
    performance.set_mixed_precision_policy(_TYPES[config.value("runtime.precision")])
    try:
        yield
    finally:
        performance.set_mixed_precision_policy(tf.float32)


def check(model: tf_keras.Model, compiles: bool) -> None:
    """Checks that a network can be trained in its precision, and compiled.

    Args:
      model: network, built in its precision.
      compiles: whether its steps are to be compiled.

    Raises:
      UserError: quantization-aware training in mixed precision; replicas that share batch norm's
        statistics, which a compiled step cannot do.
    """
    policy = tf_keras.mixed_precision.global_policy().name
    if policy != "float32" and quantization_aware.is_quantized(model):
        raise UserError(
            f"runtime.precision = {policy!r}: quantization-aware training rounds in float32; leave "
            "it out"
        )
    if compiles and any(getattr(layer, "synchronized", False) for layer in model.layers):
        raise UserError(
            "runtime.compile = True: replicas share batch norm's statistics, which compiled steps "
            "cannot; leave it out, or set mosaic.synchronized_norm = False"
        )


def with_loss_scale(optimizer: Optimizer) -> Optimizer:
    """Returns the optimizer; for float16 with a loss scale, which keeps gradients from vanishing.

    Raises:
      UserError: the optimizer averages weights, which the Model Garden's trainer cannot do then.
    """
    if tf_keras.mixed_precision.global_policy().name != "mixed_float16":
        return optimizer
    if isinstance(optimizer, optimization.ExponentialMovingAverage):
        raise UserError(
            "runtime.precision = 'mixed_float16' and train.average_decay exclude each other; take "
            "'mixed_bfloat16'"
        )
    return performance.configure_optimizer(optimizer, use_float16=True)
