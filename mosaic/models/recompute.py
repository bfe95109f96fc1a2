"""Training with less memory: layers' outputs are computed again where gradients need them.

A network is cut into blocks. Training keeps what goes from one block to a later one, and computes
the rest of a block again when its gradients are due (Chen et al., "Training Deep Nets with
Sublinear Memory Cost", 2016). Blocks are chosen for the least memory at the image size in use, and
of those that reach it for the least work: maps are large at the beginning of a network, where
little is computed for each value, and its end is kept as a whole where it fits.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence

import tensorflow as tf
import tf_keras

from mosaic.models.batch_norm import normalized
from mosaic.models.layers import ChannelSlice, Normalize
from mosaic.models.pooling import PoolToBins, PoolWindows
from mosaic.models.resizing import ResizeLike

_keras = tf_keras.layers
# Layers that compute the same again, batch norm's moving averages aside. Dropout does not, nor do
# layers that this project does not know: their outputs are kept.
_REPEATABLE = (
    *(_keras.Conv2D, _keras.DepthwiseConv2D, _keras.BatchNormalization, _keras.ReLU),
    *(_keras.Activation, _keras.Add, _keras.Concatenate, _keras.GlobalAveragePooling2D),
    *(_keras.ZeroPadding2D, _keras.MaxPooling2D),
    *(Normalize, ChannelSlice, PoolToBins, PoolWindows, ResizeLike),
)
# Layers whose gradients need their input, and layers whose gradients need their output.
_NEED_INPUT = (
    *(_keras.Conv2D, _keras.DepthwiseConv2D, _keras.BatchNormalization, _keras.MaxPooling2D),
)
_NEED_OUTPUT = (_keras.ReLU, _keras.Activation, _keras.MaxPooling2D)
# The memory is searched to this share of it.
_PRECISION = 0.01


@dataclasses.dataclass(frozen=True)
class _Call:
    """One call of a layer.

    Attributes:
      output: Keras tensor that it makes.
      inputs: Keras tensors that it takes.
      size: number of values of the output, for one image.
      held: number of them that gradients need, all or 0.
      last_use: number of the last call that takes the output.
      repeats: whether it may be done again.
    """

    output: object
    inputs: Sequence
    size: int
    held: int
    last_use: int
    repeats: bool


class Recomputing:
    """A network as a function for training that computes a part of it twice.

    Values are those of the network, and gradients too; so are batch norm's moving averages.

    Args:
      model: functional network of images [batch, height, width, 3].
      height: height of the images that blocks are chosen for, in pixels.
      width: width of them, in pixels.
    """

    def __init__(self, model: tf_keras.Model, height: int, width: int):
        calls = _calls(model, height, width)
        (self._input,), (self._output,) = model.inputs, model.outputs
        self._blocks = [_Block(calls, *ends) for ends in _plan(calls)]

    @property
    def blocks(self) -> list[list[str]]:
        """Names of the layers of each block that is computed twice, in the order of computation."""
        return [
            [output.node.layer.name for output in block.outputs]
            for block in self._blocks
            if block.is_twice
        ]

    @tf.autograph.experimental.do_not_convert
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Computes logits in training mode, as the network with `training=True`."""
        known = {id(self._input): tf.cast(images, self._input.dtype)}
        for block in self._blocks:
            run = _twice(block) if block.is_twice else block.run
            known.update(zip(block.given, run(*(known[key] for key in block.taken))))
        return known[id(self._output)]


class _Block:
    """Calls of layers, one after the other, as a function.

    Args:
      calls: calls of the network.
      first: number of the first call of the block.
      end: number after the last.
      is_twice: whether it is computed twice.

    Attributes:
      outputs: Keras tensors that the calls make.
      taken: ids of the Keras tensors that the block takes.
      given: ids of those that later blocks take.
    """

    def __init__(self, calls: Sequence[_Call], first: int, end: int, is_twice: bool):
        self.is_twice = is_twice
        self.outputs = [call.output for call in calls[first:end]]
        made = {id(output) for output in self.outputs}
        sources = [id(x) for call in calls[first:end] for x in call.inputs]
        self.taken = [key for key in dict.fromkeys(sources) if key not in made]
        self.given = [id(call.output) for call in calls[first:end] if call.last_use >= end]

    def run(self, *inputs: tf.Tensor, is_again: bool = False) -> list[tf.Tensor]:
        """Computes the block in training mode; again, without updating moving averages."""
        known = dict(zip(self.taken, inputs))
        for output in self.outputs:
            node, layer = output.node, output.node.layer
            args, kwargs = tf.nest.map_structure(
                lambda x: known.get(id(x), x), (list(node.call_args), dict(node.call_kwargs))
            )
            # One that is frozen uses its moving averages, and leaves them as they are.
            if is_again and isinstance(layer, _keras.BatchNormalization) and layer.trainable:
                known[id(output)] = normalized(layer, *args)
                continue
            if "training" in inspect.signature(layer.call).parameters:
                kwargs["training"] = True
            known[id(output)] = layer(*args, **kwargs)
        return [known[key] for key in self.given]


def _twice(block: _Block):
    """A block as a function of its inputs that keeps nothing else for its gradients.

    `tf.recompute_grad` lacks three things: batch norm's averages must not be updated again; all
    gradients from later blocks must be there before a block is computed again, and all of a block's
    before an earlier one is. Otherwise several blocks are in memory at a time.
    """

    @tf.custom_gradient
    def outputs_of(*inputs):
        def gradient(*upstream, variables=()):
            with tf.control_dependencies(upstream):
                again = [tf.identity(x) for x in inputs]
            with tf.GradientTape() as tape:
                tape.watch(again)
                outputs = block.run(*again, is_again=True)
            of_inputs, of_variables = tape.gradient(
                outputs, [again, list(variables)], list(upstream), unconnected_gradients="zero"
            )
            with tf.control_dependencies([*of_inputs, *of_variables]):
                of_inputs = [tf.identity(x) for x in of_inputs]
            return (of_inputs, of_variables) if variables else of_inputs

        return block.run(*inputs), gradient

    return outputs_of


def _calls(model: tf_keras.Model, height: int, width: int) -> list[_Call]:
    """The calls of a network's layers, each after those that it depends on."""
    made: dict[int, object] = {}

    def visit(tensor):
        if id(tensor) in made or isinstance(tensor.node.layer, _keras.InputLayer):
            return
        for source in _sources(tensor):
            visit(source)
        made[id(tensor)] = tensor

    for output in model.outputs:
        visit(output)
    tensors = list(made.values())
    every = tf_keras.Model(model.inputs, tensors)
    trace = tf.function(lambda images: every(images, training=False)).get_concrete_function(
        tf.TensorSpec([1, height, width, 3], tf.float32)
    )
    sizes = [x.shape.num_elements() for x in tf.nest.flatten(trace.structured_outputs)]
    last = {id(output): len(tensors) for output in model.outputs}
    needed = {id(x) for x in tensors if isinstance(x.node.layer, _NEED_OUTPUT)}
    for index, tensor in enumerate(tensors):
        for source in _sources(tensor):
            last[id(source)] = max(index, last.get(id(source), 0))
            if isinstance(tensor.node.layer, _NEED_INPUT) or not _repeats(tensor):
                needed.add(id(source))
    return [
        _Call(
            output=x,
            inputs=_sources(x),
            size=size,
            held=size if id(x) in needed else 0,
            last_use=last[id(x)],
            repeats=_repeats(x),
        )
        for x, size in zip(tensors, sizes)
    ]


def _sources(tensor) -> list:
    return tf.nest.flatten(tensor.node.keras_inputs)


def _repeats(tensor) -> bool:
    return isinstance(tensor.node.layer, _REPEATABLE)


def _plan(calls: Sequence[_Call]) -> list[tuple[int, int, bool]]:
    """Divides calls into blocks (first, end, whether it is computed twice) for the least memory."""
    low, high = 0.0, 3.0 * sum(call.size for call in calls)
    while high - low > _PRECISION * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _within(calls, middle) else (middle, high)
    return _within(calls, high)


def _within(calls: Sequence[_Call], most: float) -> list[tuple[int, int, bool]] | None:
    """The plan of the least work that needs at most so many values for an image; None if none does.

    Gradients of a block need what is kept up to it, what they hold inside, and twice its largest
    map: its gradient before and after a layer.
    """
    # For each end: the fewest values that are kept up to there, and the last block's beginning.
    best: list[tuple[float, int]] = [(0, 0)]
    for end in range(1, len(calls) + 1):
        found, kept, held, largest = (float("inf"), 0), 0, 0, 0
        for first in range(end - 1, -1, -1):
            call = calls[first]
            if end - first > 1 and not (call.repeats and calls[end - 1].repeats):
                break
            held, largest = held + call.held, max(largest, call.size)
            kept += call.size if call.last_use >= end else 0
            if best[first][0] + held + 2 * largest <= most:
                found = min(found, (best[first][0] + kept, first))
        best.append(found)
    rest = [sum(call.held for call in calls[end:]) for end in range(len(calls) + 1)]
    for end, (kept, _) in enumerate(best):
        if kept + rest[end] <= most:
            return _blocks(calls, best, end)
    return None


def _blocks(
    calls: Sequence[_Call], best: Sequence[tuple[float, int]], end: int
) -> list[tuple[int, int, bool]]:
    """The blocks up to `end`, computed twice where that may be, and the rest as one."""
    blocks = [(end, len(calls), False)] if end < len(calls) else []
    while end:
        first = best[end][1]
        blocks.insert(0, (first, end, calls[first].repeats))
        end = first
    return blocks
