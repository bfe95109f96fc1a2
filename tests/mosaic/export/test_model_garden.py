"""Networks written as the Garden's checkpoints, and what the Garden reads of them."""

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf
from official.vision.modeling.backbones.mobilenet import MobileNet

from checkpoints import stored
from garden_networks import (
    DEEPLABS,
    WIDTH,
    assert_equal,
    assert_same_logits,
    garden_deeplab,
    our_deeplab,
    randomize,
    values,
)
from mosaic import experiment
from mosaic.checkpoints import loading
from mosaic.export import export_checkpoint
from mosaic.export import model_garden as garden_export
from mosaic.models import mosaic
from mosaic.models.deeplab import deeplab
from mosaic.models.variables import variable_name
from mosaic.utils.errors import RunError, UserError

# MobileNetMultiAVGSeg's convolution that only a classification network reads.
HEAD = "backbone/layer_with_weights-18/"


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
    assert not np.any(found[f"{HEAD}_conv0/kernel"])
    assert np.all(found[f"{HEAD}_norm0/gamma"] == 1)
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
    monkeypatch.setattr(export_checkpoint, "opened", lambda path: path)
    loaded = loading.load(paper, str(golden / "best_ckpt"))
    if source == "tflite":
        loaded = dataclasses.replace(loaded, format="tflite", step=None)
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


@pytest.fixture(scope="module", params=list(DEEPLABS))
def pair(request):
    """The Garden's own network with random weights, and ours of the same configuration."""
    theirs = garden_deeplab(request.param)
    randomize(theirs.variables)
    return theirs, our_deeplab(request.param)


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
