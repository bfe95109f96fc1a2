"""A cut that a file makes becomes the network's, unless somebody has set it."""

import uuid

import gin
import numpy as np
import pytest
import tensorflow as tf

import mosaic.training.train_loop  # noqa: F401 - registers what gin files bind
from mosaic import config
from mosaic.checkpoints import asked_settings
from mosaic.experiment import load_predictor
from mosaic.models.deeplab import deeplab
from networks import noise, randomize

IMAGE = np.floor(noise(33, 33))
ZOO, NAME = "models/zoo_mnv2", "deeplab.pooling_limit"
SMALL = {
    **{"width_multiplier": 0.1, "aspp_filters": 8, "first_atrous_dilation": 1},
    **{"pooling_first": True, "align_corners": True, "normalization": "symmetric"},
    **{"norm_momentum": 0.997, "head_norm_epsilon": 1e-5},
}


@pytest.fixture(autouse=True)
def cleared():
    yield
    gin.clear_config()


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """A network that cuts image-level features at 0.5, and its TFLite file."""
    network = deeplab(3, **SMALL, pooling_limit=0.5)
    randomize(network.variables)
    traced = tf.function(lambda x: network(x, training=False))
    concrete = traced.get_concrete_function(tf.TensorSpec([1, 33, 33, 3]))
    path = tmp_path_factory.mktemp("cut") / "cut.tflite"
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], network)
    path.write_bytes(converter.convert())
    return network, str(path)


def configure(*bindings, network=ZOO):
    gin.clear_config()
    own = ("NUM_CLASSES = 3", "WEIGHT_DECAY = 0.0")
    small = (f"deeplab.{name} = {SMALL[name]}" for name in ("width_multiplier", "aspp_filters"))
    bound = (*small, *bindings) if network == ZOO else bindings
    config.parse([network], [*own, *bound])


def test_a_file_is_loaded_with_its_cut(cut, capsys):
    network, path = cut
    configure()
    predictor, _ = load_predictor(path, as_network=True)
    assert config.value(NAME) == 0.5
    told = capsys.readouterr().err
    assert f"{path}: {NAME} = 0.5, where the file cuts image-level features\n" in told
    assert "this network does so with" not in told
    expected = network(IMAGE, training=False)
    found = predictor.logits(np.uint8(IMAGE), expected.shape[1:3])
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(
    "bindings, prefixes",
    [((f"{NAME} = None",), ("",)), ((f"{NAME} = 2.0",), ("",)), ((), ("backbone_", "logits"))],
)
def test_what_is_set_or_not_loaded_stays(cut, capsys, bindings, prefixes):
    configure(*bindings)
    before = config.value(NAME)
    asked_settings.take(cut[1], prefixes)
    assert config.value(NAME) == before
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    "bindings, network",
    [
        ((), "models/mosaic"),
        (("deeplab.image_pooling = False",), ZOO),
        (("deeplab.activation = 'swish'",), ZOO),
    ],
)
def test_other_networks_are_not_asked(cut, bindings, network):
    configure(*bindings, network=network)
    asked_settings.take(cut[1])
    assert config.value(NAME) is None


def test_without_a_network_nothing_is_asked(cut):
    gin.clear_config()
    asked_settings.take(cut[1])
    assert config.value(NAME) is None


def test_a_run_starts_with_the_cut_and_goes_on_with_its_own(cut, tmp_path):
    configure(f"train.init_checkpoint = {cut[1]!r}")
    asked_settings.take_for_run(str(tmp_path))
    assert config.value(NAME) == 0.5
    (tmp_path / "config.gin").write_text("deeplab.pooling_limit = 0.25\n")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "ckpt-7"\n')
    (tmp_path / "ckpt-7.index").touch()
    configure("train.init_checkpoint = 'gone.tflite'")
    asked_settings.take_for_run(str(tmp_path))
    assert config.value(NAME) == 0.25
    configure()
    asked_settings.take(str(tmp_path / "ckpt-7"))
    assert config.value(NAME) == 0.25


def test_a_file_on_a_storage_is_asked_too(cut):
    _, path = cut
    place = f"ram://{uuid.uuid4().hex}/cut.tflite"
    tf.io.gfile.makedirs(place.rpartition("/")[0])
    tf.io.gfile.copy(path, place)
    configure()
    asked_settings.take(place)
    assert config.value(NAME) == 0.5
