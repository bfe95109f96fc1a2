"""Batch norm's moving averages measured on images, with inference as it was.

Files with batch norm folded into convolutions do not say what its averages were. Any will do for
inference; for training mode to start where inference is, they must be those of what a layer sees.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.utils.errors import UserError


def calibrate(model: tf_keras.Model, images: Iterable[np.ndarray]) -> None:
    """Sets batch norm's moving averages to statistics of images, inference unchanged.

    What every batch norm sees in inference is measured in one pass, since no layer's output
    changes. Its scale and offset are set to give the same function of the input as before.

    Args:
      model: a functional model of plain layers.
      images: uint8 or float [height, width, 3] in 0..255; each counts by its pixels.

    Raises:
      UserError: there are no images, or they lead to values that are not finite.
    """
    norm = tf_keras.layers.BatchNormalization
    norms = [layer for layer in model.layers if isinstance(layer, norm)]
    statistics = _statistics(model, norms, images)
    for layer, (mean, variance) in zip(norms, statistics):
        gamma, beta, old_mean, old_variance = (w.astype(np.float64) for w in layer.get_weights())
        factor = gamma / np.sqrt(old_variance + layer.epsilon)
        gamma = factor * np.sqrt(variance + layer.epsilon)
        layer.set_weights([gamma, beta + factor * (mean - old_mean), mean, variance])


def _statistics(
    model: tf_keras.Model, norms: list, images: Iterable[np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean and variance, [channels] each, of every layer's input over all its uses and images."""
    uses = [(k, node) for k, layer in enumerate(norms) for node in range(len(layer.inbound_nodes))]
    inputs = tf_keras.Model(model.inputs, [norms[k].get_input_at(node) for k, node in uses])

    @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.float32)])
    def moments(pixels):
        """Channel sums, sums of squared deviations and counts, so that maps are soon freed."""
        results = []
        for x in tf.nest.flatten(inputs(pixels, training=False)):
            mean, variance = tf.nn.moments(x, [0, 1, 2])
            results.append((mean, variance, tf.size(x) / tf.shape(x)[-1]))
        return results

    totals = [[np.float64(0), np.float64(0), np.float64(0)] for _ in norms]
    for image in images:
        results = moments(tf.constant(np.asarray(image, np.float32)[np.newaxis]))
        for (k, _), result in zip(uses, results):
            _merge(totals[k], *(np.asarray(value, np.float64) for value in result))
    if any(count == 0 for _, _, count in totals):
        raise UserError("batch norm's statistics need at least one image")
    if not all(np.all(np.isfinite(mean + variance)) for mean, variance, _ in totals):
        raise UserError("batch norm's statistics on these images are not finite")
    return [(mean, variance) for mean, variance, _ in totals]


def _merge(total: list, mean: np.ndarray, variance: np.ndarray, count: np.ndarray) -> None:
    """Adds one image's statistics to a total (Chan et al., 1979: no sums of large squares)."""
    old_mean, old_variance, old_count = total
    whole = old_count + count
    share = count / whole
    shift = mean - old_mean
    total[0] = old_mean + share * shift
    total[1] = (1 - share) * old_variance + share * variance + share * (1 - share) * shift**2
    total[2] = whole
