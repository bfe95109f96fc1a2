"""The weights of TFLite files: every format, every kind of network, and others' files."""

import gin
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import mlperf
from mosaic import config
from mosaic.checkpoints import loading
from mosaic.export import tflite, tolerances
from mosaic.export.serving_module import Serving
from mosaic.inference.file_predictors import TFLitePredictor
from mosaic.models import batch_norm, mobilenet, resnet, xception
from mosaic.models.deeplab import deeplab
from mosaic.models.exchange import exchanged
from mosaic.models.inputs import NORMALIZATIONS, image_input
from mosaic.models.layers import Norm, conv_bn
from mosaic.models.lraspp import lraspp
from mosaic.models.mosaic import mosaic
from mosaic.models.resizing import ResizeAlways, ResizeLike, resize_bilinear, rule_of
from mosaic.models.variables import variable_name
from mosaic.tflite import graph, graph_from_file, model_file
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite import weights as tflite_weights
from mosaic.tflite.model_file import TFLiteModel
from mosaic.training.train_loop import train  # noqa: F401 - which the configurations bind
from mosaic.utils.errors import UserError
from tiny_network import answers, randomized, tiny

SIZE = (32, 48)
PUBLISHED = (
    (mosaic, mlperf.R4, "mosaic_r4_ade20k_uint8.tflite", 0.975),
    (deeplab, mlperf.DEEPLAB, "deeplabv3_mnv2_ade20k_uint8.tflite", 0.97),
)


@pytest.fixture(scope="module")
def network():
    return randomized(tiny())


@pytest.fixture(scope="module")
def files(network, images, tmp_path_factory):
    """The tiny network in every number format."""
    folder = tmp_path_factory.mktemp("files")
    for quantize in tolerances.LIMITS:
        path = folder / f"{quantize}.tflite"
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(tolerances.LIMITS, quantize, tolerances.Limit(None, 0.0))
            tflite.write(
                network,
                images[:1],
                str(path),
                tflite.TFLiteOptions(SIZE, output="logits", quantize=quantize),
                representative=lambda: images,
            )
    return folder


@pytest.fixture(scope="module")
def shared_file(images, tmp_path_factory):
    """An 8-bit file of a network that uses one layer at two levels, and the network."""
    network = randomized(tiny(shared=True))
    path = str(tmp_path_factory.mktemp("files") / "shared.tflite")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tolerances.LIMITS, "int8", tolerances.Limit(None, 0.0))
        tflite.write(
            network,
            images[:1],
            path,
            tflite.TFLiteOptions(SIZE, output="logits", quantize="int8"),
            representative=lambda: images,
        )
    return path, network


@pytest.mark.parametrize(
    ("quantize", "tolerance"), [("none", 1e-4), ("float16", 0.03), ("dynamic", 0.3), ("int8", 0.6)]
)
def test_exports_of_every_number_format_come_back(network, images, files, quantize, tolerance):
    model = tiny()
    tflite_weights.load(model, TFLiteModel.open(files / f"{quantize}.tflite"))
    expected = answers(network, images)
    assert np.std(expected) > 1
    np.testing.assert_allclose(answers(model, images), expected, atol=tolerance)


@pytest.mark.parametrize("quantize", ["dynamic", "int8"])
def test_weights_are_those_of_the_float_file_within_half_a_step(files, quantize):
    exact = tflite_weights.read(tiny(), TFLiteModel.open(files / "none.tflite")).arrays
    close = tflite_weights.read(tiny(), TFLiteModel.open(files / f"{quantize}.tflite")).arrays
    kernel = "project_conv/kernel"
    step = np.max(np.abs(exact[kernel]), axis=(0, 1, 2)) / 127
    difference = np.abs(close[kernel] - exact[kernel])
    assert np.max(difference) > 0
    assert np.all(difference <= step * 0.51)


def test_uses_of_a_shared_layer_agree_but_for_rounding(shared_file, images):
    """Each level has an input scale of its own, and so another step of the same bias."""
    path, network = shared_file
    biases = {
        tuple(node.content.bias): node.content.bias_quantization_step.max()
        for node in graph.ancestors(graph_from_file.read(TFLiteModel.open(path)))
        if node.kind == "depthwise" and "group" in node.name
    }
    assert len(biases) == 2
    model = tiny(shared=True)
    loaded = tflite_weights.load(model, TFLiteModel.open(path))
    np.testing.assert_array_equal(
        loaded.arrays["group_bn/beta"], np.float32(min(biases, key=biases.get))
    )
    np.testing.assert_allclose(answers(model, images), answers(network, images), atol=0.6)


def test_layers_of_an_8_bit_file_that_are_not_one_are_refused(files):
    with pytest.raises(UserError, match="several sets of weights for 'group_depthwise'"):
        tflite_weights.load(tiny(shared=True), TFLiteModel.open(files / "int8.tflite"))


def without_repeats(model):
    """A network whose maps of 1x1 are resized: repeated in 8 bits, they would make a file wrong."""
    return exchanged(model, {ResizeLike: ResizeAlways})


def converted(forward, network, size, path, inputs=None, kind=tf.float32):
    """A file as TensorFlow's documentation has it, of 8 bits if there are inputs to measure."""

    @tf.function(input_signature=[tf.TensorSpec([1, *size, 3], tf.float32)])
    def answer(x):
        logits = forward(x, training=False)
        return resize_bilinear(logits, size, rule_of(network))

    # The converter saves what it is given, and a Keras model layer by layer.
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [answer.get_concrete_function()], Serving(network)
    )
    if inputs is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[np.newaxis]] for image in inputs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = kind
    path.write_bytes(converter.convert())
    return str(path)


@pytest.fixture
def reduced(monkeypatch):
    """Backbones of less depth and width."""
    decoded = mobilenet.garden.block_spec_decoder

    def fewer(specs, filter_size_scale, divisible_by, **settings):
        blocks = decoded(specs, 0.25 * filter_size_scale, divisible_by, **settings)
        return [b for b in blocks if b.block_fn == "convbn" or (b.strides or 1) > 1 or b.is_output]

    monkeypatch.setattr(mobilenet.garden, "block_spec_decoder", fewer)
    units = [((8, 8, 8), *rest) for _, *rest in xception._UNITS]
    monkeypatch.setattr(xception, "_UNITS", units[:4] + units[-2:])
    monkeypatch.setitem(resnet.garden.RESNET_SPECS, 101, [("bottleneck", 8, 1)] * 4)
    yield
    gin.clear_config()


# Of the rest of the networks.
FEW = {
    "mosaic": ("branch_filters = (16, 16)", "decoder_filters = 16"),
    "deeplab": ("aspp_filters = 16", "head_filters = 16", "low_level_filters = 8"),
    "lraspp": ("filters = 16",),
}
KINDS = (
    ("mosaic", ("mosaic.bins = (1, 2, 4)",)),
    ("mosaic_r4", ("mosaic.bins = (2, 4)",)),
    ("deeplab_mlperf", ()),
    ("deeplab_mnv2", ("deeplab.pooling_window = (32, 64)", "deeplab.decoder = True")),
    ("deeplab_r101", ("dilated_resnet.se_ratio = 0.25", "dilated_resnet.multigrid = (2,)")),
    ("zoo_mnv2", ()),
    ("zoo_edgetpu", ()),
    ("zoo_lraspp", ()),
    ("zoo_xception65", ()),
)


def test_kinds_are_those_of_the_configurations():
    folder = config.CONFIGS / "models"
    floats = {path.stem for path in folder.glob("*.gin")} - {"quantize_aware"}
    assert floats == {name for name, _ in KINDS}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), KINDS)
def test_every_kind_of_network_comes_back(reduced, tmp_path, name, settings):
    gin.clear_config()
    family = next((family for family in ("mosaic", "lraspp") if family in name), "deeplab")
    few = [f"{family}.{value}" for value in FEW[family]]
    config.parse([f"models/{name}.gin"], ["NUM_CLASSES = 3", "WEIGHT_DECAY = 0.0", *few, *settings])
    model = randomized(config.build("train.model"))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 128, 3), np.uint8)
    path = converted(without_repeats(model), model, (64, 128), tmp_path / "network.tflite")
    tflite_weights.load(randomized(model, 1), TFLiteModel.open(path))
    expected = TFLitePredictor(TFLiteModel.open(path), "none").run(pixels)
    found = resize_bilinear(answers(model, pixels), (64, 128), rule_of(model))
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.std(expected))


def test_sizes_that_are_not_fixed(tmp_path, images):
    """Where a file resizes maps to, it then computes from the maps."""
    pixels, x = image_input("symmetric")
    low = conv_bn(Norm(), "low", 4, 3, 2)(x)
    high = conv_bn(Norm(), "high", 4, 3, 2)(low)
    merged = tf_keras.layers.Add(name="merge")([low, ResizeLike(name="resize")([high, low])])
    model = tf_keras.Model(pixels, tf_keras.layers.Conv2D(3, 1, name="logits")(merged))
    expected = answers(randomized(model), images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "resize_bilinear", lambda x, *_: x)
        path = converted(model, model, (None, None), tmp_path / "any.tflite")
    tflite_weights.load(randomized(model, 1), TFLiteModel.open(path))
    np.testing.assert_allclose(answers(model, images), expected, atol=1e-4)


def test_unfolding_keeps_inference_and_makes_training_mode_sound(images, files):
    model = tiny()
    tflite_weights.load(model, TFLiteModel.open(files / "none.tflite"))
    before = answers(model, images)
    assert np.max(np.abs(answers(model, images, training=True) - before)) > 0.5
    tflite_weights.load(model, TFLiteModel.open(files / "none.tflite"), iter(images))
    np.testing.assert_allclose(answers(model, images), before, atol=1e-3)
    np.testing.assert_allclose(answers(model, images, training=True), before, atol=1e-2)


def test_calibration_needs_images(files):
    model = tiny()
    before = model.get_layer("logits").kernel.numpy()
    with pytest.raises(UserError, match="at least one image"):
        batch_norm.calibrate(model, [])
    with pytest.raises(UserError, match="no images"):
        tflite_weights.load(model, TFLiteModel.open(files / "none.tflite"), iter(()))
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
        tflite_weights.load(model, TFLiteModel.open(files / "none.tflite"))
    assert first in str(error.value).split("none.tflite")[1]
    assert all(np.array_equal(a, b.numpy()) for a, b in zip(before, model.variables))


def test_part_of_a_network(network, files):
    model = tiny(classes=4)
    fresh = model.get_layer("logits").kernel.numpy()
    prefixes = ("stem", "spatial", "expand", "low")
    loaded = tflite_weights.load(model, TFLiteModel.open(files / "none.tflite"), prefixes=prefixes)
    assert {name.split("_")[0] for name in loaded.arrays} == set(prefixes)
    np.testing.assert_array_equal(model.get_layer("logits").kernel, fresh)
    with pytest.raises(UserError, match="no layer of the network begins with 'high'"):
        tflite_weights.load(
            model, TFLiteModel.open(files / "none.tflite"), prefixes=("stem", "high")
        )
    with pytest.raises(UserError, match="first at 'stem_conv'"):
        tflite_weights.load(
            tiny(stride=1), TFLiteModel.open(files / "none.tflite"), prefixes=("low",)
        )


def without_normalization(source, target, metadata):
    """A file whose caller normalises, with or without metadata, which says that none is needed."""
    model = model_file.unpack(source.read_bytes())
    graph = model.subgraphs[0]
    del graph.operators[:2]
    graph.operators[0].inputs = [graph.inputs[0], *graph.operators[0].inputs[1:]]
    if not metadata:
        model.metadata = None
    target.write_bytes(model_file.pack(model))
    return str(target)


def test_an_assumed_normalization_is_told(files, tmp_path, capsys):
    path = without_normalization(files / "none.tflite", tmp_path / "plain.tflite", False)
    exact = tflite_weights.read(tiny(), TFLiteModel.open(files / "none.tflite")).arrays
    assert capsys.readouterr().err == ""
    found = tflite_weights.read(tiny(), TFLiteModel.open(path)).arrays
    (line,) = capsys.readouterr().err.splitlines()
    assert "plain.tflite" in line
    assert "`normalization`, pixels 0..255 to -2.12..2.64" in line
    np.testing.assert_array_equal(found["stem_conv/kernel"], exact["stem_conv/kernel"])


def test_a_float_files_own_word_on_its_input_counts(files, tmp_path, capsys, monkeypatch):
    """Its metadata: pixels as they are, or another normalisation than the network's."""
    path = without_normalization(files / "none.tflite", tmp_path / "plain.tflite", True)
    exact = tflite_weights.read(tiny(), TFLiteModel.open(files / "none.tflite")).arrays
    found = tflite_weights.read(tiny(), TFLiteModel.open(path)).arrays
    std = np.reshape(NORMALIZATIONS["imagenet"][1], [3, 1])
    kernel = exact["stem_conv/kernel"]
    np.testing.assert_allclose(found["stem_conv/kernel"], kernel * std, rtol=1e-5)
    assert capsys.readouterr().err == ""
    said = tflite_metadata.Metadata(None, ([127.5], [127.5]))
    monkeypatch.setattr(tflite_metadata, "read", lambda _: said)
    with pytest.raises(UserError, match=r"to -1\.\.1 and the network to -2\.12\.\.2\.64; set the"):
        tflite_weights.load(tiny(), TFLiteModel.open(path))
    tflite_weights.load(tiny(normalization="symmetric"), TFLiteModel.open(path))


def small_r4():
    return tiny(normalization="symmetric", half_pixel_centers=False, map_first=False)


def small_deeplab():
    return deeplab(**{**mlperf.DEEPLAB, "num_classes": 3, "aspp_filters": 32, "head_filters": 32})


def small_edgetpu():
    shared = {"output_stride": 32, "align_corners": True, "normalization": "symmetric"}
    backbone = {"backbone": "MobileNetV3EdgeTPU", "width_multiplier": 0.75, "last_conv": True}
    return deeplab(3, **backbone, **shared, aspp_filters=32, pooling_first=True)


def small_lraspp():
    return lraspp(3, filters=32)


def balanced(model, images):
    """Random weights without much gain, and biases by which all classes are seen."""
    rng = np.random.default_rng(0)
    for variable in model.variables:
        name = variable_name(variable)
        if name.endswith("kernel"):
            fan_in = np.prod(variable.shape[: 2 if "depthwise" in name else 3])
            variable.assign(rng.normal(0, np.sqrt(2 / fan_in), variable.shape))
        elif name.endswith("beta"):
            variable.assign(rng.uniform(-0.5, 0.5, variable.shape))
    last = [layer for layer in model.layers if isinstance(layer, tf_keras.layers.Conv2D)][-1]
    last.bias.assign(-answers(model, images).mean((0, 1, 2)))
    return model


@pytest.mark.parametrize(
    ("build", "inside", "kind"),
    [
        (small_r4, True, tf.uint8),
        (small_r4, False, tf.float32),
        (small_deeplab, False, tf.uint8),
    ],
)
def test_plain_8_bit_conversions_come_back(reduced, images, tmp_path, build, inside, kind):
    """Of pixels, or of what the caller has normalised."""
    model = balanced(build(), images)
    forward = without_repeats(model)
    normalize = forward.get_layer("normalize")
    if not inside:
        forward = tf_keras.Model(normalize.output, forward.output)
    pixels = np.stack(images).astype(np.float32)
    inputs = pixels if inside else normalize(pixels).numpy()
    path = converted(forward, model, SIZE, tmp_path / "plain.tflite", inputs, kind)
    expected = (
        TFLitePredictor(TFLiteModel.open(path), "none" if inside else "symmetric")
        .run(images)
        .argmax(-1)
    )
    tflite_weights.load(randomized(model, 1), TFLiteModel.open(path))
    found = resize_bilinear(answers(model, images), SIZE, False).numpy().argmax(-1)
    assert np.min(np.bincount(expected.ravel(), minlength=3)) > 0.1 * expected.size
    assert np.mean(found == expected) > 0.9


@pytest.mark.parametrize("build", [small_edgetpu, small_lraspp])
def test_weights_of_8_bits_come_back(reduced, images, tmp_path, build):
    """Where maps are too small for classes: the logits, but for rounding of the weights."""
    model = balanced(build(), images)
    pixels = np.stack(images).astype(np.float32)
    forward, path = without_repeats(model), tmp_path / "plain.tflite"
    file = TFLiteModel.open(converted(forward, model, SIZE, path, pixels, tf.uint8))
    expected = answers(model, images)
    tflite_weights.load(randomized(model, 1), file)
    assert np.std(answers(model, images) - expected) < 0.1 * np.std(expected)


@pytest.mark.slow
@pytest.mark.parametrize(("build", "settings", "file", "least"), PUBLISHED)
def test_published_files_agree_with_their_float_networks(
    shared, build, settings, file, least, record_property
):
    path = shared(f"models/{file}")
    model = build(**settings)
    photos = sorted(shared("data/photos").iterdir())
    pictures = [np.asarray(tf.io.decode_jpeg(photo.read_bytes())) for photo in photos]
    tflite_weights.load(model, TFLiteModel.open(path))
    run = TFLitePredictor(TFLiteModel.open(path)).run
    folded = tf.function(model)
    before = [folded(tf.constant(p[np.newaxis], tf.float32)).numpy() for p in pictures]
    equal = [
        np.mean(
            np.argmax(resize_bilinear(logits, (512, 512), False), -1) == run(picture[np.newaxis])[0]
        )
        for logits, picture in zip(before, pictures)
    ]
    assert np.mean(equal) >= least
    batch_norm.calibrate(model, pictures)
    unfolded = [folded(tf.constant(p[np.newaxis], tf.float32)).numpy() for p in pictures]
    change = max(np.max(np.abs(a - b)) for a, b in zip(unfolded, before))
    assert change < 1e-3
    figures = {"images": len(equal), "mean": np.mean(equal), "least": min(equal), "change": change}
    for name, value in figures.items():
        record_property(f"{file}_{name}", float(value))
    training = answers(model, pictures, training=True)
    assert np.mean(training.argmax(-1) == np.concatenate(unfolded).argmax(-1)) > 0.99


@pytest.mark.slow
def test_a_file_loads_like_a_checkpoint(tmp_path, small_network, drawn):
    path = tmp_path / "network.tflite"
    tflite.write(small_network, [drawn.images[0]], str(path), tflite.TFLiteOptions((64, 96)))
    model = mosaic(3, bins=(1, 4))
    found = loading.load(model, str(path), images=list(drawn.images))
    assert found.format == "tflite"
    want = small_network(drawn.images, training=False)
    np.testing.assert_allclose(model(drawn.images, training=False), want, atol=1e-3)
