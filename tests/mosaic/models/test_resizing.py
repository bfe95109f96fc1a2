"""Bilinear resizes by every rule."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from mosaic.models import resizing


@pytest.mark.parametrize(
    "settings, expected",
    [
        ((True,), [0, 0.25, 0.75, 1]),
        ((False,), [0, 0.5, 1, 1]),
        ((False, True), [0, 1 / 3, 2 / 3, 1]),
        ((True, True), [0, 1 / 3, 2 / 3, 1]),
    ],
)
def test_resize(settings, expected):
    x = tf.constant([0.0, 1.0], shape=[1, 1, 2, 1])
    layer = resizing.ResizeLike(*settings)
    resized = layer.from_config(layer.get_config())([x, tf.zeros([1, 1, 4, 5])])
    np.testing.assert_allclose(np.ravel(resized), expected)


def test_resize_of_one_pixel_repeats_it():
    x = tf.constant([3.0, 4.0], shape=[1, 1, 1, 2])
    resized = resizing.ResizeLike()([x, tf.zeros([1, 2, 3, 5])])
    np.testing.assert_array_equal(resized, np.broadcast_to([3.0, 4.0], [1, 2, 3, 2]))


def test_predictions_are_those_of_the_resized_logits():
    logits = np.random.default_rng(0).normal(size=[2, 3, 4, 5]).astype(np.float32)
    expected = np.argmax(tf.image.resize(logits, [9, 10]), -1)
    found = resizing.predictions(tf.constant(logits), (9, 10))
    assert found.dtype == tf.int32
    np.testing.assert_array_equal(found, expected)


def test_a_map_of_its_own_size_passes_unchanged():
    x = tf.random.stateless_normal([1, 4, 5, 2], [1, 2])
    assert resizing.resize_bilinear(x, (4, 5)) is x


@pytest.mark.parametrize(
    "kind, resized", [(resizing.ResizeLike, False), (resizing.ResizeAlways, True)]
)
def test_one_pixel_can_be_resized_instead_of_repeated(kind, resized):
    traced = tf.function(lambda x: kind()([x, tf.zeros([1, 2, 3, 1])]))
    graph = traced.get_concrete_function(tf.TensorSpec([1, 1, 1, 2])).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert ("ResizeBilinear" in kinds) == resized
    assert ("BroadcastTo" in kinds) != resized


@pytest.mark.parametrize(
    "rules, expected",
    [
        (((True, False), (True, False)), resizing.HALF_PIXEL),
        (((True, False), (False, False)), resizing.LEGACY),
        (((False, True), (False, True)), resizing.ALIGNED),
    ],
)
def test_a_network_has_the_rule_of_all_its_resizes(rules, expected):
    low, high = tf_keras.Input([2, 2, 1]), tf_keras.Input([4, 4, 1])
    outputs = [resizing.ResizeLike(*rule)([low, high]) for rule in rules]
    model = tf_keras.Model([low, high], outputs)
    assert resizing.rule_of(model) == expected


@pytest.mark.parametrize("rule", sorted(resizing.RULES))
@pytest.mark.parametrize(("of", "to"), [((7, 5), (40, 33)), ((1, 6), (9, 20)), ((20, 12), (13, 8))])
def test_some_rows_are_those_of_the_whole(rule, of, to):
    x = tf.constant(np.random.default_rng(0).normal(size=(1, *of, 3)), tf.float32)
    whole = resizing.resize_bilinear(x, to, rule)
    parts = [
        resizing.resized_rows(x, to, top, min(4, to[0] - top), rule) for top in range(0, to[0], 4)
    ]
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=1e-5)
