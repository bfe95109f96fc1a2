"""The segmentation task: its loss, its steps and its figures."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from loss_inputs import made_batch, own_dataset
from mosaic.checkpoints.run_record import Entry
from mosaic.evaluation.metrics import count_pixels
from mosaic.evaluation.protocols import Evaluation
from mosaic.inference.letterbox import letterbox
from mosaic.inference.predictors import of_network
from mosaic.training.losses import CrossEntropy, SoftJaccard, SumOfLosses
from mosaic.training.task import InitialWeights, SegmentationTask
from mosaic.utils.errors import UserError


def test_the_data_sets_ignore_label_reaches_the_loss():
    """Every part of the loss of a task gives what it gives for the same pixels under 255."""
    found = SegmentationTask(
        None, own_dataset(200), SumOfLosses([CrossEntropy(), SoftJaccard()]), 2, 0
    ).segmentation_loss(*made_batch(200))
    expected = [loss(*made_batch()) for loss in (CrossEntropy(), SoftJaccard())]
    np.testing.assert_allclose(found, sum(expected), rtol=1e-6)


def test_what_a_run_starts_from_can_be_recorded(drawn, small_network, tmp_path, monkeypatch):
    monkeypatch.setattr(SegmentationTask, "_some_images", lambda task: ())
    path = str(tmp_path / "ckpt")
    tf.train.Checkpoint(model=small_network).write(path)
    initial = InitialWeights(path, ("",))
    task = SegmentationTask(small_network, drawn, CrossEntropy(), 1, 0, initial=initial)
    task.initialize(small_network)
    start = dataclasses.asdict(Entry(configuration={}, step=0, start=task.start))["start"]
    assert (start["format"], start["prefixes"]) == ("mosaic", [""])


def test_figures_are_those_of_the_counted_pixels(drawn, small_network):
    task = SegmentationTask(small_network, drawn, CrossEntropy(), 1, 0)
    truth = drawn.labels[:1]
    task.confusion.update_state(truth, np.zeros_like(truth))
    logs = task.reduce_aggregated_logs({})
    share = np.mean(truth[truth != 255] == 0)
    assert logs["iou/dark"] == pytest.approx(share)
    assert logs["mean_iou"] == pytest.approx(share / 2)


def test_a_split_without_labelled_pixels_is_told(drawn, small_network):
    task = SegmentationTask(small_network, drawn, CrossEntropy(), 1, 0, Evaluation("test"))
    with pytest.raises(UserError, match="drawn test: no labelled pixels to score on"):
        task.reduce_aggregated_logs({})


def test_padded_evaluation_counts_what_the_final_one_does(drawn, small_network):
    evaluation = Evaluation(padded_size=(96, 160), batch_size=2)
    task = SegmentationTask(
        small_network, drawn, CrossEntropy(), batch_size=2, seed=0, evaluation=evaluation
    )
    final = letterbox(of_network(small_network), (96, 160), evaluation.padding)
    step = tf.function(task.validation_step)
    expected = 0
    for images, labels in drawn.eval_batches("val", 2):
        step((images, labels), small_network)
        expected += count_pixels(labels, final(images), 3, 255).numpy()
    found = task.confusion.result().numpy()
    assert found.sum() == expected.sum()
    assert np.abs(found - expected[:, :3]).sum() <= 2e-4 * expected.sum()  # batch norm is folded
