"""Confusion matrices and the figures that are made of them."""

import numpy as np
import pytest
import tensorflow as tf

from mosaic.evaluation import metrics

IGNORED = 255
TRUTH = np.array([[0, 0, 1, 2], [IGNORED, 1, 1, IGNORED]])
PREDICTED = np.array([[0, 1, 1, 2], [2, 0, 1, 3]])
# Rows the truth, columns the prediction; class 3 is predicted only where the truth is ignored.
MATRIX = np.array([[1, 1, 0, 0], [1, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])


def _confusion(*batches):
    metric = metrics.ConfusionMatrix(4, IGNORED)
    for labels, predicted in batches:
        metric.update_state(tf.constant(labels), tf.constant(predicted))
    return metric


@pytest.mark.parametrize("dtype", [tf.uint8, tf.int32, tf.int64])
def test_count_pixels(dtype):
    counts = metrics.count_pixels(tf.cast(TRUTH, dtype), tf.cast(PREDICTED, dtype), 4, IGNORED)
    assert counts.dtype == tf.int64
    np.testing.assert_array_equal(counts, MATRIX)


def test_ignore_label_among_the_classes():
    counts = metrics.count_pixels(tf.constant([0, 1, 2]), tf.constant([0, 0, 2]), 3, ignore_label=1)
    np.testing.assert_array_equal(counts, np.diag([1, 0, 1]))


def test_iou():
    np.testing.assert_allclose(metrics.iou(MATRIX), [1 / 3, 2 / 4, 1, np.nan])


def test_class_that_is_only_predicted_scores_zero():
    matrix = np.array([[3, 1], [0, 0]])
    np.testing.assert_allclose(metrics.iou(matrix), [3 / 4, 0])
    assert metrics.mean_iou(matrix) == 3 / 8


def test_absent_class_is_no_part_of_the_mean():
    assert metrics.mean_iou(MATRIX) == pytest.approx((1 / 3 + 1 / 2 + 1) / 3)


def test_pixel_accuracy():
    assert metrics.pixel_accuracy(MATRIX) == pytest.approx(4 / 6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "figure",
    [
        metrics.mean_iou,
        metrics.pixel_accuracy,
        metrics.mean_accuracy,
        metrics.frequency_weighted_iou,
    ],
)
def test_nothing_counted(figure):
    assert np.isnan(figure(np.zeros([3, 3], np.int64)))


def test_sum_does_not_depend_on_the_batches():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 3, IGNORED], [6, 5, 7])
    predicted = rng.integers(0, 4, [6, 5, 7])
    whole = _confusion((labels, predicted)).result()
    assert np.sum(whole) == np.sum(labels != IGNORED)
    for cuts in ([1, 2, 3, 4, 5], [4], [2, 3]):
        parts = zip(np.split(labels, cuts), np.split(predicted, cuts), strict=True)
        np.testing.assert_array_equal(_confusion(*parts).result(), whole)


def test_counts_beyond_float32():
    """2 ** 24 + 1 is the first whole number that float32 does not hold."""
    metric = metrics.ConfusionMatrix(2, IGNORED)
    metric.matrix.assign([[2**24, 2**40], [0, 0]])
    metric.update_state(tf.constant([0, 0]), tf.constant([0, 1]))
    assert metric.result().dtype == tf.int64
    np.testing.assert_array_equal(metric.result(), [[2**24 + 1, 2**40 + 1], [0, 0]])


def test_one_batch_beyond_float32():
    labels = tf.zeros([2**24 + 1], tf.uint8)
    assert metrics.count_pixels(labels, labels, 1, IGNORED).numpy() == [[2**24 + 1]]


def test_iou_beyond_float32():
    matrix = np.array([[2**53 + 1, 1], [0, 2**53]])
    assert metrics.iou(matrix).dtype == np.float64
    assert metrics.pixel_accuracy([[2**24 + 1, 0], [1, 0]]) < 1


def test_reset():
    metric = _confusion((TRUTH, PREDICTED))
    np.testing.assert_array_equal(metric.result(), MATRIX)
    metric.reset_state()
    assert not np.any(metric.result())


def test_accuracies():
    assert metrics.mean_accuracy(MATRIX) == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    weighted = (2 * 1 / 3 + 3 * 2 / 4 + 1 * 1) / 6
    assert metrics.frequency_weighted_iou(MATRIX) == pytest.approx(weighted)


def test_column_of_other_answers():
    counts = metrics.count_pixels(tf.constant([0, 1, 1]), tf.constant([0, 2, 1]), 2, IGNORED, True)
    np.testing.assert_array_equal(counts, [[1, 0, 0], [0, 1, 1]])
    np.testing.assert_allclose(metrics.iou(counts), [1, 1 / 2])
    assert metrics.pixel_accuracy(counts) == pytest.approx(2 / 3)
    assert metrics.mean_accuracy(counts) == pytest.approx(3 / 4)


def test_uncounted_class():
    matrix = np.array([[5, 7], [1, 3]])
    np.testing.assert_allclose(metrics.iou(matrix, [0]), [np.nan, 3 / 4])
    assert metrics.mean_iou(matrix, [0]) == metrics.pixel_accuracy(matrix, [0]) == 3 / 4


@pytest.mark.parametrize(
    ("matrix", "answer"),
    [
        ([[0, 5, 0], [0, 3, 0], [0, 0, 0]], 1),
        ([[0, 5, 0], [0, 3, 0], [1, 0, 0]], None),
        ([[0, 0, 0], [0, 3, 0], [0, 0, 0]], None),  # the truth has no other
        ([[0, 0, 5], [0, 0, 3]], 2),  # what no class is
        ([[0, 0], [0, 0]], None),
        ([[9900, 0], [99, 1]], 0),  # hardly anything of the other is found
        ([[9900, 0], [97, 3]], None),  # some of it
        ([[9900, 3], [97, 0]], None),  # nothing is right, but another class is answered
        ([[9999, 0], [0, 1]], None),  # the truth has no more of it
        ([[0, 1, 5], [0, 0, 900]], 2),
    ],
)
def test_the_only_answer(matrix, answer):
    assert metrics.only_answer(np.array(matrix)) == answer
