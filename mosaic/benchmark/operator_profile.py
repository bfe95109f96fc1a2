"""Where a TFLite file's time goes, operator by operator.

The interpreter's Python interface has no profiler. So each operator becomes a file of its own and
is timed alone, on the values that it gets inside the network. The operators take turns, so that
none has its data in the processor's first caches. Alone, an operator does not take exactly the same
time as inside the network: compare the sum with the latency of the whole.
"""

from __future__ import annotations

import copy
import dataclasses
import statistics
import time

import numpy as np

from mosaic.inference.interpreters import prepared
from mosaic.tflite import model_file
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.progress import Progress


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator of a file.

    Attributes:
      kind: name in the schema, such as CONV_2D.
      name: name of its first output.
      shape: shape of its first output.
      milliseconds: median time when run alone.
      delegated: whether the kernel library (XNNPACK) runs it, instead of TensorFlow Lite's own
        kernel.
    """

    kind: str
    name: str
    shape: tuple[int, ...]
    milliseconds: float
    delegated: bool


def profile(file: TFLiteModel, image: np.ndarray, threads: int, runs: int) -> list[Operator]:
    """Times every operator of a file's main graph.

    Args:
      file: TFLite file, opened.
      image: input of the file, such as [1, height, width, 3], of its type.
      threads: number of the interpreter's threads.
      runs: number of timed runs of each operator.

    Returns:
      The operators in their order of execution, without those that only process constants.
    """
    values = _values(file.path, image)
    parts = _parts(file, values)
    interpreters = []
    for _, _, content, inputs in parts:
        interpreter = prepared(threads, model_content=content)
        for details, index in zip(interpreter.get_input_details(), inputs):
            interpreter.set_tensor(details["index"], values[index])
        interpreters.append(interpreter)
    seconds = [[] for _ in parts]
    with Progress(runs + 1, "profile", "round") as bar:
        for _ in range(runs + 1):
            for interpreter, times in zip(interpreters, seconds):
                start = time.perf_counter()
                interpreter.invoke()
                times.append(time.perf_counter() - start)
            bar.update(1)
    return [
        Operator(
            kind,
            file.graph.tensors[output].name.decode(errors="replace").split(";")[0],
            tuple(values[output].shape),
            1e3 * statistics.median(times[1:]),
            any(op["op_name"] == "DELEGATE" for op in interpreter._get_ops_details()),
        )
        for (kind, output, _, _), times, interpreter in zip(parts, seconds, interpreters)
    ]


def _values(path: str, image: np.ndarray) -> dict[int, np.ndarray]:
    """The values of all tensors after one image."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        path,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    source = interpreter.get_input_details()[0]
    interpreter.resize_tensor_input(source["index"], image.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], image)
    interpreter.invoke()
    values = {}
    for details in interpreter.get_tensor_details():
        try:
            values[details["index"]] = interpreter.get_tensor(details["index"])
        except ValueError:  # scratch space of a kernel
            continue
    return values


def _parts(file: TFLiteModel, values) -> list[tuple[str, int, bytes, list[int]]]:
    """Each operator as (kind, first output's index, content of a file, indices of its inputs)."""
    computed = set(file.graph.inputs)
    before: dict[int, object] = {}
    parts = []
    for kind, operator in file.operators:
        inputs = [index for index in operator.inputs if index in computed]
        if not inputs:
            # A DEQUANTIZE of weights stays with the operator that uses them.
            before.update(dict.fromkeys(operator.outputs, operator))
            continue
        computed.update(operator.outputs)
        constant = [before[index] for index in operator.inputs if index in before]
        inputs = list(dict.fromkeys(inputs))
        content = _alone(file.model, [*constant, operator], inputs, values)
        parts.append((kind, operator.outputs[0], content, inputs))
    return parts


def _alone(model, operators: list, inputs: list[int], values) -> bytes:
    """The content of a file with a few operators of a model."""
    graph = copy.copy(model.subgraphs[0])
    used = sorted({i for op in operators for i in (*op.inputs, *op.outputs) if i >= 0})
    place = {index: number for number, index in enumerate(used)}
    part = copy.copy(model)
    part.buffers, graph.tensors, graph.operators = [copy.copy(model.buffers[0])], [], []
    for index in used:
        tensor = copy.copy(graph_tensor := model.subgraphs[0].tensors[index])
        if index in values:
            tensor.shape, tensor.shapeSignature = list(values[index].shape), None
        part.buffers.append(model.buffers[graph_tensor.buffer])
        tensor.buffer = len(part.buffers) - 1
        graph.tensors.append(tensor)
    for operator in operators:
        operator = copy.copy(operator)
        operator.inputs = [place.get(index, -1) for index in operator.inputs]
        operator.outputs = [place[index] for index in operator.outputs]
        graph.operators.append(operator)
    graph.inputs = [place[index] for index in inputs]
    graph.outputs = [place[index] for index in operators[-1].outputs]
    part.subgraphs = [graph, *model.subgraphs[1:]]
    part.signatureDefs, part.metadata, part.metadataBuffer = [], [], []
    return model_file.pack(part)
