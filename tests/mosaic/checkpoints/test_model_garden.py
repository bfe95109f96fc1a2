import dataclasses
import re
import tarfile
import types

import gin
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.modeling import optimization
from official.vision.modeling.backbones.mobilenet import MobileNet
from official.vision.modeling.backbones.resnet_deeplab import DilatedResNet
from official.vision.modeling.classification_model import ClassificationModel
from official.vision.modeling.decoders.aspp import ASPP
from official.vision.modeling.heads.segmentation_heads import SegmentationHead
from official.vision.modeling.segmentation_model import SegmentationModel

from mosaic import experiment
from mosaic.checkpoints import loading, model_garden
from mosaic.export import export_checkpoint
from mosaic.export import model_garden as garden_export
from mosaic.models import mosaic
from mosaic.models.deeplab import deeplab
from mosaic.models.variables import variable_name
from mosaic.utils.errors import RunError, UserError

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
WIDTH = 0.35
CLASSES = 5
# MobileNetMultiAVGSeg's convolution that only a classification network reads.
HEAD = "backbone/layer_with_weights-18/"


def randomize(variables, seed=0):
    """Gives every variable a value of its own, small enough for activations to stay near 1."""
    rng = np.random.default_rng(seed)
    for variable in variables:
        if variable.dtype == tf.float32:
            low = 0.5 if re.search("gamma|variance", variable.name) else -0.1
            variable.assign(rng.uniform(low, low + 1.0, variable.shape))


def values(model):
    return {variable_name(v): v.numpy() for v in model.variables}


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def stored(prefix):
    """Names and values of a checkpoint's variables, by TensorFlow's own list."""
    reader = tf.train.load_checkpoint(prefix)
    names = [name for name, _ in tf.train.list_variables(prefix) if name.endswith(SUFFIX)]
    return {name.removesuffix(SUFFIX): reader.get_tensor(name) for name in names}


def packed(folder, path):
    """An archive as published: one folder in it."""
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, f"inner/{file.name}")
    return str(path)


# MOSAIC.


@pytest.fixture(scope="module")
def paper():
    return mosaic.mosaic(19, branch_filters=(32, 32), bins=(4, 8, 16))


@pytest.fixture(scope="module")
def golden(shared):
    return shared("golden/garden_mosaic_paper")


@pytest.fixture(scope="module")
def published(golden):
    """Variables of the published form by their names in the file."""
    return stored(str(golden / "ckpt"))


def test_archive_with_the_trainers_other_objects(golden, published, tmp_path):
    found = loading.read(packed(golden / "best_ckpt", tmp_path / "best.tar.gz"))
    assert (found.form, found.step) == ("garden", 78936)
    assert_equal(dict(found.arrays), published)


def test_archive_of_several_whose_state_names_one_elsewhere(tmp_path):
    folder = tmp_path / "run"
    for step in (1, 2):
        garden_export.write({"backbone/kernel": np.float32([step])}, folder / f"ckpt-{step}")
    (folder / "checkpoint").write_text('model_checkpoint_path: "/cns/gone/run/ckpt-1"\n')
    found = loading.read(packed(folder, tmp_path / "run.tar.gz"))
    assert found.arrays["backbone/kernel"] == 1


def test_mosaic_is_written_as_it_was_read(golden, paper, published, tmp_path):
    """The classification head too, which the Garden asks for and no network here reads."""
    randomize(paper.variables)
    loaded = loading.load(paper, str(golden / "best_ckpt"))
    prefix = garden_export.save(paper, str(tmp_path / "out"), loaded)
    assert (
        prefix == str(tmp_path / "out/ckpt-78936") == tf.train.latest_checkpoint(tmp_path / "out")
    )
    assert_equal(stored(prefix), published)
    backbone = MobileNet("MobileNetMultiAVGSeg")
    status = tf.train.Checkpoint(backbone=backbone).read(prefix)
    status.expect_partial().assert_existing_objects_matched()
    unread = [v for v in backbone.variables if v.shape[-1] == 1280]
    assert len(unread) == 5
    for variable in unread:
        key = "kernel" if "kernel" in variable.name else variable_name(variable)
        part = "_conv0/kernel" if key == "kernel" else f"_norm0/{key.rpartition('/')[2]}"
        np.testing.assert_array_equal(variable, published[f"backbone/layer_with_weights-18/{part}"])


def test_mosaic_trained_here_is_written_with_a_blank_head(paper, published, tmp_path):
    randomize(paper.variables)
    expected = values(paper)
    prefix = garden_export.save(paper, str(tmp_path / "out"))
    assert prefix.endswith("ckpt-0")
    found = stored(prefix)
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in published.items()}
    assert not np.any(found[f"{HEAD}_conv0/kernel"]) and np.all(found[f"{HEAD}_norm0/gamma"] == 1)
    randomize(paper.variables, seed=1)
    loading.load(paper, prefix)
    assert_equal(values(paper), expected)


def test_the_global_branch_comes_back(tmp_path):
    model = mosaic.mosaic(3, branch_filters=(8, 8), bins=(1, 4))
    randomize(model.variables)
    expected = values(model)
    prefix = garden_export.save(model, str(tmp_path / "out"))
    randomize(model.variables, seed=1)
    loading.load(model, prefix)
    assert_equal(values(model), expected)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: mosaic.mosaic(3, shared_group_convs=False), "encoder_bins16_group0"),
        (lambda: mosaic.mosaic(3, projected_filters=(8, 8)), "logits"),
        (lambda: mosaic.mosaic(3, backbone_map_first=False), "(backbone_map_first)"),
        (lambda: mosaic.mosaic(3, half_pixel_centers=False), "(half_pixel_centers)"),
        (lambda: mosaic.mosaic(3, first_atrous_dilation=1), "(first_atrous_dilation)"),
        (lambda: deeplab(3, output_stride=8, first_atrous_dilation=1), "first_atrous_dilation)"),
        (lambda: deeplab(3, normalization="symmetric", pooling_first=True), "pooling_first)"),
        (lambda: deeplab(3, normalization="symmetric"), "(normalization)"),
    ],
)
def test_networks_that_the_garden_lacks_are_not_written(build, reason, tmp_path):
    with pytest.raises(UserError, match="has no network like this one") as caught:
        garden_export.save(build(), str(tmp_path / "out"))
    assert reason in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_arithmetic_are_not_loaded(tmp_path):
    prefix = garden_export.save(deeplab(3, width_multiplier=WIDTH), str(tmp_path / "out"))
    other = deeplab(3, width_multiplier=WIDTH, pooling_first=True)
    before = values(other)
    with pytest.raises(UserError, match="other settings of pooling_first"):
        loading.load(other, prefix)
    assert_equal(values(other), before)
    loading.load(other, prefix, ("backbone_",))


def test_a_file_that_reads_otherwise_is_not_kept(tmp_path, monkeypatch):
    model = deeplab(3, width_multiplier=WIDTH)
    write = garden_export.write
    monkeypatch.setattr(
        garden_export,
        "write",
        lambda arrays, path: write({k: v + 1 for k, v in arrays.items()}, path),
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out/before").touch()
    with pytest.raises(RunError, match="reads otherwise"):
        garden_export.save(model, str(tmp_path / "out"))
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [
        "out",
        "out/before",
    ]


@pytest.mark.parametrize("source", ["garden", "tflite"])
def test_export(source, paper, drawn, golden, published, tmp_path, monkeypatch, capsys):
    path = str(golden / "best_ckpt") if source == "garden" else "network.tflite"
    loaded = loading.load(paper, str(golden / "best_ckpt"))
    if source == "tflite":
        loaded = dataclasses.replace(loaded, form="tflite", step=None)
    found = (paper, drawn, types.SimpleNamespace(split="val"), loaded)
    monkeypatch.setattr(experiment, "load_experiment", lambda checkpoint: found)
    export_checkpoint.export_checkpoint(path, str(tmp_path), ("garden_checkpoint",))
    assert [p.name for p in tmp_path.iterdir()] == ["garden_checkpoint"]
    prefix = tf.train.latest_checkpoint(tmp_path / "garden_checkpoint")
    assert prefix in capsys.readouterr().out
    found = stored(prefix)
    assert found.keys() == published.keys()
    kept = {k: v for k, v in published.items() if source == "garden" or not k.startswith(HEAD)}
    assert_equal({name: found[name] for name in kept}, kept)


def test_unknown_format(tmp_path):
    with pytest.raises(UserError, match="onnx: not one of saved_model, tflite, garden_checkpoint"):
        export_checkpoint.export_checkpoint("x", str(tmp_path), ("onnx",))


# DeepLab.

DEEPLABS = {
    "v3": ({}, {"num_convs": 0}, ()),
    "v3+": (
        {"decoder": True, "head_convs": 2},
        {"num_convs": 2, "use_depthwise_convolution": True},
        (6, 12, 18),
    ),
    "v3+ in one piece": (
        {"decoder": True, "head_convs": 2, "separable_head": False},
        {"num_convs": 2},
        (6,),
    ),
}


def garden_deeplab(form):
    ours, head, rates = DEEPLABS[form]
    if "decoder" in ours:
        head = {**head, "feature_fusion": "deeplabv3plus", "low_level": "2/depthwise"}
    model = SegmentationModel(
        MobileNet(
            "MobileNetV2",
            filter_size_scale=WIDTH,
            output_stride=16,
            output_intermediate_endpoints=True,
        ),
        ASPP(4, list(rates), num_filters=16),
        SegmentationHead(CLASSES, 4, num_filters=16, low_level_num_filters=8, **head),
    )
    model(tf.zeros([1, 64, 96, 3]))
    return model


def our_deeplab(form):
    settings, _, rates = DEEPLABS[form]
    return deeplab(
        CLASSES,
        width_multiplier=WIDTH,
        atrous_rates=rates,
        aspp_filters=16,
        low_level_filters=8,
        head_filters=16,
        **settings,
    )


@pytest.fixture(scope="module", params=list(DEEPLABS))
def pair(request):
    """The Garden's own network with random weights, and ours of the same configuration."""
    theirs = garden_deeplab(request.param)
    randomize(theirs.variables)
    return theirs, our_deeplab(request.param)


def assert_same_logits(theirs, ours):
    images = np.random.default_rng(0).uniform(0, 255, [1, 64, 96, 3]).astype(np.float32)
    normalized = ours.get_layer("normalize")(images)
    expected = theirs(normalized, training=False)["logits"]
    assert np.ptp(expected) > 0
    tolerance = 1e-5 * np.ptp(expected)
    np.testing.assert_allclose(ours(images, training=False), expected, rtol=0, atol=tolerance)


def test_deeplab_there_and_back(pair, tmp_path):
    theirs, ours = pair
    written = tf.train.Checkpoint(**theirs.checkpoint_items).write(str(tmp_path / "theirs"))
    loaded = loading.load(ours, written)
    assert_same_logits(theirs, ours)
    back = garden_export.save(ours, str(tmp_path / "out"), loaded)
    assert_equal(stored(back), stored(written))

    expected = [variable.numpy() for variable in theirs.variables]
    randomize(theirs.variables, seed=1)
    status = tf.train.Checkpoint(**theirs.checkpoint_items).read(back)
    status.assert_consumed().assert_existing_objects_matched()
    for variable, value in zip(theirs.variables, expected):
        np.testing.assert_array_equal(variable, value, err_msg=variable.name)


def test_deeplab_trained_here_goes_to_the_garden(pair, tmp_path):
    theirs, ours = pair
    randomize(ours.variables, seed=2)
    randomize(theirs.variables, seed=1)
    prefix = garden_export.save(ours, str(tmp_path / "out"))
    status = tf.train.Checkpoint(**theirs.checkpoint_items).read(prefix)
    # As the Garden's tasks load checkpoints, the classification head included.
    status.expect_partial().assert_existing_objects_matched()
    assert_same_logits(theirs, ours)


@pytest.mark.parametrize("form", ["trainer", "whole"])
def test_deeplab_in_the_trainers_form(form, tmp_path):
    theirs, ours = garden_deeplab("v3"), our_deeplab("v3")
    randomize(theirs.variables)
    objects = {"model": theirs}
    if form == "trainer":
        step = tf.Variable(9, dtype=tf.int64)
        objects |= {**theirs.checkpoint_items, "global_step": step, "optimizer": _trained(theirs)}
    loaded = loading.load(ours, tf.train.Checkpoint(**objects).write(str(tmp_path / "ckpt")))
    assert (loaded.form, loaded.step) == ("garden", 9 if form == "trainer" else None)
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
    assert loaded.form == "garden"
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
