"""What TensorFlow computes on."""

from __future__ import annotations

import tensorflow as tf


def computes_on_cpu() -> bool:
    """Whether TensorFlow has neither a GPU nor a TPU here."""
    return not any(map(tf.config.list_logical_devices, ("GPU", "TPU")))
