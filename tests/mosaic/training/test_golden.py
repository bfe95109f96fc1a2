"""The networks, their loss and their training against figures of the Model Garden's own code."""

import json
import os
import pathlib
import types

import numpy as np
import pytest
import tensorflow as tf

from mosaic.checkpoints import loading
from mosaic.models import mosaic
from mosaic.training import losses, optimizers, task

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_GOLDEN = pathlib.Path(os.environ.get("MOSAIC_SHARED") or _ROOT.parent / "shared") / "golden"
_NAMES = sorted(path.parent.name for path in _GOLDEN.glob("*/golden.json"))


def _build(settings):
    return mosaic.mosaic(
        num_classes=settings["num_classes"],
        branch_filters=settings["branch_filter_depths"],
        bins=settings["pyramid_pool_bin_nums"],
        decoder_filters=settings["decoder_filters"][0],
        projected_filters=settings["decoder_projected_filters"],
        dropout=settings["dropout_rate"],
        weight_decay=settings["l2_weight_decay"],
        norm_momentum=settings["norm_momentum"],
        norm_epsilon=settings["norm_epsilon"],
    )


def _optimizer(settings):
    schedule = optimizers.polynomial_decay(
        settings["initial_learning_rate"], settings["decay_steps"], settings["power"]
    )
    schedule = optimizers.linear_warmup(schedule, settings["warmup"] or 0)
    return optimizers.sgd(schedule, settings["momentum"])


@pytest.fixture(scope="module", params=_NAMES or [None])
def golden(request, shared):
    """One folder of golden files: settings, arrays, and a network of those settings."""
    folder = shared(f"golden/{request.param or 'NAME'}")
    settings = json.loads((folder / "golden.json").read_text())
    with np.load(folder / "golden.npz") as arrays:
        arrays = dict(arrays)
    return types.SimpleNamespace(
        folder=folder, settings=settings, arrays=arrays, model=_build(settings)
    )


@pytest.fixture
def exact_graph():
    """Runs compiled steps as written, as `mosaic.distribution.runtime` does."""
    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    after = {"disable_meta_optimizer": before.get("disable_meta_optimizer", False)}
    tf.config.optimizer.set_experimental_options(after)


@pytest.mark.parametrize("form", ["ckpt", "best_ckpt"])
def test_logits(golden, form, record_property):
    if form == "best_ckpt" and not (golden.folder / form).is_dir():
        pytest.skip(f"{golden.folder.name} has no {form}")
    for variable in golden.model.variables:
        variable.assign(tf.zeros_like(variable))
    checkpoint = loading.load(golden.model, str(golden.folder / form))
    assert checkpoint.format == "garden"
    logits = golden.model(golden.arrays["images"], training=False)
    difference = np.max(np.abs(logits - golden.arrays["logits"]))
    record_property("golden_logits", float(difference))
    assert difference <= 1e-4


def test_weight_decay(golden):
    loading.load(golden.model, str(golden.folder / "ckpt"))
    if not golden.settings["l2_weight_decay"]:
        assert not golden.model.losses
        return
    expected = golden.arrays["losses_weight_decay"][0]
    expected -= golden.arrays.get("losses_weight_decay_unused", [0.0])[0]
    np.testing.assert_allclose(tf.add_n(golden.model.losses), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "recompute",
    [False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["whole", "recompute"],
)
def test_training(golden, exact_graph, recompute, record_property):
    """Every loss of the Garden's trainer, and the network that its steps lead to."""
    model, arrays = golden.model, golden.arrays
    loading.load(model, str(golden.folder / "ckpt"))
    dataset = types.SimpleNamespace(
        num_classes=golden.settings["num_classes"],
        ignore_label=255,
        class_names=[str(index) for index in range(golden.settings["num_classes"])],
        crop_size=arrays["images"].shape[1:3],
    )
    batch = len(arrays["images"])
    training = task.SegmentationTask(
        model, dataset, losses.CrossEntropy(), batch, seed=0, recompute=recompute
    )
    optimizer = _optimizer(golden.settings)
    inputs = tf.constant(arrays["images"]), tf.constant(arrays["labels"])

    @tf.function
    def step():
        return training.train_step(inputs, model, optimizer)[training.loss]

    found = [float(step()) for _ in arrays["losses"]]
    expected = arrays["losses"] - arrays.get("losses_weight_decay_unused", 0.0)
    losses_differ = np.max(np.abs(found / expected - 1))
    logits = model(arrays["images"], training=False)
    logits_differ = np.max(np.abs(logits - arrays["logits_after"]))
    record_property("golden_losses", float(losses_differ))
    record_property("golden_logits_after", float(logits_differ))
    assert losses_differ <= 1e-4 and logits_differ <= 1e-3
