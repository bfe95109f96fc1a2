"""The time of each operator of a file."""

import numpy as np

from mosaic.benchmark import operator_profile
from mosaic.tflite.model_file import TFLiteModel

SIZE = (64, 96)


def test_profile_has_every_operator(files):
    for name in ("none.tflite", "float16.tflite", "int8.tflite"):
        image = np.zeros((1, *SIZE, 3), np.uint8 if name == "int8.tflite" else np.float32)
        operators = operator_profile.profile(TFLiteModel.open(files / name), image, 1, 2)
        kinds = [operator.kind for operator in operators]
        assert kinds.count("CONV_2D") > 20
        assert kinds[-1] == "ARG_MAX"
        assert "DEQUANTIZE" not in kinds
        assert operators[-1].shape == (1, *SIZE)
        convolutions = [operator for operator in operators if operator.kind == "CONV_2D"]
        assert all(operator.delegated for operator in convolutions)
        assert all(operator.milliseconds > 0 for operator in operators)


def test_a_file_of_one_operator_computes_what_it_does_inside(files):
    """What is timed is the operator itself, weights and all."""
    from ai_edge_litert.interpreter import Interpreter

    path = str(files / "none.tflite")
    image = np.random.default_rng(0).uniform(0, 255, (1, *SIZE, 3)).astype(np.float32)
    values = operator_profile._values(path, image)
    parts = operator_profile._parts(TFLiteModel.open(path), values)
    assert len(parts) > 80
    for _, output, content, inputs in parts[::9]:
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        for details, index in zip(interpreter.get_input_details(), inputs):
            interpreter.set_tensor(details["index"], values[index])
        interpreter.invoke()
        answer = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        np.testing.assert_allclose(answer, values[output], atol=1e-4)
