"""Losses image by image: values and gradients of the whole batch at once."""

import numpy as np
import pytest
import tensorflow as tf

from loss_inputs import CLASSES, made_batch, own_dataset
from mosaic.models.resizing import HALF_PIXEL, LEGACY, resize_bilinear
from mosaic.training import loss_by_image
from mosaic.training.loss_by_image import by_image
from mosaic.training.losses import CrossEntropy, SoftJaccard, SumOfLosses, parts_of
from mosaic.training.task import SegmentationTask
from tiny_network import tiny

WEIGHTS = (0.5, 1.0, 2.0, 4.0)
LOSSES = {
    "plain": [CrossEntropy()],
    "by_image": [CrossEntropy(class_weights=WEIGHTS, top_k=0.3, normalization="image")],
    "hardest": [CrossEntropy(label_smoothing=0.1, top_k=0.3)],
    "jaccard": [SoftJaccard(0.5)],
    "sum": [CrossEntropy(class_weights=WEIGHTS), SoftJaccard()],
}


def _at_once(parts, labels, logits, rule):
    """The losses by what they measure of all images, as TensorFlow derives them."""
    logits = resize_bilinear(logits, labels.shape[1:3], rule)
    return sum(part.total(part.count(labels), part.measure(labels, logits)) for part in parts)


def _take_together(monkeypatch, labels, count):
    """Has the losses take so many images of a batch at a time."""
    size = labels.shape[1:].num_elements() * CLASSES * tf.float32.size
    monkeypatch.setattr(loss_by_image, "_TOGETHER", count * size)


@pytest.mark.parametrize("together", [1, 2, 4])
@pytest.mark.parametrize(
    ("name", "rule"), [*((name, HALF_PIXEL) for name in LOSSES), ("plain", LEGACY)]
)
def test_value_and_gradient(monkeypatch, name, rule, together):
    labels, logits = (tf.concat([part, part[::-1]], 0) for part in made_batch())
    _take_together(monkeypatch, labels, together)
    parts = LOSSES[name]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        expected = 3.0 * _at_once(parts, labels, logits, rule)
        found = 3.0 * tf.function(by_image)(parts, labels, logits, rule, recompute=True)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    gradient = tape.gradient(expected, logits)
    np.testing.assert_allclose(tape.gradient(found, logits), gradient, atol=1e-7)


def _largest(function, labels, logits):
    """Number of values in the largest tensor of a function, of those outside of its loops."""
    graph = tf.function(function, autograph=False).get_concrete_function(labels, logits).graph
    outputs = [output for x in graph.get_operations() for output in x.outputs]
    return max(x.shape.num_elements() or 0 for x in outputs if x.shape.rank is not None)


@pytest.mark.parametrize(
    ("parts", "recompute", "is_small"),
    [("plain", False, True), ("by_image", False, True), ("sum", False, False), ("sum", True, True)],
)
def test_full_size_logits_are_those_of_one_image(monkeypatch, parts, recompute, is_small):
    labels, logits = made_batch()
    _take_together(monkeypatch, labels, 1)

    def loss(labels, logits):
        return by_image(LOSSES[parts], labels, logits, recompute=recompute)

    whole = labels.shape.num_elements() * CLASSES
    assert (_largest(loss, labels, logits) < whole) == is_small


@pytest.mark.parametrize(
    ("count", "size", "together"),
    [
        (8, (128, 256), 8),
        (7, (128, 256), 7),
        (8, (360, 480), 2),
        (9, (360, 480), 1),
        (2, (1024, 2048), 1),
    ],
)
def test_small_images_are_taken_together(count, size, together):
    labels = tf.zeros([count, *size], tf.uint8)
    found = []

    class Seen(CrossEntropy):
        def measure(self, labels, logits):
            found.append(labels.shape[0])
            return super().measure(labels, logits)

    tf.function(lambda: by_image([Seen()], labels, tf.zeros([count, 8, 16, 11])))()
    assert found == [together]


def test_only_losses_of_this_project_are_taken_apart():
    class Own(CrossEntropy):
        def __call__(self, labels, logits):
            return tf.constant(7.0)

    known = CrossEntropy()
    assert parts_of(SumOfLosses([known, SumOfLosses([known])])) == [known, known]
    assert parts_of(Own()) is None
    assert parts_of(SumOfLosses([known, Own()])) is None
    labels, logits = made_batch()
    task = SegmentationTask(tiny(), own_dataset(255), Own(), 2, 0)
    assert task.build_losses(labels, logits) == 7.0


def test_half_precision_logits():
    labels, logits = made_batch()
    half = tf.cast(logits, tf.float16)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([logits, half])
        losses = [1024.0 * CrossEntropy()(labels, x) for x in (logits, half)]
    expected, found = (tape.gradient(*pair) for pair in zip(losses, (logits, half)))
    assert losses[1].dtype == tf.float32 and found.dtype == tf.float16
    np.testing.assert_allclose(tf.cast(found, tf.float32), expected, atol=0.05)
