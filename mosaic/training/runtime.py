"""Settings that must be made before the first tensor: seeds, determinism, devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import gin
import tensorflow as tf
import tf_keras

from mosaic.utils.errors import UserError
from mosaic.utils.settings import AT_LEAST_1, SEED, check_arguments

# TensorFlow's graph optimizer folds and reorders arithmetic of the training step, which changes the
# last bits, and within three steps the third digit of the loss. Without it a compiled step gives
# the same losses as an eager one, with which published results are compared, and takes about 5 %
# more time on a CPU (benchmarks/exact_graph.py).
_EXACT = {"disable_meta_optimizer": True}


@gin.configurable(module="mosaic")
def runtime(
    seed: Annotated[int, SEED] = 0,
    deterministic: bool = False,
    exact_graph: bool = True,
    threads: Annotated[int, AT_LEAST_1] | None = None,
    devices: str | Sequence[str] | None = None,
) -> tf.distribute.Strategy:
    """Sets TensorFlow up and returns the strategy that networks are built and trained under.

    Args:
      seed: seed of the initial weights and of all other random numbers.
      deterministic: whether only kernels run that give the same bits every time; slower.
      exact_graph: whether training steps run as written, without rewritten arithmetic.
      threads: number of CPU threads; all cores if None.
      devices: name or names of devices, such as `GPU:0`; all GPUs if None. If there are several,
        the global batch is divided among them and batch normalisation shares its statistics.

    Raises:
      UserError: a device is not there or named twice, or a value has another type or range.
    """
    check_arguments(runtime, locals())
    tf_keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if exact_graph:
        tf.config.optimizer.set_experimental_options(_EXACT)
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if devices is None:
        # TensorFlow uses a single GPU by itself.
        devices = [f"GPU:{index}" for index in range(len(gpus))] if len(gpus) > 1 else []
    devices = [devices] if isinstance(devices, str) else list(devices)
    if not devices:
        return tf.distribute.get_strategy()
    # For a device that is not there, TensorFlow would use another without a message.
    there = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    names = [device.upper().removeprefix("/").removeprefix("DEVICE:") for device in devices]
    for device, name in zip(devices, names):
        if name not in there:
            raise UserError(f"runtime.devices: no {device!r} here; there are {', '.join(there)}")
        if names.count(name) > 1:
            raise UserError(f"runtime.devices: {device!r} is named twice; name each device once")
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.OneDeviceStrategy(devices[0])
