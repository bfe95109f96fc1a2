"""Checkpoints of this project: every way to name one, and everything that can be wrong."""

import shutil
import tarfile
import tempfile

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from garden_networks import assert_equal, values
from mosaic.checkpoints import loading
from mosaic.models import mosaic
from mosaic.training import optimizers
from mosaic.utils import archives
from mosaic.utils.errors import UserError

STEP = 7
SMALL = {"branch_filters": (8, 8), "bins": (1, 4), "dropout": 0.1}


def _network(**changes):
    return mosaic.mosaic(3, **{**SMALL, **changes})


def _randomize(model, seed):
    """Gives every variable a value of its own; variances stay positive."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        variable.assign(rng.uniform(0.1, 1.0, variable.shape))


def _save(model, folder, **objects):
    """Saves as training does: network, optimizer with its momenta, and step."""
    optimizer = optimizers.sgd(0.1)
    variables = model.trainable_variables
    optimizer.apply_gradients([(tf.zeros_like(variable), variable) for variable in variables])
    step = tf.Variable(STEP, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, global_step=step, **objects)
    return tf.train.CheckpointManager(checkpoint, str(folder), 1).save(STEP)


@pytest.fixture(scope="module")
def source():
    """The network whose weights the checkpoint holds; not changed by any test."""
    model = _network()
    _randomize(model, 0)
    return model


@pytest.fixture(scope="module")
def model():
    return _network()


@pytest.fixture(scope="module")
def saved(source, tmp_path_factory):
    """A folder with one checkpoint, and beside it the same as an archive; read only."""
    folder = tmp_path_factory.mktemp("saved") / "run"
    _save(source, folder)
    with tarfile.open(f"{folder}.tar.gz", "w:gz") as archive:
        archive.add(folder, "inner/run")
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    """The same folder, for tests that damage it."""
    return shutil.copytree(saved, tmp_path / "run")


def _fails(path, match="", model=None):
    """Reads or loads what cannot be; returns the message, one line that names the path."""
    with pytest.raises(UserError, match=match) as caught:
        loading.load(model, str(path)) if model else loading.read(str(path))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "suffix",
    ["", "/", "/ckpt-7", "/ckpt-7.index", "/ckpt-7.data-00000-of-00001", ".tar.gz"],
    ids=["folder", "slash", "prefix", "index", "data", "archive"],
)
def test_every_way_to_name_a_checkpoint(saved, source, model, suffix):
    _randomize(model, 1)
    checkpoint = loading.load(model, f"{saved}{suffix}")
    assert (checkpoint.format, checkpoint.step) == ("mosaic", STEP)
    assert_equal(values(model), values(source))


def test_equal_logits(saved, source, model):
    images = np.random.default_rng(0).uniform(0, 255, [1, 64, 96, 3]).astype(np.float32)
    expected = source(images, training=False)
    _randomize(model, 1)
    assert not np.allclose(model(images, training=False), expected)
    loading.load(model, str(saved))
    np.testing.assert_array_equal(model(images, training=False), expected)


def test_read_gives_the_network_and_nothing_else(saved, source):
    found = loading.read(str(saved))
    assert found.path == str(saved)
    assert_equal(found.arrays, values(source))


def test_dropout_does_not_change_the_variables(saved):
    """A network trained with dropout is evaluated and exported without, and the reverse."""
    plain = _network(dropout=0.0)
    loading.load(plain, str(saved))
    assert_equal(values(plain), dict(loading.read(str(saved)).arrays))


def test_folder_that_names_no_latest(copy):
    """As a folder that was copied without its state file, or whose state is stale."""
    (copy / "checkpoint").unlink()
    assert loading.read(str(copy)).step == STEP
    (copy / "checkpoint").write_text('model_checkpoint_path: "ckpt-9"\n')
    assert loading.read(str(copy)).step == STEP


def test_several_checkpoints_and_none_named_as_latest(copy):
    (copy / "checkpoint").unlink()
    for part in list(copy.iterdir()):
        shutil.copy(part, copy / part.name.replace("ckpt-7", "ckpt-8"))
    _fails(copy, "2 checkpoints, and no single one named as latest")


def test_wrong_configuration(saved):
    other = _network(branch_filters=(8, 16), bins=(1, 4))
    before = values(other)
    message = _fails(saved, "does not fit this network", other)
    for shapes in (
        "encoder_group1_project_conv/kernel is (1, 1, 224, 16) here and (1, 1, 224, 8) there",
        "encoder_bins1_bn/gamma is (16,) here and (8,) there",
    ):
        assert shapes in message
    assert_equal(values(other), before)


def test_wrong_configuration_of_a_published_checkpoint(shared, model):
    before = values(model)
    message = _fails(shared("golden/garden_mosaic_paper") / "ckpt", "does not fit", model)
    assert (
        "encoder_group0_project_conv/kernel is (1, 1, 224, 8) here and (1, 1, 224, 32)" in message
    )
    assert "5 not in the checkpoint: encoder_bins1_conv/kernel" in message
    assert "only in the checkpoint" not in message
    assert_equal(values(model), before)


def test_variables_too_many(model, source, tmp_path):
    extra = tf_keras.layers.Conv2D(2, 1, name="extra")(source.output)
    extended = tf_keras.Model(source.input, extra)
    _save(extended, tmp_path / "run")
    before = values(model)
    message = _fails(tmp_path / "run", "does not fit", model)
    assert message.endswith("2 only in the checkpoint: extra/bias (2,), extra/kernel (1, 1, 3, 2)")
    assert_equal(values(model), before)


def test_variables_missing(saved, source):
    extra = tf_keras.layers.Conv2D(2, 1, name="extra")(source.output)
    message = _fails(saved, "does not fit", tf_keras.Model(source.input, extra))
    assert message.endswith("2 not in the checkpoint: extra/kernel (1, 1, 3, 2), extra/bias (2,)")


def test_too_many_in_a_garden_checkpoint(source, tmp_path):
    """Only the classification head that no network reads may be left over."""

    def block(name):
        layer = tf.train.Checkpoint(kernel=tf.Variable([1.0]))
        return tf.train.Checkpoint(**{name: layer})

    layers = {f"layer_with_weights-{index}": block("_conv0") for index in (18, 19)}
    layers["layer_with_weights-20"] = block("_conv1")
    backbone = tf.train.Checkpoint(**layers)
    neck = tf.train.Checkpoint(odd=tf.Variable([1.0, 2.0]))
    path = tf.train.Checkpoint(backbone=backbone, neck=neck).write(str(tmp_path / "garden"))
    message = _fails(path, "does not fit", source)
    listed = message.partition("only in the checkpoint: ")[2]
    assert listed == "backbone/layer_with_weights-20/_conv1/kernel (1,), neck/odd (2,)"


def test_backbone_alone(saved, source, model):
    _randomize(model, 1)
    before = values(model)
    loading.load(model, str(saved), prefixes=("backbone_",))
    expected = {
        name: value if name.startswith("backbone_") else before[name]
        for name, value in values(source).items()
    }
    assert 0 < sum(name.startswith("backbone_") for name in expected) < len(expected)
    assert_equal(values(model), expected)


def test_backbone_alone_from_a_network_of_another_form(saved, source):
    other = _network(branch_filters=(16, 16), bins=(4, 8))
    loading.load(other, str(saved), prefixes=("backbone_",))
    expected = values(source)
    for name, value in values(other).items():
        if name.startswith("backbone_"):
            np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_prefix_of_no_variable(saved, model):
    """A misspelt prefix must not train from scratch without a word."""
    with pytest.raises(UserError, match="bakcbone_"):
        loading.load(model, str(saved), prefixes=("bakcbone_",))


@pytest.mark.parametrize("name", ["nothing", "nothing.index", "nothing.tar.gz", "nothing/ckpt-1"])
def test_no_such_file(tmp_path, name):
    _fails(tmp_path / name, "no such file|no checkpoint here")


def test_empty_folder(tmp_path):
    _fails(tmp_path, "no checkpoint in it")


def test_saved_model_is_no_checkpoint(tmp_path):
    tf.saved_model.save(tf.train.Checkpoint(x=tf.Variable(1.0)), str(tmp_path))
    _fails(tmp_path, "a SavedModel, which only runs as it is; give a checkpoint")


def test_other_objects(tmp_path):
    path = tf.train.Checkpoint(x=tf.Variable(1.0)).write(str(tmp_path / "other"))
    _fails(path, "no checkpoint of this project, nor of segmentation networks")


def test_checkpoint_of_tensorflow_1(tmp_path):
    path = str(tmp_path / "old")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("x", [2], initializer=tf.zeros_initializer())
        session.run(tf.compat.v1.global_variables_initializer())
        path = tf.compat.v1.train.Saver().save(session, path)
    _fails(path, "no checkpoint of this project, nor of")


@pytest.mark.parametrize("part", ["data-00000-of-00001", "index"])
@pytest.mark.parametrize("damage", ["truncated", "emptied", "overwritten"])
def test_damaged_file(copy, part, damage):
    path = copy / f"ckpt-7.{part}"
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(
        {
            "truncated": content[:half],
            "emptied": b"",
            "overwritten": content[:half] + bytes(64) + content[half + 64 :],
        }[damage]
    )
    _fails(copy, "cannot be read")


def test_missing_data_file(copy):
    (copy / "ckpt-7.data-00000-of-00001").unlink()
    _fails(copy, "cannot be read")


def test_no_archive(tmp_path):
    path = tmp_path / "page.tar.gz"
    path.write_text("<html>404</html>")
    _fails(path, "not a readable archive")


@pytest.mark.parametrize("damage", ["truncated", "overwritten"])
def test_damaged_archive(saved, tmp_path, damage):
    content = saved.with_name("run.tar.gz").read_bytes()
    half = len(content) // 2
    path = tmp_path / "run.tar.gz"
    path.write_bytes(
        {
            "truncated": content[:half],
            "overwritten": content[:half] + bytes(4096) + content[half + 4096 :],
        }[damage]
    )
    _fails(path, "not a readable archive")


def test_archive_of_a_whole_run(saved, copy, tmp_path):
    """Its own latest checkpoint counts, not the best one below it, nor what macOS adds."""
    best = shutil.copytree(copy, copy / "best_ckpt")
    (best / "ckpt-7.index").rename(best / "ckpt-3.index")
    (best / "ckpt-7.data-00000-of-00001").rename(best / "ckpt-3.data-00000-of-00001")
    (best / "checkpoint").write_text('model_checkpoint_path: "ckpt-3"\n')
    (best / "ckpt-3.index").write_bytes(b"damaged")
    (copy / "._ckpt-7.index").write_bytes(b"macOS")
    path = tmp_path / "run.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(copy, "inner/run")
    for whole in (path, copy):
        assert_equal(loading.read(str(whole)).arrays, loading.read(str(saved)).arrays)


def test_archive_on_a_python_without_filters(saved, tmp_path, monkeypatch):
    """Early releases of 3.10 and 3.11; what would leave the folder stays out."""
    outside = tarfile.TarInfo("../outside")
    with tarfile.open(tmp_path / "in.tar.gz", "w:gz") as archive:
        archive.add(saved, "inner/run")
        archive.addfile(outside)
    monkeypatch.delattr(tarfile, "data_filter")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    found = loading.read(str(tmp_path / "in.tar.gz")).arrays
    assert_equal(found, loading.read(str(saved)).arrays)
    with archives.unpacked(str(tmp_path / "in.tar.gz")):
        assert not list(tmp_path.rglob("outside"))


def test_archive_without_checkpoint(tmp_path):
    (tmp_path / "readme").write_text("nothing")
    path = tmp_path / "run.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "readme", "readme")
    _fails(path, "no checkpoint in it")


@pytest.mark.parametrize("text", [b"", b'model_checkpoint_path: "', b"\xff\xfe\x00"])
def test_a_state_file_that_says_nothing_is_no_state(tmp_path, text):
    saved = tf.train.Checkpoint(other=tf.Variable(1.0))
    tf.train.CheckpointManager(saved, str(tmp_path), 2).save(3)
    (tmp_path / "checkpoint").write_bytes(text)
    with pytest.raises(UserError, match="its roots are other"):
        loading.read(str(tmp_path))
    shutil.copy(tmp_path / "ckpt-3.index", tmp_path / "ckpt-4.index")
    with pytest.raises(UserError, match="2 checkpoints, and no single one named as latest"):
        loading.read(str(tmp_path))


def _keys(prefix):
    return [name for name, _ in tf.train.list_variables(prefix)]


def test_the_optimizers_state_is_compared_with_its_checksum_too(copy):
    """Its bytes are changed where nothing of the network lies."""
    prefix = str(copy / f"ckpt-{STEP}")
    reader = tf.train.load_checkpoint(prefix)
    momenta = [key for key in _keys(prefix) if "OPTIMIZER_SLOT" in key]
    largest = max(momenta, key=lambda key: reader.get_tensor(key).size)
    assert not reader.get_tensor(largest).any()
    path = copy / f"ckpt-{STEP}.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    place = content.find(bytes(4 * reader.get_tensor(largest).size))
    content[place + 8] ^= 1
    path.write_bytes(content)
    with pytest.raises(loading.Damaged, match="bytes of its data file have changed") as raised:
        loading.read(str(copy))
    assert "\n" not in str(raised.value)
    assert ".cc" not in str(raised.value)


@pytest.mark.parametrize("place", [0.1, 0.4, 0.7, 0.95])
@pytest.mark.parametrize("part", ["data-00000-of-00001", "index"])
def test_one_changed_byte_is_enough(copy, part, place):
    path = copy / f"ckpt-{STEP}.{part}"
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(loading.Damaged, match="cannot be read"):
        loading.read(str(copy))
