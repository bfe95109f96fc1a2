"""Settings that must be made before the first tensor: seeds, determinism, devices, workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import gin
import tensorflow as tf
import tf_keras

from mosaic.distribution import strategies
from mosaic.distribution.strategies import AUTO, STRATEGIES
from mosaic.utils.settings import POSITIVE, SEED, THREADS, as_names, check_arguments, one_of

# TensorFlow's graph optimizer folds and reorders arithmetic of the training step, which changes the
# last bits, and within three steps the third digit of the loss. Without it a compiled step gives
# the same losses as an eager one, with which published results are compared, and takes about 5 %
# more time on a CPU (benchmarks/exact_graph.py).
_EXACT = {"disable_meta_optimizer": True}
# Keras' names of its policies.
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@gin.configurable(module="mosaic")
def runtime(
    seed: Annotated[int, SEED] = 0,
    deterministic: bool = False,
    exact_graph: bool = True,
    threads: Annotated[int, THREADS] | None = None,
    devices: str | Sequence[str] | None = None,
    strategy: Annotated[str, one_of(STRATEGIES)] = AUTO,
    tpu: str | None = None,
    wait_for_workers: Annotated[float, POSITIVE] = 300.0,
    precision: Annotated[str, one_of(PRECISIONS)] = "float32",
    compile: bool = False,
) -> tf.distribute.Strategy:
    """Sets TensorFlow up and returns the strategy that networks are built and trained under.

    Args:
      seed: seed of the initial weights and of all other random numbers.
      deterministic: whether only kernels run that give the same bits every time; slower.
      exact_graph: whether training steps run as written, without rewritten arithmetic.
      threads: number of CPU threads; all cores if None.
      devices: name or names of devices, such as `GPU:0`; all GPUs if None. If there are several,
        the global batch is divided among them and batch normalisation shares its statistics.
        `CPU:1` and further ones are parts of the CPU, to try several replicas without GPUs.
      strategy: `one_device`; `mirrored`, over the devices; `multi_worker_mirrored`, over the
        workers that TF_CONFIG or SLURM names, and the devices of each; `tpu`; or `auto`: over the
        workers where TF_CONFIG names several, on a TPU where `tpu` names one, else over the
        devices.
      tpu: name or address of a TPU; `local` for that of this machine.
      wait_for_workers: longest time to wait at the start for the other workers, or for a TPU, in
        seconds.
      precision: precision that training computes in (`mosaic.training.precision`). Weights, losses,
        checkpoints and exports are float32.
      compile: whether XLA compiles the training steps of each replica.

    Raises:
      UserError: a device, a TPU or a port is not to be had, or a value has another type or range.
      RunError: another worker did not come in time.
    """
    check_arguments(runtime, locals())
    tf_keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if exact_graph:
        tf.config.optimizer.set_experimental_options(_EXACT)
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    return strategies.build(strategy, as_names(devices), tpu, wait_for_workers)
