import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.vision.modeling.backbones import mobilenet as garden

import mlperf
from mosaic import cli
from mosaic.checkpoints import loading
from mosaic.checkpoints import model_garden as garden_form
from mosaic.models import cost as model_cost
from mosaic.models import inputs, layers, mobilenet, mosaic, pooling, resizing
from mosaic.models.variables import variable_name
from mosaic.utils.errors import UserError

PAPER = {"branch_filters": (32, 32), "bins": (4, 8, 16)}
# The convolution to 1280 channels behind the last endpoint, which the Garden's checkpoints hold
# and no segmentation network reads.
UNUSED = {
    "backbone/layer_with_weights-18/_conv0/kernel": (1, 1, 448, 1280),
    "backbone/layer_with_weights-18/_norm0/gamma": (1280,),
    "backbone/layer_with_weights-18/_norm0/beta": (1280,),
    "backbone/layer_with_weights-18/_norm0/moving_mean": (1280,),
    "backbone/layer_with_weights-18/_norm0/moving_variance": (1280,),
}


@pytest.fixture(scope="module")
def paper():
    return mosaic.mosaic(19, **PAPER)


@pytest.fixture(scope="module")
def published():
    """The network of the 77.24 mIoU, which the defaults describe."""
    return mosaic.mosaic(19)


def _images(height, width, batch=1, seed=0):
    values = np.random.default_rng(seed).uniform(0, 255, [batch, height, width, 3])
    return values.astype(np.float32)


def _randomize(variables, seed=0):
    """Gives every variable a value of its own; variances stay positive."""
    rng = np.random.default_rng(seed)
    for variable in variables:
        if variable.name.endswith("kernel:0"):
            inputs = variable.shape[: 2 if "depthwise" in variable.name else 3]
            value = rng.normal(0, np.sqrt(2 / np.prod(inputs)), variable.shape)
        elif "variance" in variable.name or "gamma" in variable.name:
            value = rng.uniform(0.5, 1.5, variable.shape)
        else:
            value = rng.normal(0, 0.1, variable.shape)
        variable.assign(value)


def _assert_close(found, expected, name=""):
    """Compares maps of activations, as closely as float32 allows at their own scale."""
    scale = np.ptp(expected)
    assert scale > 0, name
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale, err_msg=name)


@pytest.mark.parametrize("name, count", [("paper", 2_325_112), ("published", 2_446_712)])
def test_variable_count(name, count, request, record_property):
    model = request.getfixturevalue(name)
    unused = int(sum(np.prod(shape) for shape in UNUSED.values()))
    record_property(f"variables_{name}", model.count_params())
    record_property("variables_unused", unused)
    assert model.count_params() + unused == count


def test_variables_are_those_of_the_garden(paper, shared):
    suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
    listed = tf.train.list_variables(str(shared("golden/garden_mosaic_paper") / "ckpt"))
    theirs = {
        name.removesuffix(suffix): tuple(shape)
        for name, shape in listed
        if name.split("/")[0] in ("backbone", "neck", "head")
    }
    shapes = {variable_name(v): tuple(v.shape) for v in paper.variables}
    ours = {place: shapes[name] for name, place in garden_form.names(shapes).items()}
    assert len(ours) == len(paper.variables)
    assert {**ours, **UNUSED} == theirs
    assert not ours.keys() & UNUSED.keys()


def test_cost_of_r4(record_property):
    cost = model_cost.count(mosaic.mosaic(**mlperf.R4), 512, 512)
    record_property("r4_multiply_adds", cost.multiply_adds)
    record_property("r4_weights", cost.weights)
    assert cost.multiply_adds == 2_693_204_992
    assert cost.weights == 1_862_176


def test_cost_by_hand():
    """A shared convolution is computed at every use, and its weights are there once."""
    images = tf_keras.Input([None, None, 3])
    shared = tf_keras.layers.Conv2D(5, 1)
    x = tf_keras.layers.Concatenate()([shared(images), shared(images)])
    x = tf_keras.layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
    x = tf_keras.layers.BatchNormalization()(x)
    cost = model_cost.count(tf_keras.Model(images, x), 8, 12)
    assert cost.multiply_adds == 2 * (3 * 5) * 8 * 12 + (9 * 10) * 4 * 6
    assert cost.weights == (3 * 5 + 5) + (9 * 10 + 10)
    assert cost.variables == (3 * 5 + 5) + 9 * 10 + 4 * 10


@pytest.mark.parametrize("size", [(256, 256), (256, 480), (270, 481), (259, 513)])
def test_one_set_of_weights_serves_every_size(paper, size):
    logits = paper(_images(*size), training=False)
    assert logits.shape == (1, -(-size[0] // 4), -(-size[1] // 4), 19)
    assert logits.dtype == tf.float32
    assert np.all(np.isfinite(logits))


@pytest.mark.parametrize("name", ["paper", "published"])
def test_size_known_only_at_run_time(name, request):
    model = request.getfixturevalue(name)
    _randomize(model.variables)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def dynamic(images):
        return model(images, training=False)

    for size in [(256, 256), (270, 321)]:
        images = _images(*size, batch=2)
        _assert_close(dynamic(images), model(images, training=False))


def test_input_too_small(paper):
    with pytest.raises(UserError, match=r"4x6.*16x16") as caught:
        paper(_images(64, 96), training=False)
    code, line = cli.explain(caught.value)
    assert code == 2
    assert line.startswith("a feature map of 4x6")
    assert "\n" not in line


def test_input_too_small_while_tracing():
    """Neither AutoGraph nor Keras puts its frames around the message."""
    pool = pooling.PoolToBins(4)

    @tf.function
    def run(images):
        return pool(images)

    with pytest.raises(UserError) as caught:
        run(tf.zeros([1, 3, 8, 2]))
    code, line = cli.explain(caught.value)
    assert code == 2 and line.startswith("a feature map of 3x8 cannot be pooled into 4x4 bins; use")


def test_input_too_small_at_run_time():
    pool = pooling.PoolToBins(4)
    dynamic = tf.function(pool, input_signature=[tf.TensorSpec([None, None, None, 2])])
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        dynamic(tf.zeros([1, 3, 8, 2]))
    line = "the input is too small for 4x4 pooling bins; use larger images"
    assert cli.explain(caught.value) == (2, line)


@pytest.mark.parametrize("size", [(240, 300), (300, 240), (64, 64)])
def test_check_size(paper, size):
    inputs.check_size(paper, 241, 241)
    message = r"images of (\d+)x(\d+) are too small: a feature map .* into 16x16 bins; use"
    with pytest.raises(UserError, match=message):
        inputs.check_size(paper, *size)


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("bins", [4, 8, 16])
@pytest.mark.parametrize("size", [(16, 32), (17, 31), (23, 30), (64, 128)])
def test_pool_to_bins(size, bins, dynamic):
    """As in the Garden: stride size // bins, window size // bins + size % bins."""
    x = np.random.default_rng(0).normal(size=[2, *size, 3]).astype(np.float32)
    reference = tf_keras.layers.AveragePooling2D(
        pool_size=[n // bins + n % bins for n in size], strides=[n // bins for n in size]
    )
    pool = pooling.PoolToBins(bins)
    if dynamic:
        pool = tf.function(pool, input_signature=[tf.TensorSpec([None, None, None, 3])])
    pooled = pool(x)
    assert pooled.shape == (2, bins, bins, 3)
    np.testing.assert_allclose(pooled, reference(x), atol=1e-5)


@pytest.mark.parametrize(
    "half_pixel_centers, expected", [(True, [0, 0.25, 0.75, 1]), (False, [0, 0.5, 1, 1])]
)
def test_resize(half_pixel_centers, expected):
    x = tf.constant([0.0, 1.0], shape=[1, 1, 2, 1])
    resized = resizing.ResizeLike(half_pixel_centers)([x, tf.zeros([1, 1, 4, 5])])
    np.testing.assert_allclose(np.ravel(resized), expected)


def test_resize_of_one_pixel_repeats_it():
    x = tf.constant([3.0, 4.0], shape=[1, 1, 1, 2])
    resized = resizing.ResizeLike()([x, tf.zeros([1, 2, 3, 5])])
    np.testing.assert_array_equal(resized, np.broadcast_to([3.0, 4.0], [1, 2, 3, 2]))


@pytest.mark.parametrize(
    "normalization, expected",
    [
        ("imagenet", [-123.675 / 58.395, (255 - 116.28) / 57.12, (100 - 103.53) / 57.375]),
        ("symmetric", [-1, 1, 100 / 127.5 - 1]),
    ],
)
def test_normalization(normalization, expected):
    layer = layers.Normalize(*inputs.NORMALIZATIONS[normalization])
    image = tf.constant([0, 255, 100], tf.uint8, shape=[1, 1, 1, 3])
    np.testing.assert_allclose(np.ravel(layer(image)), expected, atol=1e-6)


@pytest.mark.parametrize("model_id", ["MobileNetMultiAVGSeg", "MobileNetV2"])
def test_backbone_is_the_gardens(model_id, tmp_path):
    theirs = garden.MobileNet(
        model_id, filter_size_scale=1.0, output_stride=16, output_intermediate_endpoints=True
    )
    _randomize(theirs.variables)
    images = tf_keras.Input([None, None, 3])
    endpoints = mobilenet.mobilenet(images, layers.Norm(), model_id, output_stride=16)
    ours = tf_keras.Model(images, endpoints)
    path = tf.train.Checkpoint(backbone=theirs).write(str(tmp_path / "backbone"))
    loading.load(ours, path)

    x = _images(96, 128) / 128 - 1
    found, expected = ours(x, training=False), theirs(x, training=False)
    assert found.keys() == expected.keys() - {"5"}
    for name, endpoint in found.items():
        _assert_close(endpoint, expected[name], name)


def test_first_atrous_dilation():
    images = tf_keras.Input([None, None, 3])
    dilations = []
    for first in (2, 1):
        endpoints = mobilenet.mobilenet(images, layers.Norm(), first_atrous_dilation=first)
        model = tf_keras.Model(images, endpoints["4"])
        dilations.append(
            [
                layer.dilation_rate[0]
                for layer in model.layers
                if isinstance(layer, tf_keras.layers.DepthwiseConv2D)
            ]
        )
    garden_form, r4 = dilations
    atrous = garden_form.index(2)
    assert garden_form == [1] * atrous + [2] * (len(garden_form) - atrous)
    assert r4 == [1] * (atrous + 1) + garden_form[atrous + 1 :]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"branch_filters": (64, 64, 64)}, "one value per channel group"),
        (
            {"branch_filters": (64, 64, 64), "kernel_sizes": (3, 5, 7)},
            "448 channels do not split into 3 groups",
        ),
        ({"projected_filters": (19,)}, "two depths"),
        ({"normalization": "imagnet"}, "'imagnet' is not one of imagenet, symmetric"),
    ],
)
def test_contradictory_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        mosaic.mosaic(19, **arguments)


def test_classifier_where_the_last_depth_is_not_the_class_count():
    model = mosaic.mosaic(11, projected_filters=(32, 48))
    assert model.output_shape[-1] == 11
    classifier = model.get_layer("logits")
    assert classifier.kernel.shape == (1, 1, 48, 11) and classifier.use_bias
    assert classifier.input.name.startswith("decoder2_sum")
    # Without it the sum itself is the logits.
    assert not mosaic.mosaic(11, projected_filters=(32, 11)).get_layer("logits").weights


def _norms(model):
    return [layer for layer in model.layers if layer.name.endswith("_bn")]


def test_norm_of_one_replica_is_not_synchronized(paper):
    assert _norms(paper)
    assert {type(layer) for layer in _norms(paper)} == {tf_keras.layers.BatchNormalization}
    assert not any(layer.synchronized for layer in _norms(paper))


@pytest.mark.parametrize("synchronized", [False, True])
def test_norm_of_several_replicas(synchronized, monkeypatch):
    class Strategy:
        num_replicas_in_sync = 2

    monkeypatch.setattr(tf.distribute, "get_strategy", Strategy)
    norm = layers.Norm(momentum=0.9, epsilon=0.01, synchronized=synchronized).layer("norm")
    assert norm.synchronized == synchronized
    assert (norm.momentum, norm.epsilon) == (0.9, 0.01)
