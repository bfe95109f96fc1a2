"""TFLite files that others wrote: run where their meaning is certain, told in a line where not."""

import tarfile

import numpy as np
import pytest
import tensorflow as tf

from mosaic import cli
from mosaic.export import saved_model, tflite
from mosaic.inference import predictors
from mosaic.inference.file_predictors import TFLitePredictor, of_file
from mosaic.inference.interpreters import TFLiteInterpreter
from mosaic.models.inputs import NORMALIZATIONS
from mosaic.models.resizing import RULES, resize_bilinear
from mosaic.tflite.model_file import TFLiteModel, opened
from mosaic.utils.errors import UserError

SIZE = (64, 96)


IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3), np.uint8)


def converted(tmp_path, function, shape=(1, 8, 12, 3), saved=False, dtype=tf.float32):
    """A file of a function of images."""
    module = tf.Module()
    module.serve = tf.function(
        function, input_signature=[tf.TensorSpec(shape, dtype, name="images")]
    )
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


def test_numbers_of_half_precision_are_taken(tmp_path):
    file = converted(tmp_path, lambda x: tf.cast(x, tf.float32) * 2.0, dtype=tf.float16)
    np.testing.assert_array_equal(of_file(file, "none")(IMAGES), IMAGES.argmax(-1))


def test_numbers_from_0_to_1_are_given(tmp_path):
    """As most files from Keras and of portraits take them."""
    file = converted(tmp_path, lambda x: tf.cast(x[..., 0] > 0.5, tf.int32))
    predictor = of_file(file, "unit")
    np.testing.assert_array_equal(predictor(IMAGES), IMAGES[..., 0] > 127)
    assert predictor.normalization == "unit"


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
        (lambda x: x * 2.0, (2, 8, 12, 3), r"is 2 images at once; export it for one image"),
        (lambda x: (x, x[..., 0]), (1, 8, 12, 3), r"gives .*\[1, 8, 12\].*; convert it with one"),
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


@pytest.fixture(scope="module")
def files(small_network, drawn, tmp_path_factory):
    """The same network in every form."""
    folder = tmp_path_factory.mktemp("forms")
    images = list(drawn.images[:1])
    saved_model.write(small_network, images, str(folder / "saved_model"))
    for output in tflite.OUTPUTS:
        tflite.write(
            small_network,
            images,
            str(folder / f"{output}.tflite"),
            tflite.TFLiteOptions(SIZE, output=output),
        )
    return folder


def _agreement(one, other):
    return np.mean(np.asarray(one) == np.asarray(other))


@pytest.mark.parametrize(
    "name", ["saved_model", "logits.tflite", "logits_stride4.tflite", "labels.tflite"]
)
def test_every_form_answers_alike(files, small_network, drawn, name):
    network = predictors.of_network(small_network)
    predictor = of_file(opened(str(files / name)))
    images = drawn.images[:3]
    answer = predictor(images)
    assert answer.dtype == tf.int32
    assert answer.shape == (3, *SIZE)
    assert _agreement(answer, network(images)) > 0.999
    assert predictor.format == ("saved_model" if name == "saved_model" else "tflite")
    assert predictor.num_classes == (None if name.startswith("labels") else 3)


@pytest.mark.parametrize("labels_first", [False, True])
def test_other_sizes(files, small_network, labels_first):
    """A fixed size is what images are resized to; the answer has the size that is asked for."""
    images = np.random.default_rng(0).integers(0, 256, (2, 80, 100, 3), np.uint8)
    network = predictors.of_network(small_network)
    predictor = of_file(opened(str(files / "logits.tflite")))
    assert predictor.input_size == SIZE
    assert network.input_size is None
    answers = [
        p(images, (40, 50), input_size=SIZE, argmax_before_resize=labels_first)
        for p in (network, predictor)
    ]
    assert answers[0].shape == (2, 40, 50)
    assert _agreement(*answers) > 0.99


@pytest.mark.parametrize("rule", sorted(RULES))
def test_smaller_logits_are_resized_as_the_file_resizes(tmp_path, rule):
    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3])])
    def network(images):
        small = tf.nn.avg_pool2d(images, 4, 4, "VALID")
        return resize_bilinear(small, (4, 4), rule)

    path = tmp_path / "small.tflite"
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    path.write_bytes(converter.convert())
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    expected = resize_bilinear(network(image.astype(np.float32)), (8, 8), rule)
    logits = TFLitePredictor(TFLiteModel.open(path), "none").logits(image, (8, 8))
    np.testing.assert_allclose(logits, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "not a TFLite file"),
        (b"xxxxTFL3" + bytes(64), "cannot be read"),
    ],
)
def test_bad_tflite_files(tmp_path, content, message):
    path = tmp_path / "bad.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"bad.tflite: .*{message}"):
        of_file(opened(str(path)))


def test_saved_model_in_an_archive(files, drawn, tmp_path):
    """As the Model Garden publishes them."""
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(files / "saved_model", "inner/saved_model")
    found, expected = (of_file(opened(str(p))) for p in (path, files / "saved_model"))
    assert found.format == "saved_model"
    np.testing.assert_array_equal(found(drawn.images[:1]), expected(drawn.images[:1]))


def test_saved_model_of_labels_with_a_channel(tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda inputs: {"labels": tf.argmax(inputs, -1)[..., tf.newaxis]},
        [tf.TensorSpec([None, None, None, 3], tf.float32, "inputs")],
    )
    tf.saved_model.save(module, str(tmp_path), {"serving_default": module.serve})
    predictor = of_file(opened(str(tmp_path)))
    assert predictor.num_classes is None
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    np.testing.assert_array_equal(predictor(images), images.argmax(-1))


def test_bad_saved_models(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="cannot be loaded"):
        of_file(opened(str(tmp_path)))
    module = tf.Module()
    module.serve = tf.function(lambda x: {"y": x}, [tf.TensorSpec([None, 5], name="x")])
    tf.saved_model.save(module, str(tmp_path / "other"), {"serving_default": module.serve})
    with pytest.raises(UserError, match=r"its input of \[None, 5\] is not RGB images"):
        of_file(opened(str(tmp_path / "other")))


def test_a_saved_model_that_classifies_is_told(tmp_path):
    module = tf.Module()
    spec = tf.TensorSpec([None, 8, 8, 3], name="x")
    module.serve = tf.function(lambda x: {"y": tf.reduce_mean(x, [1, 2])}, [spec])
    tf.saved_model.save(module, str(tmp_path), {"serving_default": module.serve})
    with pytest.raises(UserError, match=r"its output of \[-1, 3\] .*is not a segmentation"):
        of_file(opened(str(tmp_path)))


def _saved(tmp_path, function, shape=(None, None, None, 3), dtype=tf.float32, **settings):
    """A SavedModel of a function of images, as a predictor."""
    module = tf.Module()
    spec = tf.TensorSpec(shape, dtype, name="x")
    module.serve = tf.function(lambda x: {"y": function(x)}, [spec])
    tf.saved_model.save(module, str(tmp_path), {"serving_default": module.serve})
    return of_file(str(tmp_path), **settings)


@pytest.mark.parametrize(
    "function, shape",
    [
        (lambda x: tf.reshape(x, [1, -1, 3]), (1, 8, 12, 3)),
        (lambda x: tf.reshape(x, [tf.shape(x)[0], -1, 3]), (None, None, None, 3)),
        (lambda x: tf.reshape(tf.argmax(x, -1), [1, -1]), (1, 8, 12, 3)),
        (lambda x: tf.transpose(x, [0, 3, 1, 2]), (None, None, None, 3)),
        (lambda x: x, (None, 3, None, None)),
        (lambda x: tf.argmax(x, 1), (1, 3, 8, 12)),
        (lambda x: x[0], (1, 8, 12, 3)),
    ],
    ids=["flat", "flat of any size", "flat labels", "first", "first both", "labels", "no batch"],
)
def test_saved_models_of_every_form_answer_alike(tmp_path, function, shape):
    predictor = _saved(tmp_path, function, shape)
    np.testing.assert_array_equal(predictor(IMAGES), IMAGES.argmax(-1))


@pytest.mark.parametrize("channels", [slice(0, 1), 0], ids=["a channel", "no channel"])
def test_a_sigmoid_in_a_saved_model_gives_two_classes(tmp_path, channels):
    predictor = _saved(tmp_path, lambda x: tf.sigmoid(x[..., channels] - 100.0))
    np.testing.assert_array_equal(predictor(IMAGES), IMAGES[..., 0] > 100)


@pytest.mark.parametrize(
    "function, shape, message",
    [
        (lambda x: x[:, :5, :4, 0], (1, 8, 32, 3), r"\[1, 5, 4\] .*is not a segmentation"),
        (lambda x: x, (1, 8, 12, 4), r"its input of \[1, 8, 12, 4\] is not RGB"),
    ],
)
def test_other_saved_models_are_told(tmp_path, function, shape, message):
    with pytest.raises(UserError, match=message):
        _saved(tmp_path, function, shape)


def test_a_saved_model_from_elsewhere_may_be_fed_normalized(tmp_path):
    def brightness(x):
        return tf.cast(tf.cast(x[..., 0], tf.float32) > 0.0, tf.int32)

    predictor = _saved(tmp_path, brightness, normalization="symmetric")
    np.testing.assert_array_equal(predictor(IMAGES), IMAGES[..., 0] > 127.5)
    assert predictor.normalization == "symmetric"
    with pytest.raises(UserError, match=r"takes the image's bytes; leave out --normalization"):
        _saved(tmp_path, brightness, dtype=tf.uint8, normalization="symmetric")


def test_float16_images_are_normalized_in_float32(tmp_path):
    predictor = _saved(tmp_path, lambda x: x + 0, dtype=tf.float16, normalization="imagenet")
    mean, std = NORMALIZATIONS["imagenet"]
    expected = ((IMAGES - np.float32(mean)) / np.float32(std)).astype(np.float16)
    np.testing.assert_array_equal(predictor.compute(IMAGES), expected)


@pytest.mark.parametrize("dtype", [tf.float16, tf.float64, tf.int32, tf.int64])
def test_saved_models_take_images_in_every_type_that_holds_them(tmp_path, dtype):
    predictor = _saved(tmp_path, lambda x: tf.cast(x, tf.float32), dtype=dtype)
    np.testing.assert_array_equal(predictor(IMAGES), IMAGES.argmax(-1))


@pytest.mark.parametrize(
    "shape, dtype, message",
    [
        ((None, 8, 12, 3), tf.int8, "is of the type int8; export it for float32 or uint8"),
        ((4, 8, 12, 3), tf.float32, "is 4 images at once; export it for one image"),
    ],
)
def test_what_is_wrong_with_a_saved_models_input_is_told(tmp_path, shape, dtype, message):
    with pytest.raises(UserError, match=message):
        _saved(tmp_path, lambda x: tf.cast(x, tf.float32), shape, dtype)


def test_nan_of_a_saved_model_is_told(tmp_path):
    predictor = _saved(tmp_path, lambda x: tf.math.log(x - 300.0))
    with pytest.raises(UserError, match="its output holds NaN"):
        predictor.coarse(IMAGES[0])
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        predictor(IMAGES)
    assert cli.explain(error.value) == (2, f"{tmp_path}: its output holds NaN")


def test_a_saved_model_of_several_signatures_is_told_with_them(tmp_path):
    module = tf.Module()
    module.serve = tf.function(lambda x: {"y": x}, [tf.TensorSpec([1, 8, 8, 3], name="x")])
    tf.saved_model.save(module, str(tmp_path), {"big": module.serve, "small": module.serve})
    with pytest.raises(UserError, match=r"no signature serving_default .*there: big, small"):
        of_file(str(tmp_path))


def test_a_saved_model_that_is_cut_off_is_told(tmp_path):
    module = tf.Module()
    module.v = tf.Variable(tf.zeros([1000]))
    tf.saved_model.save(module, str(tmp_path))
    (tmp_path / "variables/variables.data-00000-of-00001").write_bytes(bytes(10))
    with pytest.raises(UserError, match="the SavedModel cannot be loaded"):
        of_file(str(tmp_path))


def test_a_saved_model_of_other_numbers_is_told(tmp_path):
    with pytest.raises(UserError, match="neither class indices nor probabilities"):
        _saved(tmp_path, lambda x: x[..., :1] - 100.5)(IMAGES)


def test_saved_model_of_a_single_image_and_labels(tmp_path):
    """As the Garden exports them: a batch of 1, uint8, and more outputs than the logits."""
    module = tf.Module()
    spec = tf.TensorSpec([1, 8, 8, 3], tf.uint8, "inputs")
    module.serve = tf.function(
        lambda inputs: {"logits": tf.cast(inputs, tf.float32), "image_info": tf.zeros([1, 4, 2])},
        [spec],
    )
    tf.saved_model.save(module, str(tmp_path), {"serving_default": module.serve})
    predictor = of_file(opened(str(tmp_path)))
    assert predictor.input_size == (8, 8)
    assert predictor.num_classes == 3
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    np.testing.assert_array_equal(predictor(images), images.argmax(-1))
