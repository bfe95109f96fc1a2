"""The graph of a TFLite file, in whatever way the file says it."""

import random

import numpy as np
import pytest
import tf_keras
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

from mosaic.export import tflite
from mosaic.inference.file_predictors import TFLitePredictor
from mosaic.models.inputs import image_input
from mosaic.models.layers import Norm, conv_bn, depthwise_bn
from mosaic.tflite import graph_from_file
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.graph import Convolution, ancestors
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.errors import UserError

SIZE = (32, 48)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def file(image, tmp_path_factory):
    """A float file of a normalisation and three convolutions, one of them dilated."""
    pixels, x = image_input("symmetric")
    x = conv_bn(Norm(), "stem", 8, 3, 2, activation="relu6")(x)
    x = depthwise_bn(Norm(), "atrous", 3, dilation=2)(x)
    x = tf_keras.layers.Conv2D(3, 1, name="logits")(x)
    model = tf_keras.Model(pixels, x)
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    path = tmp_path_factory.mktemp("file") / "network.tflite"
    tflite.write(model, [image], str(path), tflite.TFLiteOptions(SIZE))
    return path


def steps(path):
    """What a file computes, without names."""
    return ancestors(graph_from_file.read(TFLiteModel.open(path)))


def assert_same(path, other, atol=0.0):
    first, second = steps(path), steps(other)
    assert [node.kind for node in first] == [node.kind for node in second]
    for one, two in zip(first, second):
        assert (one.shape, one.options) == (two.shape, two.options)
        for mine, theirs in zip(one.content or (), two.content or ()):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=atol)


def rewritten(path, change, target):
    """Changes a file's contents through the schema's object form."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    change(model)
    builder = Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    target.write_bytes(bytes(builder.Output()))
    return target


def shuffled(model):
    """Another order of execution, other tensor numbers and no names: the same network."""
    rng = random.Random(0)
    graph = model.subgraphs[0]
    made = {int(t) for op in graph.operators for t in op.outputs}
    operators, order = list(graph.operators), []
    while operators:
        ready = [op for op in operators if not made.intersection(map(int, op.inputs))]
        chosen = rng.choice(ready)
        operators.remove(chosen)
        made -= set(map(int, chosen.outputs))
        order.append(chosen)
    graph.operators = order
    places = list(range(len(graph.tensors)))
    rng.shuffle(places)
    tensors = [None] * len(places)
    for old, new in enumerate(places):
        tensors[new] = graph.tensors[old]
        tensors[new].name = f"t{new}".encode()
    graph.tensors = tensors
    for holder in (*graph.operators, graph):
        holder.inputs = [places[i] if i >= 0 else i for i in holder.inputs]
        holder.outputs = [places[i] for i in holder.outputs]


def as_int8(model):
    """The same real numbers, stored 128 lower."""
    for tensor in model.subgraphs[0].tensors:
        if tensor.type != schema.TensorType.UINT8:
            continue
        tensor.type = schema.TensorType.INT8
        tensor.quantization.zeroPoint = np.asarray(tensor.quantization.zeroPoint) - 128
        buffer = model.buffers[tensor.buffer]
        if buffer.data is not None and len(buffer.data):
            buffer.data = np.asarray(buffer.data, np.uint8) ^ 128


def operator_code(model, code):
    entry = schema.OperatorCodeT()
    entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
    model.operatorCodes.append(entry)
    return len(model.operatorCodes) - 1


def activation_like(model, tensor, shape):
    """A new tensor of the same type as `tensor`, for an operator put in between."""
    tensors = model.subgraphs[0].tensors
    new = schema.TensorT()
    new.name, new.type, new.shape = b"inserted", tensors[tensor].type, shape
    tensors.append(new)
    return len(tensors) - 1


def constant(model, values):
    graph = model.subgraphs[0]
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.name, tensor.shape, tensor.buffer = b"constant", values.shape, len(model.buffers) - 1
    float_type, int_type = schema.TensorType.FLOAT32, schema.TensorType.INT32
    tensor.type = float_type if values.dtype == np.float32 else int_type
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def with_batch_norm_apart(model):
    """Batch norm that no converter folded: x * 4, + 2 and a ReLU6 of its own after `stem`."""
    graph = model.subgraphs[0]
    index = next(
        i
        for i, op in enumerate(graph.operators)
        if tuple(graph.tensors[op.inputs[1]].shape) == (8, 3, 3, 3)
    )
    convolution = graph.operators[index]
    convolution.builtinOptions.fusedActivationFunction = 0
    for tensor in convolution.inputs[1:3]:
        buffer = model.buffers[graph.tensors[tensor].buffer]
        values = np.frombuffer(bytes(buffer.data), np.float32) / 4
        values = values - 0.5 if graph.tensors[tensor].shape.size == 1 else values
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    end = convolution.outputs[0]
    shape = graph.tensors[end].shape
    steps = (
        (schema.BuiltinOperator.MUL, constant(model, np.full(8, 4, np.float32))),
        (schema.BuiltinOperator.ADD, constant(model, np.full(8, 2, np.float32))),
        (schema.BuiltinOperator.RELU6, None),
    )
    before = activation_like(model, end, shape)
    convolution.outputs = [before]
    for number, (code, operand) in enumerate(steps):
        operator = schema.OperatorT()
        operator.opcodeIndex = operator_code(model, code)
        operator.inputs = [before] if operand is None else [operand, before]
        before = end if operand is None else activation_like(model, end, shape)
        operator.outputs = [before]
        graph.operators.insert(index + 1 + number, operator)


def with_dilation_in_batches(model):
    """Dilation as SPACE_TO_BATCH_ND, an undilated convolution and BATCH_TO_SPACE_ND."""
    graph = model.subgraphs[0]
    index = next(
        i
        for i, op in enumerate(graph.operators)
        if getattr(op.builtinOptions, "dilationHFactor", 1) == 2
    )
    convolution = graph.operators[index]
    options = convolution.builtinOptions
    options.dilationHFactor = options.dilationWFactor = 1
    options.padding = schema.Padding.VALID
    block = constant(model, np.array([2, 2], np.int32))
    pads, crops = (constant(model, np.full((2, 2), size, np.int32)) for size in (2, 0))
    source, end = convolution.inputs[0], convolution.outputs[0]
    before = activation_like(model, end, [4, 10, 14, 8])
    after = activation_like(model, end, [4, 8, 12, 8])
    convolution.inputs = [before, *convolution.inputs[1:]]
    convolution.outputs = [after]
    for place, code, first, extent, last in (
        (index, schema.BuiltinOperator.SPACE_TO_BATCH_ND, source, pads, before),
        (index + 2, schema.BuiltinOperator.BATCH_TO_SPACE_ND, after, crops, end),
    ):
        operator = schema.OperatorT()
        operator.opcodeIndex = operator_code(model, code)
        operator.inputs, operator.outputs = [first, block, extent], [last]
        graph.operators.insert(place, operator)


def with_padding_apart(model, before=(0, 0), after=(1, 1)):
    """The padding of `stem`, whose stride is 2, as PAD."""
    graph = model.subgraphs[0]
    index = next(
        i
        for i, op in enumerate(graph.operators)
        if tuple(graph.tensors[op.inputs[1]].shape) == (8, 3, 3, 3)
    )
    convolution = graph.operators[index]
    convolution.builtinOptions.padding = schema.Padding.VALID
    source = convolution.inputs[0]
    pads = constant(model, np.array([[0, 0], *zip(before, after), [0, 0]], np.int32))
    height, width = (a + b + side for a, b, side in zip(before, after, SIZE))
    padded = activation_like(model, source, [1, height, width, 3])
    convolution.inputs = [padded, *convolution.inputs[1:]]
    operator = schema.OperatorT()
    operator.opcodeIndex = operator_code(model, schema.BuiltinOperator.PAD)
    operator.inputs, operator.outputs = [source, pads], [padded]
    graph.operators.insert(index, operator)


def with_padding_on_both_sides(model):
    """As slim's `fixed_padding` has it: of even sizes, another pixel in the middle."""
    with_padding_apart(model, (1, 1), (1, 1))


def without_normalization(model):
    """A file whose caller normalises: its first two operators are the normalisation."""
    graph = model.subgraphs[0]
    model.metadata = None
    del graph.operators[:2]
    graph.operators[0].inputs = [graph.inputs[0], *graph.operators[0].inputs[1:]]


def test_steps_of_a_float_file(file):
    source, stem, atrous, logits = steps(file)
    np.testing.assert_allclose(source.content.scale, 1 / 127.5, rtol=1e-6)
    np.testing.assert_allclose(source.content.offset, -1.0, rtol=1e-6)
    assert [stem.kind, atrous.kind, logits.kind] == ["conv", "depthwise", "conv"]
    assert stem.shape == Convolution((3, 3), (3, 8), (2, 2), (1, 1), "same")
    assert atrous.shape == Convolution((3, 3), (8, 1), (1, 1), (2, 2), "same")
    assert logits.shape == Convolution((1, 1), (8, 3), (1, 1), (1, 1), "same")
    assert [set(node.options) for node in (stem, atrous, logits)] == [
        {"relu6"},
        {"relu"},
        {"linear"},
    ]
    assert logits.content.kernel.shape == (1, 1, 8, 3)
    assert np.any(logits.content.bias)


@pytest.mark.parametrize(
    "change", [shuffled, with_batch_norm_apart, with_dilation_in_batches, with_padding_apart]
)
def test_other_ways_to_say_the_same_network(file, image, tmp_path, change):
    path = rewritten(file, change, tmp_path / "changed.tflite")
    answer, expected = (
        TFLitePredictor(TFLiteModel.open(name), "none").run(image[np.newaxis])
        for name in (path, file)
    )
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert_same(file, path, atol=1e-6)


def test_padding_on_both_sides_is_not_that_of_tensorflow(file, tmp_path):
    path = rewritten(file, with_padding_on_both_sides, tmp_path / "changed.tflite")
    _, stem, *rest = steps(path)
    assert stem.shape == Convolution((3, 3), (3, 8), (2, 2), (1, 1), "centred")
    assert [node.kind for node in rest] == ["depthwise", "conv"]


def test_a_float_file_can_leave_normalization_to_its_caller(file, tmp_path):
    path = rewritten(file, without_normalization, tmp_path / "plain.tflite")
    assert steps(file)[0].content.known
    assert not steps(path)[0].content.known


def test_a_float_file_can_say_how_its_caller_normalizes(file, tmp_path, monkeypatch):
    path = rewritten(file, without_normalization, tmp_path / "plain.tflite")
    said = tflite_metadata.Metadata(None, ([127.5], [127.5]))
    monkeypatch.setattr(tflite_metadata, "read", lambda _: said)
    source, twice = steps(path)[0].content, steps(file)[0].content
    assert source.known
    np.testing.assert_allclose(source.scale, 1 / 127.5)
    np.testing.assert_allclose(source.offset, -1.0)
    # Whoever normalises for a file that does it again does both.
    np.testing.assert_allclose(twice.scale, 1 / 127.5**2, rtol=1e-6)


@pytest.mark.parametrize("change", [shuffled, as_int8])
@pytest.mark.parametrize("name", ["mosaic_r4_ade20k_uint8", "deeplabv3_mnv2_ade20k_uint8"])
def test_published_files_told_otherwise(shared, tmp_path, name, change):
    path = shared(f"models/{name}.tflite")
    assert_same(path, rewritten(path, change, tmp_path / "changed.tflite"))


@pytest.mark.parametrize("content", [b"", b"not a TFLite file", b"\x1c\0\0\0TFL3\xff\xff"])
def test_a_file_that_is_none(tmp_path, content):
    path = tmp_path / "broken.tflite"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.tflite"):
        graph_from_file.read(TFLiteModel.open(path))


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        graph_from_file.read(TFLiteModel.open(tmp_path / "missing.tflite"))
