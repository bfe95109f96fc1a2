"""Logits, labels and a data set for losses."""

import types

import numpy as np
import tensorflow as tf

CLASSES = 4


def made_batch(ignore_label=255, ignored=0.3):
    """Logits at a quarter of the labels' size, and labels of which some are ignored."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, [2, 4, 6, CLASSES]).astype(np.float32)
    labels = rng.integers(0, CLASSES, [2, 16, 21])
    labels[rng.uniform(size=labels.shape) < ignored] = ignore_label
    return tf.constant(labels, tf.int32), tf.constant(logits)


def own_dataset(ignore_label):
    return types.SimpleNamespace(name="own", num_classes=CLASSES, ignore_label=ignore_label)
