"""The Garden's own way of scoring Cityscapes, beside its own code."""

import types

import numpy as np
import tensorflow as tf
import tf_keras
from official.vision.dataloaders import tfds_segmentation_decoders
from official.vision.evaluation import segmentation_metrics

from drawn import Drawn
from mosaic.evaluation import published
from mosaic.evaluation.evaluator import Origin, evaluate
from mosaic.evaluation.garden_protocol import GardenCounts, through_jpeg
from mosaic.evaluation.protocols import Evaluation
from mosaic.inference.predictors import Predictor


def frames(shape, seed=0):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (shape[0], shape[1] // 4, shape[2] // 4, 3))
    return np.kron(blocks, np.ones((1, 4, 4, 1))).astype(np.uint8)


def test_frames_are_those_of_the_gardens_reader():
    images = frames((2, 32, 48))
    decoder = tfds_segmentation_decoders.CityScapesDecorder()
    found = through_jpeg(tf.constant(images)).numpy()
    for image, ours in zip(images, found, strict=True):
        example = {"image_left": tf.constant(image), "segmentation_label": tf.zeros([32, 48, 1])}
        example["segmentation_label"] = tf.cast(example["segmentation_label"], tf.uint8)
        content = decoder.decode(example)["image/encoded"]
        np.testing.assert_array_equal(ours, tf.io.decode_image(content))
    assert (found != images).mean() > 0.5


def test_counts_are_those_of_the_gardens_metric():
    """Its metric over the second batch: the first is forgotten, and a rest is not reached."""
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 3, (2, 7, 8, 12))
    counts = GardenCounts(3, batch_size=3, steps=2)
    for index, (labels, answers) in enumerate(zip(truth, predicted, strict=True)):
        matrix = np.zeros((3, 4), np.int64)
        np.add.at(matrix, (labels.ravel(), answers.ravel()), 1)
        counts.see(types.SimpleNamespace(index=index, counts=matrix))
    metric = segmentation_metrics.MeanIoU(3)
    masks = tf.constant(truth[3:6, ..., np.newaxis])
    y_true = {"masks": masks, "valid_masks": tf.ones_like(masks, tf.bool), "image_info": None}
    metric.update_state(y_true, tf.one_hot(predicted[3:6], 3))
    np.testing.assert_array_equal(counts.matrix, metric.total_cm.numpy())
    assert counts.num_images == 3


def test_a_class_has_no_more_pixels_in_a_batch_than_a_float_can_count():
    pixels = 2**24 + 9
    metric = tf_keras.metrics.MeanIoU(2, dtype=tf.float32)
    ones = tf.ones([pixels], tf.int32)
    metric.update_state(ones, ones, tf.ones([pixels]))
    counts = GardenCounts(2, batch_size=1, steps=2)
    counts.see(types.SimpleNamespace(index=1, counts=np.array([[0, 0, 0], [0, pixels, 0]])))
    np.testing.assert_array_equal(counts.matrix, metric.total_cm.numpy())
    assert counts.matrix[1, 1] == 2**24


def brightness(images):
    """Logits by a threshold that noise of JPEG crosses."""
    bright = tf.reduce_mean(tf.cast(images, tf.float32), -1) > 127
    return tf.one_hot(tf.cast(bright, tf.int32), 3)


ROW = {
    "mean_iou": 0.5,
    "source": "a test",
    "settings": {"split": "val"},
    "garden_protocol": {"batch_size": 2, "steps": 3},
}


def report(tmp_path, monkeypatch, is_garden=True, **settings):
    monkeypatch.setattr(published, "result", lambda key: ROW)
    dataset = Drawn(5)
    evaluation = Evaluation(published="key", num_pictures=0, batch_size=2, **settings)
    origin = Origin("x", is_garden=is_garden)
    return evaluate(Predictor(brightness, "network", 3), dataset, evaluation, origin, str(tmp_path))


def test_published_weights_are_scored_both_ways(tmp_path, monkeypatch):
    found = report(tmp_path, monkeypatch)
    assert found["num_images"] == 5
    assert found["garden_protocol"]["num_images"] == 3
    clean, garden = found["verdict"]["ways"]
    assert clean["mean_iou"] == found["mean_iou"] == 1.0
    assert garden["mean_iou"] == found["garden_protocol"]["mean_iou"] < 1.0
    text = published.lines(found["verdict"])
    assert (
        text[1]
        == "  all images, from their files: 100.00 (+50.00 points), does not meet the figure"
    )
    assert "the Garden&#39;s own way" in (tmp_path / "report.html").read_text()


def test_other_weights_and_who_does_not_want_it_are_scored_once(tmp_path, monkeypatch):
    for settings in ({"is_garden": False}, {"garden_protocol": False}):
        found = report(tmp_path, monkeypatch, **settings)
        assert "garden_protocol" not in found and found["verdict"]["ways"] == []
