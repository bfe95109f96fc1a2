"""Batch norm of several replicas that keeps the statistics that a single one would keep."""

from __future__ import annotations

import tensorflow as tf
import tf_keras


@tf_keras.utils.register_keras_serializable("mosaic")
class SynchronizedNorm(tf_keras.layers.BatchNormalization):
    """Batch norm whose statistics are those of the whole batch, however many replicas share it.

    With `synchronized`, tf_keras normalises by the mean and variance of all replicas, but adds this
    variance to the moving one, while the fused kernel of a single replica adds Bessel's estimate of
    the variance that the batch is a sample of: n / (n - 1) times as much with n values a channel.
    Here the moving variance gets that too, with the n of all replicas.
    """

    def _calculate_mean_and_var(self, inputs, reduction_axes, keep_dims, mask=None):
        found = super()._calculate_mean_and_var(inputs, reduction_axes, keep_dims, mask)
        # All replicas have as many examples of one size: the global batch divides among them.
        own = tf.reduce_prod([tf.shape(inputs)[axis] for axis in reduction_axes])
        count = own * tf.distribute.get_strategy().num_replicas_in_sync
        self._correction = tf.cast(count / tf.maximum(count - 1, 1), self.moving_variance.dtype)
        return found

    def _assign_moving_average(self, variable, value, momentum, inputs_size):
        if variable is self.moving_variance:
            value *= self._correction
        return super()._assign_moving_average(variable, value, momentum, inputs_size)
