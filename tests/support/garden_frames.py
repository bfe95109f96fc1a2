"""Frames as the Model Garden's parser of segmentation takes them."""

import numpy as np
import tensorflow as tf


def encoded(image, label):
    """An example of an image, uint8 [height, width, 3], and its class indices [height, width]."""
    return {
        "image/encoded": tf.io.encode_png(image),
        "image/segmentation/class/encoded": tf.io.encode_png(label[..., np.newaxis]),
        "image/height": tf.constant(image.shape[0]),
        "image/width": tf.constant(image.shape[1]),
    }
