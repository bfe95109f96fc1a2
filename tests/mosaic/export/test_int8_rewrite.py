"""Networks rewritten for 8-bit files: the same function in integers that are fast."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import mlperf
from mosaic.export import int8_rewrite, tflite, tolerances
from mosaic.inference.file_predictors import TFLitePredictor
from mosaic.inference.predictors import fit, of_network
from mosaic.models import resizing
from mosaic.models.inputs import image_input
from mosaic.models.layers import Norm, conv_bn
from mosaic.models.mosaic import mosaic
from mosaic.tflite import weights as tflite_weights
from mosaic.tflite.model_file import TFLiteModel

SIZE = (64, 128)


@pytest.fixture(scope="module", params=["symmetric", "imagenet"])
def network(request):
    tf_keras.utils.set_random_seed(0)
    return mosaic(5, bins=(1, 2, 4), normalization=request.param)


@pytest.fixture(scope="module")
def images(drawn):
    return list(fit(tf.constant(drawn.images), SIZE).numpy())


@pytest.fixture(scope="module")
def files(network, images, tmp_path_factory):
    """8-bit files of logits and of labels."""
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tolerances.LIMITS, "int8", tolerances.Limit(None, 0.0))
        for output in ("logits", "labels"):
            path = str(folder / f"{output}.tflite")
            tflite.write(
                network,
                images[:1],
                path,
                tflite.TFLiteOptions(SIZE, output=output, quantize="int8"),
                representative=lambda: images,
            )
    return folder


def test_the_function_of_the_image_is_the_same(network, images):
    """But for the padding, which has one number where normalisation has three means."""
    forward = int8_rewrite.from_pixels(network)
    images = np.stack(images[:2]).astype(np.float32)
    expected = network(images, training=False).numpy()
    difference = np.abs(forward(tf.constant(images)).numpy() - expected)
    spread = np.std(expected)
    same_means = len(set(network.get_layer("normalize").mean)) == 1
    assert np.max(difference) < (0.05 if same_means else 0.2) * spread
    assert np.median(difference) < 0.005 * spread


def test_zeros_around_the_image_become_its_mean_colour(images):
    """As before Xception's first convolution, where 'SAME' would pad an even size otherwise."""
    tf_keras.utils.set_random_seed(0)
    inputs, x = image_input("symmetric")
    x = conv_bn(Norm(), "first", 4, 3, 2, padding="centred")(x)
    network = tf_keras.Model(inputs, conv_bn(Norm(), "last", 3)(x))
    pixels = np.stack(images[:2]).astype(np.float32)
    expected = network(pixels, training=False).numpy()
    forward = int8_rewrite.from_pixels(network)
    # The padding is 128 for 127.5.
    difference = np.abs(forward(tf.constant(pixels)).numpy() - expected)
    assert np.max(difference) < 0.02 * np.std(expected)
    assert np.max(difference[:, 1:, 1:]) < 1e-4 * np.std(expected)
    np.testing.assert_allclose(of_network(network).run(pixels), expected, atol=1e-4)


def test_the_mean_colour_gives_what_it_gives_the_network(network):
    """Also where the kernel is rounded: its bias takes away what it adds."""
    rounded = int8_rewrite.from_pixels(network, as_stored=True)
    mean = np.broadcast_to(network.get_layer("normalize").mean, (1, *SIZE, 3))
    found, expected, white = (
        np.asarray(function(tf.constant(pixels, tf.float32)))
        for function, pixels in ((rounded, mean), (network, mean), (network, 0 * mean + 255))
    )
    limit = 1e-3 * np.max(np.abs(white - expected))
    np.testing.assert_allclose(found[:, 4:-4, 4:-4], expected[:, 4:-4, 4:-4], atol=limit)


def test_bytes_as_they_are_and_by_scale_and_zero_point_give_the_same_classes(files, images):
    """Both ways in which people feed a file whose float twin takes 0..255."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(files / "labels.tflite"))
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero = source["quantization"]
    found = []
    for fed in (images[0], np.clip(np.round(images[0] / scale + zero), 0, 255)):
        interpreter.set_tensor(source["index"], fed[np.newaxis].astype(np.uint8))
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"]))
    assert len(np.unique(found[0])) > 1
    np.testing.assert_array_equal(*found)


def test_the_network_is_left_alone(network):
    before = [(len(layer.inbound_nodes), len(layer.outbound_nodes)) for layer in network.layers]
    weights = network.get_weights()
    int8_rewrite.from_pixels(network)
    after = [(len(layer.inbound_nodes), len(layer.outbound_nodes)) for layer in network.layers]
    assert after == before
    assert all(np.array_equal(a, b) for a, b in zip(weights, network.get_weights()))


def test_another_beginning_is_left_as_it_is():
    images = tf_keras.Input([None, None, 3])
    model = tf_keras.Model(images, tf_keras.layers.Conv2D(4, 3)(images))
    forward = int8_rewrite.from_pixels(model)
    pixels = tf.ones([1, 8, 8, 3])
    np.testing.assert_array_equal(forward(pixels), model(pixels))


def test_files_hold_nothing_but_what_is_fast(files):
    kinds = [kind for kind, _ in TFLiteModel.open(files / "labels.tflite").operators]
    assert kinds[:3] == ["QUANTIZE", "SUB", "CONV_2D"]
    assert kinds[-1] == "ARG_MAX"
    assert not {"AVERAGE_POOL_2D", "MUL", "SUB", "PADV2", "DEQUANTIZE"} & set(kinds[2:])


def test_a_global_average_keeps_its_value_beside_a_map_of_another_range(images, tmp_path):
    """Repeated over the map, it would get the map's scale without being brought to it."""
    tf_keras.utils.set_random_seed(0)
    source, x = image_input("symmetric")
    x = tf_keras.layers.Conv2D(8, 4, 4, activation="relu")(x)
    mean = tf_keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    mean = tf_keras.layers.Conv2D(8, 1, kernel_initializer="ones", activation="relu")(mean)
    both = tf_keras.layers.Concatenate()([resizing.ResizeLike()([mean, x]), 30.0 * x])
    logits = tf_keras.layers.Conv2D(2, 1, kernel_initializer="ones")(both[..., :8])
    model = tf_keras.Model(source, logits)
    path = str(tmp_path / "file.tflite")
    tflite.write(
        model,
        images,
        path,
        tflite.TFLiteOptions(SIZE, output="logits", quantize="int8"),
        representative=lambda: images,
    )
    found = TFLitePredictor(TFLiteModel.open(path)).run(images)
    expected = of_network(model).logits(tf.constant(np.stack(images)), SIZE).numpy()
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_steps_of_the_input_are_steps_of_the_image(files):
    """Whatever the darkest and the brightest pixel of the representative images."""
    from ai_edge_litert.interpreter import Interpreter

    source = Interpreter(str(files / "labels.tflite")).get_input_details()[0]
    assert source["dtype"] == np.uint8
    assert source["quantization"] == (1.0, 0)


def test_samples_span_the_range():
    grey = [np.full((4, 4, 3), value, np.uint8) for value in (90, 100)]
    (first,), (second,) = int8_rewrite.samples(iter(grey))
    assert (first.min(), first.max(), first[0, 3, 3, 0]) == (0, 255, 90)
    assert np.all(second == 100)
    assert second.dtype == np.float32
    assert np.all(grey[0] == 90)


def test_labels_are_the_argmax_of_the_resized_logits(files, images):
    labels = TFLitePredictor(TFLiteModel.open(files / "labels.tflite")).run(images)
    logits = TFLitePredictor(TFLiteModel.open(files / "logits.tflite")).run(images)
    assert len(np.unique(labels)) > 1
    np.testing.assert_array_equal(labels, logits.argmax(-1))


def test_pyramid_levels_share_their_averages(files):
    """4x8 pixels at stride 16 into 4 bins: windows of 1x2; into 2 bins: 2x2 of those."""
    model = TFLiteModel.open(files / "labels.tflite")
    kernels = [
        tuple(int(n) for n in model.graph.tensors[op.inputs[1]].shape[1:3])
        for kind, op in model.operators
        if kind == "DEPTHWISE_CONV_2D"
    ]
    assert sorted(kernel for kernel in kernels if max(kernel) < 3) == [(1, 2), (2, 2)]


def test_weights_come_back(files, network, images):
    model = mosaic(5, bins=(1, 2, 4), normalization=_normalization(network))
    tflite_weights.load(model, TFLiteModel.open(files / "logits.tflite"))
    images = tf.constant(np.stack(images[:2]), tf.float32)
    expected = network(images, training=False).numpy()
    difference = model(images, training=False).numpy() - expected
    assert np.std(difference) < 0.1 * np.std(expected)


def _normalization(network):
    return "symmetric" if len(set(network.get_layer("normalize").mean)) == 1 else "imagenet"


@pytest.mark.slow
def test_r4_exported_agrees_with_mlperfs_own_file(shared, tmp_path, record_property):
    own = str(shared("models/mosaic_r4_ade20k_uint8.tflite"))
    photos = sorted(shared("data/photos").iterdir())
    images = [np.asarray(tf.io.decode_jpeg(photo.read_bytes())) for photo in photos]
    model = mosaic(**mlperf.R4)
    tflite_weights.load(model, TFLiteModel.open(own))
    path = str(tmp_path / "r4.tflite")
    tflite.write(
        model,
        images[:1],
        path,
        tflite.TFLiteOptions((512, 512), output="labels", quantize="int8"),
        representative=lambda: images,
    )
    answers = [TFLitePredictor(TFLiteModel.open(file)).run(images) for file in (own, path)]
    equal = np.mean(answers[0] == answers[1], axis=(1, 2))
    record_property("r4_int8_images", len(equal))
    record_property("r4_int8_mean", float(np.mean(equal)))
    record_property("r4_int8_least", float(min(equal)))
    assert np.mean(equal) >= 0.96
