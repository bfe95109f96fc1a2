"""What a TFLite input takes, whatever its numbers and its normalisation."""

import numpy as np
import pytest
import tensorflow as tf

from mosaic.inference.file_predictors import of_file
from mosaic.inference.tflite_input import preparation
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.model_file import opened
from mosaic.utils.errors import UserError


def test_int8_input():
    """Bytes straight in: shifted by 128."""
    _assert_prepared((np.int8, (0.0, 0), None), [-128, -1, 0, 127])


def _assert_prepared(arguments, expected):
    """What an input takes for grey pixels of 0, 127, 128 and 255."""
    images = np.array([0, 127, 128, 255], np.uint8)[:, np.newaxis].repeat(3, 1)
    prepared = preparation("x.tflite", *arguments)[0](images)
    assert prepared.dtype == arguments[0]
    np.testing.assert_array_equal(prepared[:, 0], expected)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # Real numbers of about -1..1, as MLPerf's files have them: bytes, unless told otherwise.
        ((np.uint8, (1 / 64, 100), None), [0, 127, 128, 255]),
        # Of this project's files: pixels, and in older ones pixels less a centre.
        ((np.uint8, (1.0, 0), None), [0, 127, 128, 255]),
        ((np.int8, (1.0, -128), None), [-128, -1, 0, 127]),
        ((np.uint8, (1.0, 114), None), [0, 127, 128, 255]),
        ((np.int8, (1.0, -14), None), [-128, -1, 0, 127]),
        ((np.uint8, (1 / 64, 100), "none"), [0, 127, 128, 255]),
        ((np.uint8, (1 / 64, 100), "symmetric"), [36, 100, 100, 164]),
        ((np.int8, (1 / 50, 10), "symmetric"), [-40, 10, 10, 60]),
        ((np.int8, (1 / 50, 10), "imagenet"), [-96, 13, 14, 122]),
        # Of about 0..255, in other steps than those of bytes.
        ((np.int8, (2.0, 0), None), [0, 64, 64, 127]),
        ((np.uint8, (0.98, 0), None), [0, 130, 131, 255]),
        ((np.uint8, (1.0001, 0), None), [0, 127, 128, 255]),
        ((np.int16, (0.01, 0), "symmetric"), [-100, 0, 0, 100]),
        ((np.int16, (0.008, 0), None), [0, 15875, 16000, 31875]),
    ],
)
def test_quantized_inputs(arguments, expected, monkeypatch):
    monkeypatch.setattr(tflite_metadata, "read", lambda path: tflite_metadata.Metadata(None, None))
    _assert_prepared(arguments, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.uint8, (0.0, 0), "imagenet"), "its uint8 input has no scale .*leave out --norm"),
        ((np.int16, (0.0, 0), None), "its int16 input has no scale"),
        ((np.uint8, (1.0, 0), "other"), "--normalization=other: not one of"),
    ],
)
def test_inputs_that_cannot_be_quantized(arguments, message):
    with pytest.raises(UserError, match=message):
        preparation("x.tflite", *arguments)


@pytest.mark.parametrize("normalization", [None, "symmetric"])
def test_int16_file(tmp_path, normalization):
    """Activations of 16 bits and weights of 8: pixels in, or numbers from -1 to 1."""
    module = tf.Module()
    module.kernel = tf.Variable(tf.reshape(tf.eye(3), [1, 1, 3, 3]))
    module.serve = tf.function(
        lambda x: tf.nn.conv2d(x, module.kernel, 1, "SAME"), [tf.TensorSpec([1, 4, 4, 3])]
    )
    real = np.linspace(-1, 1, 48) if normalization else np.linspace(0, 255, 48)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.serve.get_concrete_function()], module
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: [[real.reshape(1, 4, 4, 3).astype(np.float32)]]
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ]
    converter.inference_input_type = converter.inference_output_type = tf.int16
    path = tmp_path / "int16.tflite"
    path.write_bytes(converter.convert())
    image = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), np.uint8)
    if normalization:
        with pytest.raises(UserError, match="its int16 input is not normalised inside"):
            of_file(opened(str(path)))
    answer = of_file(opened(str(path)), normalization).run(image)
    expected = image / 127.5 - 1 if normalization else image
    np.testing.assert_allclose(answer, expected, atol=np.abs(real).max() / 1000)


def test_float_file_without_normalization(tmp_path):
    """Its input is what `normalization` says, and without that an error."""

    @tf.function(input_signature=[tf.TensorSpec([1, 4, 4, 3])])
    def network(images):
        kernel = tf.reshape(tf.eye(3), [1, 1, 3, 3])
        return tf.nn.conv2d(images, kernel, 1, "SAME")

    path = tmp_path / "plain.tflite"
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    path.write_bytes(converter.convert())
    with pytest.raises(UserError, match=r"give --normalization=imagenet\|symmetric\|unit\|none"):
        of_file(opened(str(path)))
    image = np.full((1, 4, 4, 3), 255, np.uint8)
    for name, value in (("symmetric", 1.0), ("none", 255.0)):
        np.testing.assert_allclose(of_file(opened(str(path)), name).run(image), value)


@pytest.mark.parametrize(
    ("low", "high", "known"),
    [
        (-1.0, 1.0, "symmetric"),
        (-0.98, 0.95, "symmetric"),
        (-2.1179, 2.64, "imagenet"),
        (0.0, 255.0, "none"),
        (0.0, 1.0, "unit"),
        (0.0, 2.0, None),
        (-2.1179, 2.0, None),
    ],
)
def test_float_input_that_is_quantized_at_once(tmp_path, low, high, known):
    """The converter's default for 8-bit files; the range tells how images are normalised."""
    module = tf.Module()
    module.kernel = tf.Variable(tf.reshape(tf.eye(3), [1, 1, 3, 3]))
    module.serve = tf.function(
        lambda x: tf.nn.conv2d(x, module.kernel, 1, "SAME"), [tf.TensorSpec([1, 4, 4, 3])]
    )
    real = np.linspace(low, high, 48).reshape(1, 4, 4, 3).astype(np.float32)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.serve.get_concrete_function()], module
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: [[real]]
    path = tmp_path / "file.tflite"
    path.write_bytes(converter.convert())
    image = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), np.uint8)
    if known is None:
        with pytest.raises(
            UserError, match=r"give --normalization=imagenet\|symmetric\|unit\|none"
        ):
            of_file(opened(str(path)))
        return
    found = of_file(opened(str(path)))
    assert found.normalization == (None if known == "none" else known)
    expected = of_file(opened(str(path)), known).run(image)
    np.testing.assert_array_equal(found.run(image), expected)
    assert np.ptp(expected) > 0.5 * (high - low)


@pytest.mark.parametrize(
    ("mean", "std", "name"),
    [
        ([127.5], [127.5], "symmetric"),
        ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], "imagenet"),
        ([0.0], [1.0], None),
        ([127.5], [63.75], "(x - 127.5) / 63.75"),
    ],
)
def test_normalization_that_a_file_tells(monkeypatch, mean, std, name):
    said = tflite_metadata.Metadata(None, (mean, std))
    monkeypatch.setattr(tflite_metadata, "read", lambda path: said)
    assert preparation("x.tflite", np.float32, (0.0, 0), None)[1] == name
    assert preparation("x.tflite", np.float32, (0.0, 0), "imagenet")[1] == "imagenet"
    assert preparation("x.tflite", np.uint8, (0.0, 0), None)[1] is None
