"""TFLite files by their schema: read, written, and told by their operators."""

import os

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from mosaic.models.resizing import RULES, resize_bilinear
from mosaic.tflite import model_file
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.errors import UserError


def converted(function, *shape):
    traced = tf.function(function, [tf.TensorSpec(shape)]).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([traced]).convert()


@pytest.fixture(scope="module")
def content():
    return converted(lambda x: tf.nn.max_pool2d(tf.nn.elu(x), 2, 2, "VALID"), 1, 4, 4, 3)


def test_operators_come_by_name_in_their_order(content, tmp_path):
    (tmp_path / "x.tflite").write_bytes(content)
    kinds = [kind for kind, _ in TFLiteModel.open(tmp_path / "x.tflite").operators]
    assert kinds == ["ELU", "MAX_POOL_2D"]


def test_what_is_packed_runs_as_before(content):
    again = model_file.pack(model_file.unpack(content))
    answers = []
    for file in (content, again):
        interpreter = Interpreter(model_content=file)
        interpreter.allocate_tensors()
        (source,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
        x = np.arange(48, dtype=np.float32).reshape(1, 4, 4, 3) - 24
        interpreter.set_tensor(source["index"], x)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(answer["index"]))
    np.testing.assert_array_equal(*answers)


def test_a_file_that_is_not_changed_is_packed_as_it_was(content):
    packed = model_file.pack(model_file.unpack(content))
    assert model_file.pack(model_file.unpack(packed)) == packed


def test_a_file_stands_for_its_path(content, tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(content)
    file = TFLiteModel.open(path)
    assert str(file) == os.fspath(file) == str(path)


def test_only_tflite_files_are_opened(content, tmp_path):
    (tmp_path / "x.tflite").write_bytes(content)
    assert isinstance(model_file.opened(str(tmp_path / "x.tflite")), TFLiteModel)
    assert model_file.opened(str(tmp_path)) == str(tmp_path)


def test_the_type_of_a_tensor_has_a_name():
    tensor = schema.TensorT()
    tensor.type = schema.TensorType.INT8
    assert model_file.type_of(tensor) == "INT8"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"", "not a TFLite file"), (b"\x1c\0\0\0TFL3\xff\xff", "be read")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, message):
    path = tmp_path / "x.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"x\.tflite: .*{message}"):
        TFLiteModel.open(path)


def test_a_pipe_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "x.tflite")
    with pytest.raises(UserError, match=r"x\.tflite: a pipe or a device"):
        TFLiteModel.open(tmp_path / "x.tflite")


@pytest.mark.parametrize("rule", sorted(RULES))
def test_the_rule_of_a_files_resizes(tmp_path, rule):
    path = tmp_path / "x.tflite"
    path.write_bytes(converted(lambda x: resize_bilinear(x, (8, 8), rule), 1, 4, 4, 3))
    assert TFLiteModel.open(path).resize_rule == rule


def test_a_file_of_floating_point(content, tmp_path):
    (tmp_path / "x.tflite").write_bytes(content)
    assert TFLiteModel.open(tmp_path / "x.tflite").precision == "float32"
