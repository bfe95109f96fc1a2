"""TFLite files converted without metadata."""

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.models.layers import Normalize


def convert(network, output="logits", quantize=None):
    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3], tf.float32, "images")])
    def answer(images):
        logits = network(images)
        return tf.argmax(logits, -1, output_type=tf.int32) if output == "labels" else logits

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [answer.get_concrete_function()], network
    )
    if quantize:
        ramp = np.linspace(-100, 155, 192, dtype=np.float32).reshape(1, 8, 8, 3)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: [[ramp]]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = quantize
    return converter.convert()


def tiny_network():
    """A normalisation and one convolution."""
    images = tf_keras.Input([None, None, 3], name="images")
    x = Normalize((120, 110, 100), (60, 50, 40))(images)
    return tf_keras.Model(images, tf_keras.layers.Conv2D(3, 1)(x), name="tiny")
