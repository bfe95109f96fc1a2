"""Operators that TFLite has not."""

import pytest
import tensorflow as tf
import tf_keras

from mosaic.export import tflite, tflite_converter
from mosaic.tflite import model_file
from mosaic.utils.errors import UserError


def foreign_network(operation):
    images = tf_keras.Input([None, None, 3], name="images")
    return tf_keras.Model(images, tf_keras.layers.Lambda(operation)(images))


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (lambda x: tf.linalg.cholesky(0.0 * x[..., :1] + tf.eye(8)), "Cholesky"),  # Flex
        (tf.math.bessel_i0, "BesselI0"),  # custom
    ],
)
def test_foreign_operators_are_named_in_one_line(operation, name, drawn, tmp_path, capfd):
    path = str(tmp_path / "x" / "network.tflite")
    with pytest.raises(UserError) as caught:
        tflite.write(
            foreign_network(operation), [drawn.images[0]], path, tflite.TFLiteOptions((8, 8))
        )
    line = str(caught.value)
    assert line.startswith(f"{path}: TFLite has no operator for {name};") and "\n" not in line
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""


def test_a_converter_that_falls_back(tmp_path):
    """Where settings let TensorFlow's operators pass, the file has them as custom ones."""

    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8])])
    def network(x):
        return tf.linalg.cholesky(x)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS,
        tf.lite.OpsSet.SELECT_TF_OPS,
    ]
    assert model_file.foreign(model_file.unpack(converter.convert())) == ["Cholesky"]
    with pytest.raises(UserError, match="no operator for Cholesky"):
        tflite_converter.convert(converter, "x.tflite")


def test_other_errors_of_the_converter_stay(tmp_path):
    class Converter:
        def convert(self):
            raise tflite_converter.ConverterError("something else")

    with pytest.raises(tflite_converter.ConverterError, match="something else"):
        tflite_converter.convert(Converter(), "x.tflite")
