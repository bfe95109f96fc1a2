"""Predictors that need no network, for the data set in memory."""

import tensorflow as tf

from mosaic.inference.predictors import Predictor


def _threshold(images):
    bright = tf.reduce_mean(tf.cast(images, tf.float32), -1) - 127.0
    return tf.stack([-bright, bright, tf.fill(tf.shape(bright), -1e6)], -1)


# Right everywhere, with logits of dark, bright and absent at stride 1.
threshold = Predictor(_threshold, "network", 3)


# Answers `dark` everywhere.
dark = Predictor(lambda images: tf.zeros(tf.shape(images)[:3], tf.int32), "tflite", None)
