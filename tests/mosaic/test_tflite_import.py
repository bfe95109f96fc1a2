import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import mlperf
from mosaic import checkpoints, export, tflite_import
from mosaic.checkpoints import variable_name
from mosaic.deeplab import deeplab
from mosaic.errors import UserError
from mosaic.layers import (
    ChannelSlice,
    Norm,
    PoolToBins,
    ResizeLike,
    conv_bn,
    depthwise_bn,
    resize_bilinear,
)
from mosaic.network import image_input, mosaic
from mosaic.predictors import of_tflite

SIZE = (32, 48)
PUBLISHED = (
    (mosaic, mlperf.R4, "mosaic_r4_ade20k_uint8.tflite", 0.975),
    (deeplab, mlperf.DEEPLAB, "deeplabv3_mnv2_ade20k_uint8.tflite", 0.97),
)


def tiny(
    dilation=2,
    width=40,  # converters leave kernels of less than 1,024 values in float
    bins=2,
    activation="relu6",
    start=0,
    classes=3,
    half_pixel_centers=True,
    normalization="imagenet",
    shared=False,
    stride=2,
    map_first=True,
):
    """Every kind of step that the networks have, in a few layers."""
    norm = Norm()
    images, x = image_input(normalization)
    x = conv_bn(norm, "stem", 8, 3, stride, activation=activation)(x)
    high = x
    x = depthwise_bn(norm, "spatial", 3, 2, activation=activation)(x)
    x = shortcut = conv_bn(norm, "expand", width, activation=None)(x)
    x = depthwise_bn(norm, "atrous", 3, dilation=dilation)(x)
    x = conv_bn(norm, "project", width, activation=None)(x)
    x = tf_keras.layers.Add(name="residual")([x, shortcut])
    branches = [] if not map_first else [x]
    common = depthwise_bn(norm, "group", 3)
    for level in (bins, 2 * bins):
        pooled = PoolToBins(level, name=f"pool{level}")(x)
        part = ChannelSlice(start, width // 2, name=f"slice{level}")(pooled)
        part = (common if shared else depthwise_bn(norm, f"group{level}", 3))(part)
        branches.append(ResizeLike(half_pixel_centers, name=f"resize{level}")([part, x]))
    pooled = tf_keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    pooled = conv_bn(norm, "pooling", 4)(pooled)
    branches.append(ResizeLike(half_pixel_centers, name="resize")([pooled, x]))
    if not map_first:
        branches.append(x)
    x = tf_keras.layers.Concatenate(name="concat")(branches)
    x = ResizeLike(half_pixel_centers, name="resize_high")([x, high])
    x = conv_bn(norm, "low", 8)(x)
    x = tf_keras.layers.Add(name="merge")([high, x])
    logits = tf_keras.layers.Conv2D(classes, 1, name="logits")(x)
    return tf_keras.Model(images, logits, name="tiny")


def randomized(model, seed=0):
    """Gives batch norm and biases values that folding has to deal with."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        name = variable_name(variable).split("/")[-1]
        low, high = {"gamma": (0.5, 2), "moving_variance": (0.2, 2)}.get(name, (-0.5, 0.5))
        variable.assign(rng.uniform(low, high, variable.shape))
    return model


@pytest.fixture(scope="module")
def images():
    blocks = np.random.default_rng(3).integers(0, 256, (4, 8, 12, 3))
    return list(np.kron(blocks, np.ones((1, 4, 4, 1))).astype(np.uint8))


@pytest.fixture(scope="module")
def network():
    return randomized(tiny())


@pytest.fixture(scope="module")
def files(network, images, tmp_path_factory):
    """The tiny network in every number format."""
    folder = tmp_path_factory.mktemp("files")
    for quantize in export.LIMITS:
        path = folder / f"{quantize}.tflite"
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(export.LIMITS, quantize, export.Limit(None, 0.0))
            export.tflite(network, images[:1], str(path), SIZE, "logits", quantize, lambda: images)
    return folder


def answers(model, images, training=False):
    return model(tf.constant(np.stack(images), tf.float32), training=training).numpy()


@pytest.mark.parametrize(
    ("quantize", "tolerance"), [("none", 1e-4), ("float16", 0.03), ("dynamic", 0.3), ("int8", 0.6)]
)
def test_exports_of_every_number_format_come_back(network, images, files, quantize, tolerance):
    model = tiny()
    tflite_import.load(model, str(files / f"{quantize}.tflite"))
    expected = answers(network, images)
    assert np.std(expected) > 1
    np.testing.assert_allclose(answers(model, images), expected, atol=tolerance)


@pytest.mark.parametrize("quantize", ["dynamic", "int8"])
def test_weights_are_those_of_the_float_file_within_half_a_step(files, quantize):
    exact = tflite_import.read(tiny(), str(files / "none.tflite")).arrays
    close = tflite_import.read(tiny(), str(files / f"{quantize}.tflite")).arrays
    kernel = "project_conv/kernel"
    step = np.max(np.abs(exact[kernel]), axis=(0, 1, 2)) / 127
    difference = np.abs(close[kernel] - exact[kernel])
    assert np.max(difference) > 0
    assert np.all(difference <= step * 0.51)


def test_unfolding_keeps_inference_and_makes_training_mode_sound(images, files):
    model = tiny()
    tflite_import.load(model, str(files / "none.tflite"))
    before = answers(model, images)
    assert np.max(np.abs(answers(model, images, training=True) - before)) > 0.5
    tflite_import.load(model, str(files / "none.tflite"), iter(images))
    np.testing.assert_allclose(answers(model, images), before, atol=1e-3)
    np.testing.assert_allclose(answers(model, images, training=True), before, atol=1e-2)


def test_calibration_measures_what_each_batch_norm_sees(images):
    model = randomized(tiny(shared=True))
    before = answers(model, images)
    layer = model.get_layer("expand_bn")
    seen = answers(tf_keras.Model(model.inputs, layer.input), images)
    tflite_import.calibrate(model, images)
    np.testing.assert_allclose(layer.moving_mean, seen.mean((0, 1, 2)), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(layer.moving_variance, seen.var((0, 1, 2)), rtol=1e-3)
    np.testing.assert_allclose(answers(model, images), before, atol=1e-3)


def test_calibration_needs_images(files):
    model = tiny()
    before = model.get_layer("logits").kernel.numpy()
    with pytest.raises(UserError, match="at least one image"):
        tflite_import.calibrate(model, [])
    with pytest.raises(UserError, match="no images"):
        tflite_import.load(model, str(files / "none.tflite"), iter(()))
    np.testing.assert_array_equal(model.get_layer("logits").kernel, before)


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({"stride": 1}, "stem_conv"),
        ({"activation": "relu"}, "stem_conv"),
        ({"width": 16}, "expand_conv"),
        ({"dilation": 1}, "atrous_depthwise"),
        ({"bins": 4}, "pool8"),
        ({"start": 6}, "slice2"),
        ({"half_pixel_centers": False}, "resize2"),
        ({"map_first": False}, "concat"),
        ({"classes": 4}, "logits"),
        ({"normalization": "symmetric"}, "normalization"),
        ({"shared": True}, "group_depthwise"),
    ],
    ids=str,
)
def test_a_file_of_another_network_is_refused(files, settings, first):
    model = tiny(**settings)
    before = [variable.numpy() for variable in model.variables]
    with pytest.raises(UserError) as error:
        tflite_import.load(model, str(files / "none.tflite"))
    assert first in str(error.value).split("none.tflite")[1]
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, model.variables))


def test_part_of_a_network(network, files):
    model = tiny(classes=4)
    fresh = model.get_layer("logits").kernel.numpy()
    prefixes = ("stem", "spatial", "expand", "low")
    loaded = tflite_import.load(model, str(files / "none.tflite"), prefixes=prefixes)
    assert {name.split("_")[0] for name in loaded.arrays} == set(prefixes)
    np.testing.assert_array_equal(model.get_layer("logits").kernel, fresh)
    with pytest.raises(UserError, match="no layer of the network begins with 'high'"):
        tflite_import.load(model, str(files / "none.tflite"), prefixes=("stem", "high"))
    with pytest.raises(UserError, match="first at 'stem_conv'"):
        tflite_import.load(tiny(stride=1), str(files / "none.tflite"), prefixes=("low",))


@pytest.mark.parametrize(("build", "settings", "file", "least"), PUBLISHED)
def test_published_files_agree_with_their_float_networks(
    shared, build, settings, file, least, record_property
):
    path = shared / "models" / file
    model = build(**settings)
    photos = sorted((shared / "data" / "photos").iterdir())
    pictures = [np.asarray(tf.io.decode_jpeg(photo.read_bytes())) for photo in photos[::3]]
    tflite_import.load(model, str(path))
    run = of_tflite(str(path)).run
    folded = tf.function(model)
    before = [folded(tf.constant(p[np.newaxis], tf.float32)).numpy() for p in pictures]
    equal = [
        np.mean(
            np.argmax(resize_bilinear(logits, (512, 512), False), -1) == run(picture[np.newaxis])[0]
        )
        for logits, picture in zip(before, pictures)
    ]
    assert np.mean(equal) >= least
    tflite_import.calibrate(model, pictures)
    unfolded = [folded(tf.constant(p[np.newaxis], tf.float32)).numpy() for p in pictures]
    change = max(np.max(np.abs(a - b)) for a, b in zip(unfolded, before))
    assert change < 1e-3
    figures = {"images": len(equal), "mean": np.mean(equal), "least": min(equal), "change": change}
    for name, value in figures.items():
        record_property(f"{file}_{name}", float(value))
    training = answers(model, pictures, training=True)
    assert np.mean(training.argmax(-1) == np.concatenate(unfolded).argmax(-1)) > 0.99


def test_a_file_loads_like_a_checkpoint(tmp_path, small_network, drawn):
    path = tmp_path / "network.tflite"
    export.tflite(small_network, [drawn.images[0]], str(path), (64, 96))
    model = mosaic(3, bins=(1, 4))
    found = checkpoints.load(model, str(path), images=list(drawn.images))
    assert found.form == "tflite"
    want = small_network(drawn.images, training=False)
    np.testing.assert_allclose(model(drawn.images, training=False), want, atol=1e-3)
