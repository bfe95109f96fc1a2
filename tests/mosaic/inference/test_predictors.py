"""Predictors: every form of model answers alike, and bad files are told."""

import tarfile

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from mosaic.export import saved_model, tflite
from mosaic.inference import predictors
from mosaic.inference.file_predictors import TFLitePredictor, of_file
from mosaic.inference.multiscale import average
from mosaic.models.pooling import PoolToBins
from mosaic.models.resizing import resize_bilinear
from mosaic.tflite.model_file import TFLiteModel, opened
from mosaic.utils.errors import UserError

SIZE = (64, 96)


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


def test_labels_first_is_nearest_neighbour(small_network):
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    network = predictors.of_network(small_network)
    answer = network(images, (32, 48), argmax_before_resize=True)
    whole = network(images).numpy()
    np.testing.assert_array_equal(answer, whole[:, 1::2, 1::2])


def test_logits_of_a_network_are_resized_before_the_decision(small_network, drawn):
    """Not the labels: at stride 4 they would come in blocks of 4x4."""
    labels = predictors.of_network(small_network)(drawn.images[:1]).numpy()[0]
    blocks = labels.reshape(16, 4, 24, 4)
    assert np.any(blocks != blocks[:, :1, :, :1])


@pytest.mark.parametrize("half_pixel_centers", [False, True])
def test_smaller_logits_are_resized_as_the_file_resizes(tmp_path, half_pixel_centers):
    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3])])
    def network(images):
        small = tf.nn.avg_pool2d(images, 4, 4, "VALID")
        return resize_bilinear(small, (4, 4), half_pixel_centers)

    path = tmp_path / "small.tflite"
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    path.write_bytes(converter.convert())
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    expected = resize_bilinear(network(image.astype(np.float32)), (8, 8), half_pixel_centers)
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


def test_images_that_are_too_small():
    """Also where another size was traced before, and where images are made smaller first."""
    source = tf_keras.Input([None, None, 3])
    features = tf_keras.layers.Conv2D(3, 1, 16, "same")(source)
    network = predictors.of_network(tf_keras.Model(source, PoolToBins(4)(features)))
    images = np.zeros((1, 64, 96, 3), np.uint8)
    network(images), network(np.zeros((1, 72, 96, 3), np.uint8))
    for small, settings in ((images[:, :40], {}), (images, {"input_size": (40, 96)})):
        with pytest.raises(UserError, match="images of 40x96 are too small: a feature map of 3x6"):
            network(small, **settings)
    with pytest.raises(UserError, match="images of 32x48 are too small"):
        average(network, scales=(0.5,))(images)
