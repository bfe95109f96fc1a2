"""Parameters and multiply-adds of exported files, as `mosaic.models.cost` has them of networks."""

from __future__ import annotations

import dataclasses
import math
import pathlib

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from mosaic.inference.file_predictors import SavedModelPredictor
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.quiet import quiet


@dataclasses.dataclass(frozen=True)
class FileCost:
    """Size of a file and its computation for one image.

    Attributes:
      size: size in bytes; for a SavedModel that of all its files.
      parameters: number of weights and biases of its convolutions, each counted once however often
        it is used; a batch norm that is not folded counts as one bias per channel.
      multiply_adds: number of multiply-adds of its convolutions and matrix products with weights.
    """

    size: int
    parameters: int
    multiply_adds: int


def of_tflite(file: TFLiteModel, size: tuple[int, int]) -> FileCost:
    """Counts parameters and multiply-adds of a TFLite file.

    Args:
      file: TFLite file, opened.
      size: (height, width) of the image, in pixels, where the file takes any.
    """
    operators = file.operators
    shapes = _shapes(file, size)
    # A dilated convolution works on shifted copies of a padded map; only its final output counts.
    merged = {op.inputs[0]: op.outputs[0] for name, op in operators if name == "BATCH_TO_SPACE_ND"}
    # Weights of a float16 file pass through DEQUANTIZE.
    stored = {op.outputs[0]: op.inputs[0] for name, op in operators if name == "DEQUANTIZE"}
    parameters, multiply_adds = {}, 0
    for name, operator in operators:
        if name not in _WEIGHTED:
            continue
        output = operator.outputs[0]
        constants = [stored.get(index, index) for index in operator.inputs[1:] if index >= 0]
        for index in constants:
            parameters[file.graph.tensors[index].buffer] = math.prod(shapes[index])
        kernel, places = shapes[constants[0]], shapes[merged.get(output, output)][:-1]
        multiply_adds += math.prod(kernel) * math.prod(places)
    return FileCost(len(file.content), sum(parameters.values()), multiply_adds)


def _shapes(file: TFLiteModel, size: tuple[int, int]) -> list[tuple[int, ...]]:
    """The shapes of all tensors, for an image of `size` where the file takes any."""
    tensors = file.graph.tensors
    source = tensors[file.graph.inputs[0]]
    if source.shapeSignature is None or -1 not in source.shapeSignature[1:]:
        return [() if t.shape is None else tuple(map(int, t.shape)) for t in tensors]
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(file.path, experimental_op_resolver_type=plain)
    first = source.shapeSignature[1] == 3
    interpreter.resize_tensor_input(file.graph.inputs[0], [1, 3, *size] if first else [1, *size, 3])
    interpreter.allocate_tensors()
    shapes = {t["index"]: tuple(map(int, t["shape"])) for t in interpreter.get_tensor_details()}
    return [shapes.get(index, ()) for index in range(len(tensors))]


def of_saved_model(path: str, size: tuple[int, int], allow_code: bool = False) -> FileCost:
    """Counts the same of a SavedModel, in the signature that `SavedModelPredictor` runs.

    Args:
      path: path of the folder.
      size: (height, width) of the image, in pixels, where the SavedModel takes any.
      allow_code: whether it may use files and run code, see `SavedModelPredictor`.

    Raises:
      UserError: it cannot be loaded, or has no such signature.
    """
    predictor = SavedModelPredictor(path, allow_code)
    shape = [1, *(predictor.input_size or size), 3]
    trace = tf.function(predictor.compute).get_concrete_function(tf.TensorSpec(shape, tf.uint8))
    with quiet():  # it says how many GPUs there are
        frozen = convert_variables_to_constants_v2(trace)
    parameters, multiply_adds = {}, 0
    found = [op for op in frozen.graph.get_operations() if op.type in _KERNELS + _BIASES]
    kernels = [op for op in found if op.type in _KERNELS]
    outputs = frozen.prune(frozen.inputs, [op.outputs[0] for op in kernels])
    for op, output in zip(kernels, outputs(tf.zeros(shape, tf.uint8))):
        count = math.prod(op.inputs[1].shape)
        places = tf.size(output).numpy() // output.shape[-1]
        multiply_adds += int(count * places)
    for op in found:
        constant = _constant(op.inputs[2 if "Norm" in op.type else 1])
        if constant is not None:
            parameters[constant.name] = math.prod(constant.outputs[0].shape)
    files = [file for file in pathlib.Path(path).rglob("*") if file.is_file()]
    size_ = sum(file.stat().st_size for file in files)
    return FileCost(size_, sum(parameters.values()), multiply_adds)


def _constant(tensor: tf.Tensor) -> tf.Operation | None:
    """The constant operation that a tensor comes from, or None if it is computed."""
    op = tensor.op
    while op.type in ("Identity", "ReadVariableOp"):
        op = op.inputs[0].op
    return op if op.type == "Const" else None


_WEIGHTED = frozenset(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"))
_KERNELS = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
_BIASES = ("BiasAdd", "FusedBatchNorm", "FusedBatchNormV3")
