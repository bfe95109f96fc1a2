"""The memory that a training step needs, estimated from its graph before anything runs.

What lives at the same time is counted in the order in which the graph's operations were made. The
rest of the estimate was fitted to measured steps. `python benchmarks/step_memory.py` repeats them:
its six steps needed 0.96 to 1.11 of their estimates (TensorFlow 2.20, 2 cores, November 2026).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf
import tf_keras

from mosaic.distribution import device_memory
from mosaic.models import quantization_aware
from mosaic.models.cost import Cost
from mosaic.training.task import SegmentationTask
from mosaic.utils import bound_settings
from mosaic.utils.errors import UserError
from mosaic.utils.memory import check_fits

Optimizer = tf_keras.optimizers.legacy.Optimizer

# A process that has loaded TensorFlow and this project, and what its threads keep, in bytes.
_PROCESS = 980 * 2**20
# What kernels need beside their outputs, as a factor of these.
_KERNELS = 1.1

# Operations whose output is their input's memory, and those that are not made by a step.
_VIEWS = frozenset(("Identity", "Reshape", "StopGradient"))
_LOOPS = frozenset(("While", "StatelessWhile"))
_NOT_MADE = frozenset(("Const", "Placeholder", "ReadVariableOp"))


def traced(task: SegmentationTask, optimizer: Optimizer, height: int, width: int) -> Callable:
    """Returns the step of a task for batches of one size, traced and not run.

    Args:
      task: task with its network, loss and batch size.
      optimizer: optimizer of the step.
      height: height of the crops, in pixels.
      width: width of the crops, in pixels.
    """

    @tf.function
    def step(images, labels):
        return task.train_step((images, labels), task.model, optimizer)[task.loss]

    size = [task.batch_size, height, width]
    return step.get_concrete_function(
        tf.TensorSpec([*size, 3], tf.uint8), tf.TensorSpec(size, tf.uint8)
    )


def check_network(model: tf_keras.Model, recompute: bool) -> None:
    """Raises a UserError for a network of which no part may be computed twice."""
    if recompute and quantization_aware.is_quantized(model):
        raise UserError(
            "train.recompute = True: quantization-aware training keeps what it rounds; leave it out"
        )


def check_batch(cost: Cost, batch_size: int, recompute: bool) -> None:
    """Checks that a batch can fit into memory.

    Args:
      cost: cost of the network for an image of the crop's size.
      batch_size: number of images in a step.
      recompute: whether steps compute a part of the network twice (`mosaic.models.recompute`).

    Raises:
      UserError: it cannot.
    """
    # Images are in the machine's own memory, as bytes and as float32, and labels with them.
    num_bytes, fix = 16 * cost.height * cost.width, "take a smaller batch or crop"
    name = bound_settings.name_of("train.batch_size")
    setting = f"{name} = {batch_size} at {cost.height}x{cost.width}"
    # Batch norm's gradients need the outputs of all convolutions.
    size = tf.as_dtype(tf_keras.mixed_precision.global_policy().compute_dtype).size
    kept, longer = size * cost.outputs, f"{fix}, or set train.recompute = True"
    if recompute:
        check_fits(setting, batch_size * num_bytes, fix)
    elif room := device_memory.of_gpu():
        check_fits(setting, batch_size * num_bytes, fix)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        check_fits(setting, batch_size / replicas * kept, longer, room.num_bytes, room.what)
    elif not tf.config.list_physical_devices("GPU"):
        check_fits(setting, batch_size * (num_bytes + kept), longer)


def estimate(task: SegmentationTask, optimizer: Optimizer, step: Callable) -> int:
    """Returns the memory of a process that trains on one CPU, in bytes.

    The input pipeline and the evaluation are not in it.

    Args:
      task: task of the step.
      optimizer: optimizer of the step.
      step: step from `traced`.
    """
    kept = sum(_num_bytes(x) for x in [*task.model.variables, *optimizer.variables()])
    return _PROCESS + kept + round(_KERNELS * peak(step.graph))


def peak(graph: tf.Graph) -> int:
    """Returns the largest number of bytes of tensors that live at the same time in a graph.

    A tensor lives from the operation that makes it to the last one that reads it, in the order in
    which the operations were made. Tensors of unknown size count as nothing.
    """
    operations = graph.get_operations()
    memory: dict = {}
    first: dict = {}
    last: dict = {}
    for place, operation in enumerate(operations):
        for tensor in operation.inputs:
            last[memory[tensor.ref()]] = place
        for tensor in operation.outputs:
            is_view = operation.type in _VIEWS and len(operation.inputs) > 0
            own = memory[operation.inputs[0].ref()] if is_view else tensor.ref()
            memory[tensor.ref()] = own
            if not is_view and operation.type not in _NOT_MADE:
                first[own] = place
    changes = [0] * (len(operations) + 1)
    for place, operation in enumerate(operations):
        if operation.type in _LOOPS:
            # What one round needs, such as the loss of one image.
            size = peak(graph._get_function(operation.get_attr("body").name).graph)
            changes[place] += size
            changes[place + 1] -= size
    for tensor, place in first.items():
        size = _num_bytes(tensor.deref())
        changes[place] += size
        changes[last.get(tensor, place) + 1] -= size
    largest = now = 0
    for change in changes:
        now += change
        largest = max(largest, now)
    return largest


def _num_bytes(tensor: tf.Tensor | tf.Variable) -> int:
    """The size of a tensor; 0 where it is not known, or has none, such as a resource."""
    if not tensor.shape.is_fully_defined() or not tensor.dtype.is_numpy_compatible:
        return 0
    if tensor.dtype in (tf.resource, tf.variant, tf.string):
        return 0
    return math.prod(tensor.shape.as_list()) * tensor.dtype.size
