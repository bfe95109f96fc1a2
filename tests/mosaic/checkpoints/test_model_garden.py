"""The Garden's checkpoints: MOSAIC, DeepLab and backbones in every form that they come in."""

import tarfile

import gin
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.modeling import optimization
from official.vision.modeling.backbones.mobilenet import MobileNet
from official.vision.modeling.backbones.resnet_deeplab import DilatedResNet
from official.vision.modeling.classification_model import ClassificationModel

from checkpoints import stored
from garden_networks import (
    CLASSES,
    WIDTH,
    assert_equal,
    assert_same_logits,
    garden_deeplab,
    our_deeplab,
    randomize,
    values,
)
from mosaic.checkpoints import loading, model_garden
from mosaic.export import model_garden as garden_export
from mosaic.models import mosaic
from mosaic.models.deeplab import deeplab
from mosaic.utils.errors import UserError


def packed(folder, path):
    """An archive as published: one folder in it."""
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, f"inner/{file.name}")
    return str(path)


# MOSAIC.


def test_archive_with_the_trainers_other_objects(golden, published, tmp_path):
    found = loading.read(packed(golden / "best_ckpt", tmp_path / "best.tar.gz"))
    assert (found.format, found.step) == ("garden", 78936)
    assert_equal(dict(found.arrays), published)


def test_archive_of_several_whose_state_names_one_elsewhere(tmp_path):
    folder = tmp_path / "run"
    for step in (1, 2):
        garden_export.write({"backbone/kernel": np.float32([step])}, folder / f"ckpt-{step}")
    (folder / "checkpoint").write_text('model_checkpoint_path: "/cns/gone/run/ckpt-1"\n')
    found = loading.read(packed(folder, tmp_path / "run.tar.gz"))
    assert found.arrays["backbone/kernel"] == 1


def test_weights_of_another_arithmetic_are_not_loaded(tmp_path):
    prefix = garden_export.save(deeplab(3, width_multiplier=WIDTH), str(tmp_path / "out"))
    other = deeplab(3, width_multiplier=WIDTH, pooling_first=True)
    before = values(other)
    with pytest.raises(UserError, match="other settings of pooling_first"):
        loading.load(other, prefix)
    assert_equal(values(other), before)
    loading.load(other, prefix, ("backbone_",))


# DeepLab.


@pytest.mark.slow
@pytest.mark.parametrize("form", ["trainer", "whole"])
def test_deeplab_in_the_trainers_form(form, tmp_path):
    theirs, ours = garden_deeplab("v3"), our_deeplab("v3")
    randomize(theirs.variables)
    objects = {"model": theirs}
    if form == "trainer":
        step = tf.Variable(9, dtype=tf.int64)
        objects |= {**theirs.checkpoint_items, "global_step": step, "optimizer": _trained(theirs)}
    loaded = loading.load(ours, tf.train.Checkpoint(**objects).write(str(tmp_path / "ckpt")))
    assert (loaded.format, loaded.step) == ("garden", 9 if form == "trainer" else None)
    assert_same_logits(theirs, ours)


# Backbones, as the Garden's image classification saves them.


def _trained(model):
    """An optimizer with momenta and moving averages of a network, both other than the network."""
    inner = tf_keras.optimizers.legacy.SGD(0.0, momentum=0.9)
    optimizer = optimization.ExponentialMovingAverage(inner)
    optimizer.shadow_copy(model)
    variables = model.trainable_variables
    optimizer.apply_gradients([(tf.ones_like(variable), variable) for variable in variables])
    randomize(optimizer.weights, seed=3)
    return optimizer


@pytest.fixture(scope="module")
def classifier():
    model = ClassificationModel(MobileNet("MobileNetMultiAVGSeg"), 7)
    randomize(model.variables)
    return model


@pytest.fixture(params=["backbone", "trainer", "best", "whole"])
def imagenet(request, classifier, tmp_path):
    """A file prefix of each form that holds the classifier's backbone."""
    items = {
        "backbone": classifier.checkpoint_items,
        "best": {"model": classifier, **classifier.checkpoint_items},
        "trainer": {"model": classifier, **classifier.checkpoint_items},
        "whole": {"model": classifier},
    }[request.param]
    if request.param == "trainer":
        items["optimizer"] = _trained(classifier)
    return tf.train.Checkpoint(**items).write(str(tmp_path / "ckpt-3"))


@pytest.mark.parametrize("kind", ["mosaic", "deeplab"])
def test_imagenet_backbone(kind, imagenet, classifier, tmp_path):
    if kind == "mosaic":
        model = mosaic.mosaic(3, branch_filters=(8, 8), bins=(4,))
    else:
        model = deeplab(3, backbone="MobileNetMultiAVGSeg", aspp_filters=8)
    expected = values(model)
    plain = tf.train.Checkpoint(backbone=classifier.backbone).write(str(tmp_path / "plain"))
    theirs = stored(plain)
    for name, place in model_garden.names(expected).items():
        if name.startswith("backbone_"):
            expected[name] = theirs[place]
    loaded = loading.load(model, imagenet, ("backbone_",))
    assert loaded.format == "garden"
    assert_equal(values(model), expected)


def test_imagenet_backbone_where_a_whole_network_is_wanted(imagenet, paper):
    before = values(paper)
    with pytest.raises(UserError, match=r"set `train\.init_prefixes = \('backbone_',\)`") as caught:
        loading.load(paper, imagenet)
    assert str(caught.value).startswith(f"{imagenet}: a backbone alone")
    assert_equal(values(paper), before)


def test_dilated_resnet(tmp_path):
    """Every variable of the Garden's backbone has its place."""
    theirs = DilatedResNet(50, output_stride=16, stem_type="v1", se_ratio=0.25)
    randomize(theirs.variables)
    prefix = tf.train.Checkpoint(backbone=theirs).write(str(tmp_path / "ckpt"))
    with gin.unlock_config():
        gin.bind_parameter("dilated_resnet.se_ratio", 0.25)
    try:
        ours = deeplab(CLASSES, backbone="DilatedResNet50")
    finally:
        gin.clear_config()
    loading.load(ours, prefix, ("backbone_",))
    loaded = values(ours)
    names = model_garden.names(loaded)
    backbone = {n: names[n] for n in names if n.startswith("backbone_")}
    found = stored(prefix)
    assert sorted(backbone.values()) == sorted(found)
    for name, place in backbone.items():
        np.testing.assert_array_equal(loaded[name], found[place], err_msg=name)
