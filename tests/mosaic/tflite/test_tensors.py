"""The tensors of a file: real numbers, ranges and activations."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from mosaic.tflite.model_file import TFLiteModel
from mosaic.tflite.tensors import Tensors
from mosaic.utils.errors import UserError


@pytest.mark.parametrize(
    ("stored", "scale", "zero", "known"),
    [
        ("uint8", 6 / 255, 0, {"relu", "relu6"}),
        ("uint8", 6 / 254, 0, {"relu", "relu6"}),
        ("uint8", 6.2 / 255, 0, {"relu"}),
        ("int8", 0.1, -128, {"relu"}),
        ("int8", 6 / 255, -127, {"relu", "relu6", "linear"}),
        ("int8", 0.1, -126, {"linear"}),
        ("int16", 0.1, 0, {"linear"}),
    ],
)
def test_activations_that_a_range_implies(stored, scale, zero, known):
    """Old converters leave them out, and others move a range by a step."""
    tensor, quantization = schema.TensorT(), schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = [scale], [zero]
    tensor.type, tensor.quantization = getattr(schema.TensorType, stored.upper()), quantization
    operator, model = schema.OperatorT(), schema.ModelT()
    operator.builtinOptions, operator.outputs = schema.Conv2DOptionsT(), [0]
    model.subgraphs = [schema.SubGraphT()]
    model.subgraphs[0].tensors = [tensor]
    assert Tensors(TFLiteModel("x.tflite", b"", model)).active(operator) == known


def tensors_of(values, kind, scale=None, zero=None, axis=0):
    """The tensors of a file that has but one constant."""
    tensor, buffer, model = schema.TensorT(), schema.BufferT(), schema.ModelT()
    tensor.name, tensor.shape, tensor.buffer = b"kernel;more", values.shape, 0
    tensor.type, tensor.quantization = kind, schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = scale, zero
    tensor.quantization.quantizedDimension = axis
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers, model.subgraphs = [buffer], [schema.SubGraphT()]
    model.subgraphs[0].tensors = [tensor]
    return Tensors(TFLiteModel("x.tflite", b"", model))


def test_real_numbers_of_a_constant_that_has_a_scale_for_each_channel():
    values = np.array([[-128, 0, 127], [1, 2, 3]], np.int8)
    tensors = tensors_of(values, schema.TensorType.INT8, [0.5, 1.0, 2.0], [0, 1, 0], axis=1)
    np.testing.assert_allclose(tensors.constant(0), [[-64, -1, 254], [0.5, 1, 6]])
    np.testing.assert_allclose(tensors.step(0), [0.5, 1.0, 2.0])


def test_floating_point_stays_as_it_is():
    values = np.array([1.5, -2.0], np.float16)
    tensors = tensors_of(values, schema.TensorType.FLOAT16)
    np.testing.assert_array_equal(tensors.constant(0), values)
    np.testing.assert_array_equal(tensors.step(0), [0.0])
    assert tensors.range(0) is None


def test_the_range_of_a_quantized_tensor():
    tensors = tensors_of(np.zeros(1, np.uint8), schema.TensorType.UINT8, [0.5], [10])
    assert tensors.range(0) == (-5.0, 122.5)


def test_what_an_8_bit_input_makes_of_pixels():
    tensors = tensors_of(np.zeros(1, np.uint8), schema.TensorType.UINT8, [1 / 64], [128])
    affine = tensors.pixels(0)
    np.testing.assert_allclose(affine.scale * 255 + affine.offset, 127 / 64)


def test_a_type_that_is_not_supported_is_named():
    tensors = tensors_of(np.zeros(1, np.complex64), schema.TensorType.COMPLEX64)
    with pytest.raises(UserError, match=r"x\.tflite: 'kernel' is of type COMPLEX64"):
        tensors.constant(0)
