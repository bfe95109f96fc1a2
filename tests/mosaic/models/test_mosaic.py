"""MOSAIC: its variables, its cost, the sizes that it takes, and its settings."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import mlperf
from mosaic import cli
from mosaic.checkpoints import model_garden as garden_form
from mosaic.models import cost as model_cost
from mosaic.models import mosaic
from mosaic.models.variables import variable_name
from mosaic.utils.errors import UserError
from networks import assert_close, noise, randomize

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
def published():
    """The network of the 77.24 mIoU, which the defaults describe."""
    return mosaic.mosaic(19)


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


@pytest.mark.parametrize("size", [(256, 256), (256, 480), (270, 481), (259, 513)])
def test_one_set_of_weights_serves_every_size(paper, size):
    logits = paper(noise(*size), training=False)
    assert logits.shape == (1, -(-size[0] // 4), -(-size[1] // 4), 19)
    assert logits.dtype == tf.float32
    assert np.all(np.isfinite(logits))


@pytest.mark.parametrize("name", ["paper", "published"])
def test_size_known_only_at_run_time(name, request):
    model = request.getfixturevalue(name)
    randomize(model.variables)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def dynamic(images):
        return model(images, training=False)

    for size in [(256, 256), (270, 321)]:
        images = noise(*size, batch=2)
        assert_close(dynamic(images), model(images, training=False))


def test_input_too_small(paper):
    with pytest.raises(UserError, match=r"4x6.*16x16") as caught:
        paper(noise(64, 96), training=False)
    code, line = cli.explain(caught.value)
    assert code == 2
    assert line.startswith("a feature map of 4x6")
    assert "\n" not in line


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
    assert classifier.kernel.shape == (1, 1, 48, 11)
    assert classifier.use_bias
    assert classifier.input.name.startswith("decoder2_sum")
    # Without it the sum itself is the logits.
    assert not mosaic.mosaic(11, projected_filters=(32, 11)).get_layer("logits").weights


def _norms(model):
    return [layer for layer in model.layers if layer.name.endswith("_bn")]


def test_norm_of_one_replica_is_not_synchronized(paper):
    assert _norms(paper)
    assert {type(layer) for layer in _norms(paper)} == {tf_keras.layers.BatchNormalization}
    assert not any(layer.synchronized for layer in _norms(paper))
