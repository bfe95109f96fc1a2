"""What gin has bound: each value has the type and range of the parameter that gets it."""

from collections.abc import Callable, Sequence
from typing import Any

import gin
import pytest
import tensorflow as tf
import tf_keras

import mosaic.models.deeplab
import mosaic.models.mosaic
import mosaic.models.quantization_aware
import mosaic.training.optimizers
import mosaic.training.train_loop  # noqa: F401 - registers the names that are bound
from mosaic import cli, config
from mosaic.utils import bound_settings, settings
from mosaic.utils.errors import UserError

FOLDERS = ("DATA_DIR=x", "LABEL_MAP=camvid", "NUM_CLASSES=3", "CROP_SIZE=(96,96)")


@gin.configurable(module="tests")
def anything():
    return 3


@gin.configurable(module="tests")
def some() -> Any:
    return 3


@gin.configurable(module="tests")
def some_object() -> object | None:
    return 3


@gin.configurable(module="tests")
def sides() -> Sequence[int]:
    return (96, 96)


@gin.configurable(module="tests")
def layer() -> tf_keras.layers.Layer:
    return tf_keras.layers.Layer()


@gin.configurable(module="tests")
def function() -> Callable[..., Any]:
    return max


@gin.configurable(module="tests")
def traced() -> tf.types.experimental.PolymorphicFunction:
    return tf.function(max)


@gin.configurable(module="tests")
def keras_loss() -> tf_keras.losses.Loss:
    return tf_keras.losses.MeanSquaredError()


def _configure(*given, experiment="mosaic_folders"):
    """Configures as the command line does, where later values win."""
    own = FOLDERS if experiment == "mosaic_folders" else ()
    _, bindings = cli.split_bindings([f"--gin.{text}" for text in (*own, *given)])
    config.parse([config.find(experiment)], bindings)


@pytest.mark.parametrize(
    "given, start",
    [
        ("CROP_SIZE=96", "CROP_SIZE = 96: it must be (height, width)"),
        ("CROP_SIZE=96x96", "CROP_SIZE = '96x96': it must be (height, width)"),
        ("CROP_SIZE=(96, 96", "CROP_SIZE = '(96, 96': it must be (height, width)"),
        ("SCALE=1.0", "SCALE = 1.0: it must be (smallest, largest)"),
        ("SCALE=(0,0)", "SCALE = (0, 0): it must be (smallest, largest)"),
        ("SCALE=(2,1)", "SCALE = (2, 1): it must be (smallest, largest)"),
        ("BATCH_SIZE='2'", "BATCH_SIZE = '2': it must be a whole number, from 1 to 65,536"),
        ("NUM_CLASSES=three", "NUM_CLASSES = 'three': it must be a whole number"),
        ("NUM_CLASSES=0", "NUM_CLASSES = 0: it must be from 1 to 256 (mosaic.num_classes)"),
        ("NUM_CLASSES=100000", "NUM_CLASSES = 100000: it must be from 1 to 256"),
        ("TRAIN_STEPS=1e12", "TRAIN_STEPS = 1000000000000.0: it must be"),
        ("SCALE=(1,1e9)", "SCALE = (1, 1000000000.0): it must be (smallest, largest)"),
        ("mosaic.bins=(1,10**9)", "mosaic.bins = '(1,10**9)': it must be different whole"),
        ("mosaic.bins=(1,99999)", "mosaic.bins = (1, 99999): it must be different whole"),
        ("mosaic.bins=()", "mosaic.bins = (): it must be different whole numbers from 1"),
        ("mosaic.bins=(4,4)", "mosaic.bins = (4, 4): it must be different whole numbers from 1"),
        ("LEARNING_RATE=1e-2x", "LEARNING_RATE = '1e-2x': it must be a number"),
        ("LEARNING_RATE=-0.01", "LEARNING_RATE = -0.01: it must be at least 0"),
        ("LEARNING_RATE=nan", "LEARNING_RATE = 'nan': it must be a number"),
        ("LEARNING_RATE=1e999", "LEARNING_RATE = '1e999': it must be a number"),
        ("CrossEntropy.class_weights=(1,-1,1)", "CrossEntropy.class_weights = (1, -1, 1): it"),
        ("Augment.flip=true", "Augment.flip = 'true': it must be True or False"),
        ("Evaluation.scales=0.5", "Evaluation.scales = 0.5: it must be factors above 0"),
        ("TRAIN_STEPS=2.5", "TRAIN_STEPS = 2.5: it must be a whole number"),
        ("EVAL_INTERVAL=1.5", "EVAL_INTERVAL = 1.5: it must be a whole number"),
        ("runtime.threads=-1", "runtime.threads = -1: it must be from 1 to 1,024"),
        ("runtime.threads=100000", "runtime.threads = 100000: it must be from 1 to 1,024"),
        ("train.checkpoint_interval=-5", "train.checkpoint_interval = -5: it must be from 1 to"),
        ("train.model=mosaic", "train.model = 'mosaic': it must be a reference such as @"),
        ("train.loss=0.5", "train.loss = 0.5: it must be a reference such as @CrossEntropy() or @"),
        ("train.loss=@mosaic()", "train.loss = @mosaic(): it must be a reference such as @Cross"),
        ("train.loss=@sgd()", "train.loss = @sgd(): it must be a reference such as @Cross"),
        ("train.optimizer=@tests.layer()", "train.optimizer = @tests.layer(): it must be a ref"),
        ("train.optimizer=@mosaic()", "train.optimizer = @mosaic(): it must be a reference such"),
        ("train.dataset=@sgd()", "train.dataset = @sgd(): it must be a reference such as @"),
        ("train.steps=@mosaic()", "train.steps = @mosaic(): it must be a whole number, from 1"),
        ("Augment.flip=@class_count()", "Augment.flip = @class_count(): it must be True or"),
        ("folders.augment=@sgd()", "folders.augment = @sgd(): it must be a reference such as @Aug"),
        ("train.loss=@SumOfLosses()", "SumOfLosses.losses = (1,): it must be one loss or more"),
        ("train.model=@mosaic", "train.model = @mosaic: it must be called: @mosaic()"),
        ("INIT_CHECKPOINT=", "INIT_CHECKPOINT = '': it must be a path or None"),
        ("Evaluation.protocol=plane", "Evaluation.protocol = 'plane': it must be one of plain"),
        ("Evaluation.class_map=()", "Evaluation.class_map = (): it must be class indices, or -1"),
        ("LABEL_MAP=None", "LABEL_MAP = None: it must be a path (folders.label_map)"),
        ("CROP_SIZE=(%NUM_CLASSES, 5.5)", "CROP_SIZE = (3, 5.5): it must be (height, width)"),
        ("BATCH_SIZE=%LEARNING_RATE", "LEARNING_RATE = 0.05: it must be a whole number"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_taken(given, start):
    with pytest.raises(UserError) as caught:
        _configure(given, "SumOfLosses.losses=(1,)")
    assert str(caught.value).startswith(start)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("losses", ["(@mosaic(),)", "(@CrossEntropy(), @sgd())", "()"])
def test_references_in_brackets_are_checked_too(losses):
    with pytest.raises(
        UserError, match=r"^SumOfLosses.losses = .*: it must be (a reference|one loss)"
    ):
        _configure("train.loss=@SumOfLosses()", f"SumOfLosses.losses={losses}")


def test_references_are_taken_whose_kind_fits_or_is_not_known():
    losses = "SumOfLosses.losses=(@CrossEntropy(), @tests.anything())"
    others = ("sgd.learning_rate=@cosine_decay()", "train.model=@tests.anything()")
    _configure("train.loss=@SumOfLosses()", losses, *others, "BATCH_SIZE=@tests.anything()")


@pytest.mark.parametrize(
    "given",
    [
        *(f"train.{name}=@tests.some()" for name in ("model", "loss", "optimizer", "dataset")),
        *(f"train.loss=@tests.{made}()" for made in ("layer", "function", "traced", "keras_loss")),
        *("train.model=@tests.layer()", "train.model=@tests.function()"),
        *("BATCH_SIZE=@tests.some()", "CROP_SIZE=@tests.sides()"),
        *("Augment.flip=@tests.some_object()", "train.model=@tests.some_object()"),
    ],
)
def test_references_are_taken_that_may_give_what_is_needed(given):
    _configure(given)


@pytest.mark.parametrize("given", ["NUM_TRAIN=0", "IMAGE_SIZE=(32, 64)", "SEED=-1"])
def test_settings_of_data_are_checked_too(given):
    name = given.partition("=")[0]
    with pytest.raises(UserError, match=rf"^{name} = .*: it must be "):
        _configure(given, experiment="quickstart")


def test_a_file_is_checked_as_the_command_line_is(tmp_path):
    path = tmp_path / "own.gin"
    path.write_text("include 'quickstart.gin'\nsgd.momentum = 1e999\n")
    with pytest.raises(UserError, match=r"^sgd\.momentum = inf: it must be a number"):
        config.parse([str(path)], [])


def test_what_nothing_refers_to_is_not_checked():
    given = ("DATA_DIR=None", "LABEL_MAP=None", "train.dataset=@street_scenes()")
    _configure(*given)
    assert gin.query_parameter("%LABEL_MAP") is None


def test_macros_that_a_command_does_not_need_may_be_unset():
    bindings = ["DATA_DIR = None", "LABEL_MAP = None", "CROP_SIZE = None", "NUM_CLASSES = 3"]
    unset = ("DATA_DIR", "LABEL_MAP", "CROP_SIZE")
    config.parse([config.find("mosaic_folders")], bindings, unset)


def test_a_whole_number_may_be_written_with_an_exponent():
    _configure("TRAIN_STEPS=1e3", "train.max_to_keep=2.0")
    assert repr(gin.query_parameter("%TRAIN_STEPS")) == "1000"
    assert repr(gin.query_parameter("train.max_to_keep")) == "2"


def test_every_parameter_that_gin_sets_has_a_readable_declaration():
    # Other tests register functions of their own in the same process.
    registered = {
        selector: gin.config._REGISTRY[selector].wrapped
        for selector in gin.config._REGISTRY._selector_map
    }
    own = {s: f for s, f in registered.items() if f.__module__.startswith(("mosaic.", "data."))}
    assert "mosaic.train" in own and "datasets.Augment" in own and "networks.mosaic" in own
    for selector, function in own.items():
        declared = settings.hints(function)
        assert set(config.parameters(selector)) - {"x"} <= set(declared), selector


@pytest.mark.parametrize(
    "given",
    [
        ["TRAIN_STEPS=%TRAIN_STEPS"],
        ["BATCH_SIZE=%TRAIN_STEPS", "TRAIN_STEPS=%BATCH_SIZE"],
        ["CROP_SIZE=(%CROP_SIZE, 3)"],
    ],
)
def test_macros_that_name_each_other_are_told(given):
    with pytest.raises(UserError) as error:
        _configure(*given)
    assert str(error.value).endswith(": macros that name each other; give one a value")
    assert all(text.partition("=")[0] in str(error.value) for text in given)


def test_a_macro_without_a_value_is_named():
    with pytest.raises(UserError, match=r"^gin: %NOWHERE is used and has no value"):
        _configure("TRAIN_STEPS=%NOWHERE")


def test_nothing_bound_is_no_error():
    bound_settings.check()


@pytest.mark.parametrize("given", ["IMAGE_SIZE=(99999, 99999)", "NUM_TRAIN=1e12"])
def test_drawn_scenes_have_an_end(given):
    with pytest.raises(UserError, match=r"it must be .* from (1|64) to "):
        _configure(given, experiment="quickstart")


def test_a_setting_that_nothing_uses_is_told(capsys):
    _configure(
        "adam.beta_1=0.1", "deeplab.output_stride=8", "sgd.clipnorm=1.0", "mosaic.dropout=0.1"
    )
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "warning" in line] == [
        "warning: adam.beta_1 is set, and nothing uses adam here",
        "warning: deeplab.output_stride is set, and nothing uses deeplab here",
    ]
