"""TFLite files that others wrote: run where their meaning is certain, told in a line where not."""

import numpy as np
import pytest
import tensorflow as tf

from mosaic.inference.file_predictors import of_file
from mosaic.inference.interpreters import TFLiteInterpreter
from mosaic.tflite.model_file import opened
from mosaic.utils.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3), np.uint8)


def converted(tmp_path, function, shape=(1, 8, 12, 3), saved=False):
    """A file of a function of images."""
    module = tf.Module()
    module.serve = tf.function(function, input_signature=[tf.TensorSpec(shape, name="images")])
    concrete = module.serve.get_concrete_function()
    if saved:
        tf.saved_model.save(module, str(tmp_path / "saved"), {"serving_default": module.serve})
        converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    else:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    path = tmp_path / "x.tflite"
    path.write_bytes(converter.convert())
    return opened(str(path))


def test_flat_logits(tmp_path):
    file = converted(tmp_path, lambda x: tf.reshape(x * 2.0, [1, -1, 3]))
    np.testing.assert_array_equal(of_file(file, "none")(IMAGES), IMAGES.argmax(-1))


def test_channels_first_in_and_out(tmp_path):
    file = converted(tmp_path, lambda x: x * 2.0, (1, 3, 8, 12))
    predictor = of_file(file, "none")
    assert predictor.input_size == (8, 12)
    np.testing.assert_array_equal(predictor(IMAGES), IMAGES.argmax(-1))


def test_a_sigmoid_gives_two_classes(tmp_path):
    file = converted(tmp_path, lambda x: tf.sigmoid(x[..., :1] - 100.0))
    np.testing.assert_array_equal(of_file(file, "none")(IMAGES), IMAGES[..., 0] > 100)


@pytest.mark.parametrize("size", [(8, 12), (20, 16)])
def test_files_for_any_size_normalise_inside(tmp_path, size):
    """As the converter makes them of this project's SavedModels."""

    def network(images):
        x = tf.image.resize((images - 127.5) / 127.5, tf.shape(images)[1:3] // 2)
        return {"logits": tf.image.resize(x, tf.shape(images)[1:3])}

    predictor = of_file(converted(tmp_path, network, (None, None, None, 3), saved=True))
    assert predictor.input_size is None
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    expected = network(tf.constant(images, tf.float32))["logits"].numpy().argmax(-1)
    assert np.mean(predictor(images).numpy() == expected) > 0.99


@pytest.mark.parametrize(
    ("function", "shape", "message"),
    [
        (lambda x: tf.reduce_mean(x, [1, 2]), (1, 8, 12, 3), r"\[1, 3\] .* is not a segmentation"),
        (lambda x: x[:, :5, :4, 0], (1, 8, 32, 3), r"\[1, 5, 4\] .* is not a segmentation"),
        (lambda x: x * 2.0, (1, 8, 12, 4), r"its input of \[1, 8, 12, 4\] is not RGB"),
    ],
)
def test_other_files_are_told(tmp_path, function, shape, message):
    with pytest.raises(UserError, match=message):
        of_file(converted(tmp_path, function, shape), "none")


def test_nan_is_told(tmp_path):
    file = converted(tmp_path, lambda x: tf.math.log(x - 300.0))
    with pytest.raises(UserError, match=r"x.tflite: its output of \[1, 8, 12, 3\] holds NaN"):
        of_file(file, "none")(IMAGES)


def test_the_delegates_log_is_not_shown(tmp_path, capfd):
    file = converted(tmp_path, lambda x: x * 2.0)
    capfd.readouterr()
    of_file(file, "none")(IMAGES)
    assert capfd.readouterr().err == ""


def test_what_xnnpack_refuses_runs_on_plain_kernels(shared, capsys):
    path = str(shared("models/user_deeplab_dm05_513_uint8.tflite"))
    predictor = of_file(opened(path))
    predictor(np.zeros((1, 513, 513, 3), np.uint8))
    predictor(np.zeros((1, 513, 513, 3), np.uint8))
    assert not predictor.has_delegate
    assert capsys.readouterr().err.count("XNNPACK refuses this file") == 1


def test_a_refusal_is_told_once(tmp_path, monkeypatch, capsys):
    """Without a file at hand that XNNPACK refuses: the first preparation fails."""
    from mosaic.inference import interpreters

    file = converted(tmp_path, lambda x: x * 2.0)
    real, failures = interpreters.Interpreter, [RuntimeError("failed to delegate\nmore")]

    def refusing(**settings):
        if failures:
            raise failures.pop()
        return real(**settings)

    monkeypatch.setattr(interpreters, "Interpreter", refusing)
    interpreter = TFLiteInterpreter(str(file), 1)
    assert not interpreter.has_delegate
    assert capsys.readouterr().err.count("(failed to delegate); it runs on") == 1
