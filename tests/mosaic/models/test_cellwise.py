"""Class indices of enlarged logits, of which only some are enlarged."""

import numpy as np
import pytest
import tensorflow as tf

from mosaic.models import cellwise, resizing

RNG = np.random.default_rng(0)


def pieces(shape: tuple[int, ...]) -> np.ndarray:
    """Logits [batch, height, width, classes] whose highest class is the same over some places."""
    coarse = RNG.normal(size=(shape[0], 3, 4, shape[3])).astype(np.float32)
    smooth = tf.image.resize(coarse, shape[1:3], "bicubic")
    return smooth.numpy() + RNG.normal(0, 0.01, shape).astype(np.float32)


def size_by(rule: str, side: int, height: int, width: int) -> tuple[int, int]:
    if rule == resizing.ALIGNED:
        return (height - 1) * side + 1, (width - 1) * side + 1
    return height * side, width * side


@pytest.mark.parametrize("rule", sorted(resizing.RULES))
@pytest.mark.parametrize("side", [2, 4, 8])
@pytest.mark.parametrize("traced", [False, True])
def test_labels_are_those_of_the_resized_logits(rule, side, traced, monkeypatch):
    logits = pieces((2, 23, 38, 5))
    size = size_by(rule, side, 23, 38)
    expected = resizing.predictions(tf.constant(logits), size, rule)
    assert len(np.unique(expected)) > 2

    def fail(*_):
        raise AssertionError("all logits were resized")

    def labels(x):
        return cellwise.labels_by_cell(x, size, rule)

    if not traced:
        monkeypatch.setattr(cellwise, "predictions", fail)
    found = (tf.function(labels) if traced else labels)(tf.constant(logits))
    assert found.dtype == tf.int32
    np.testing.assert_array_equal(found, expected)


def test_a_class_that_is_highest_only_between_places():
    """Neither corner has it; on the way from one to the other it wins."""
    logits = tf.constant([[[[4.0, 0.0, 3.0], [0.0, 4.0, 3.0]]]])
    found = cellwise.labels_by_cell(logits, (4, 8), resizing.HALF_PIXEL)
    expected = resizing.predictions(logits, (4, 8), resizing.HALF_PIXEL)
    assert set(np.unique(expected)) == {0, 1, 2}
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("rule", "size"),
    [
        (resizing.HALF_PIXEL, (24, 39)),  # as it is
        (resizing.HALF_PIXEL, (72, 117)),  # a factor of 3
        (resizing.HALF_PIXEL, (96, 78)),  # two factors
        (resizing.LEGACY, (50, 80)),
        (resizing.ALIGNED, (96, 156)),
        (resizing.HALF_PIXEL, (12, 20)),
    ],
)
def test_other_sizes(rule, size):
    logits = tf.constant(pieces((1, 24, 39, 4)))
    expected = resizing.predictions(logits, size, rule)
    np.testing.assert_array_equal(cellwise.labels_by_cell(logits, size, rule), expected)


def test_noise_is_resized_at_once(monkeypatch):
    logits = tf.constant(RNG.normal(size=(1, 20, 20, 3)), tf.float32)
    expected = resizing.predictions(logits, (80, 80))

    def fail(*_):
        raise AssertionError("some logits were resized")

    monkeypatch.setattr(cellwise, "_resized", fail)
    np.testing.assert_array_equal(cellwise.labels_by_cell(logits, (80, 80)), expected)


@pytest.mark.parametrize(
    ("rule", "side"), [(resizing.HALF_PIXEL, 6), (resizing.LEGACY, 3), (resizing.ALIGNED, 5)]
)
def test_sides_that_are_no_power_of_two(rule, side):
    """The places between logits are rounded otherwise than TensorFlow does."""
    logits = tf.constant(pieces((1, 23, 38, 5)))
    size = size_by(rule, side, 23, 38)
    expected = resizing.predictions(logits, size, rule)
    found = cellwise.labels_by_cell(logits, size, rule)
    assert np.mean(found == expected) > 0.9999


def test_a_size_that_is_not_known_before():
    logits = pieces((1, 6, 8, 3))

    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3])])
    def labels(x):
        return cellwise.labels_by_cell(x, (24, 32))

    expected = resizing.predictions(tf.constant(logits), (24, 32))
    np.testing.assert_array_equal(labels(tf.constant(logits)), expected)


def test_half_precision():
    logits = tf.cast(pieces((1, 12, 12, 3)), tf.float16)
    expected = resizing.predictions(logits, (48, 48))
    np.testing.assert_array_equal(cellwise.labels_by_cell(logits, (48, 48)), expected)
