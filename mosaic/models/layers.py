"""The few weightless layers that tf_keras lacks, and the conv-BN-activation sequence.

Sizes follow the tensors at call time, so one functional model serves every input size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.models.synchronized_norm import SynchronizedNorm

PACKAGE = "mosaic"


@dataclasses.dataclass(frozen=True)
class Norm:
    """Batch normalisation and weight decay, the settings that every convolution shares.

    Attributes:
      momentum: momentum of the moving averages, 0 to 1.
      epsilon: number added to the variance.
      synchronized: whether several replicas share their batch statistics; a single replica always
        uses the faster fused kernel.
      weight_decay: L2 weight decay as in `tf.nn.l2_loss`, that is, half of it goes into the
        Keras regulariser.
    """

    momentum: float = 0.99
    epsilon: float = 0.001
    synchronized: bool = True
    weight_decay: float = 0.0

    def regularizer(self) -> tf_keras.regularizers.Regularizer | None:
        """Returns the L2 regulariser for kernels, or None without weight decay."""
        return tf_keras.regularizers.L2(self.weight_decay / 2.0) if self.weight_decay else None

    def layer(self, name: str) -> tf_keras.layers.BatchNormalization:
        """Returns a batch normalisation layer with these settings."""
        shares = self.synchronized and tf.distribute.get_strategy().num_replicas_in_sync > 1
        kind = SynchronizedNorm if shares else tf_keras.layers.BatchNormalization
        return kind(momentum=self.momentum, epsilon=self.epsilon, synchronized=shares, name=name)


def conv_bn(
    norm: Norm,
    name: str,
    filters: int,
    kernel_size: int = 1,
    strides: int = 1,
    dilation: int = 1,
    activation: str | None = "relu",
    initializer: str = "glorot_uniform",
    padding: str = "same",
):
    """Convolution without bias, batch norm and activation, as a function of a tensor.

    `padding` is `same`, or `centred` for as much on each side: TensorFlow's 'SAME' pads an even
    size less at the top and left where there is a stride.
    """
    return _Sequence(
        _padding(padding, kernel_size, dilation, f"{name}_pad"),
        tf_keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            dilation_rate=dilation,
            padding="valid" if padding == "centred" else padding,
            use_bias=False,
            kernel_initializer=initializer,
            kernel_regularizer=norm.regularizer(),
            name=f"{name}_conv",
        ),
        norm.layer(f"{name}_bn"),
        activation_layer(activation, f"{name}_{activation}"),
    )


def depthwise_bn(
    norm: Norm,
    name: str,
    kernel_size: int,
    strides: int = 1,
    dilation: int = 1,
    activation: str | None = "relu",
    initializer: str = "glorot_uniform",
    decay: bool = True,
    padding: str = "same",
):
    """Depthwise convolution without bias, batch norm and activation, as a function of a tensor.

    `padding` is that of `conv_bn`.
    """
    return _Sequence(
        _padding(padding, kernel_size, dilation, f"{name}_pad"),
        tf_keras.layers.DepthwiseConv2D(
            kernel_size,
            strides=strides,
            dilation_rate=dilation,
            padding="valid" if padding == "centred" else padding,
            use_bias=False,
            depthwise_initializer=initializer,
            depthwise_regularizer=norm.regularizer() if decay else None,
            name=f"{name}_depthwise",
        ),
        norm.layer(f"{name}_bn"),
        activation_layer(activation, f"{name}_{activation}"),
    )


class _Sequence:
    """Layers applied one after the other; calling it twice shares the weights."""

    def __init__(self, *layers):
        self._layers = [layer for layer in layers if layer is not None]

    def __call__(self, x):
        for layer in self._layers:
            x = layer(x)
        return x


def _padding(padding: str, kernel_size: int, dilation: int, name: str):
    """A layer of zeros around the map for `centred` padding, else None."""
    if padding != "centred":
        return None
    return tf_keras.layers.ZeroPadding2D(dilation * (kernel_size - 1) // 2, name=name)


def activation_layer(activation: str | None, name: str) -> tf_keras.layers.Layer | None:
    """Returns a layer with an activation, by its name; None for none."""
    if activation is None:
        return None
    if activation == "relu":
        return tf_keras.layers.ReLU(name=name)
    if activation == "relu6":
        return tf_keras.layers.ReLU(max_value=6.0, name=name)
    if activation == "hard_swish":
        return HardSwish(name=name)
    return tf_keras.layers.Activation(activation, name=name)


def _by_row(operation, x: tf.Tensor, numbers: Sequence[float]) -> tf.Tensor:
    """Combines each pixel of [batch, height, width, channels] with one number for each channel.

    A row of the image is one vector here: TensorFlow takes three times as long to combine three
    numbers with each of its pixels.
    """
    shape = tf.shape(x)
    rows = tf.reshape(x, [shape[0], shape[1], -1])
    row = tf.tile(tf.constant(numbers, x.dtype), shape[2:3])
    return tf.ensure_shape(tf.reshape(operation(rows, row), shape), x.shape)


@tf_keras.utils.register_keras_serializable(PACKAGE)
class Normalize(tf_keras.layers.Layer):
    """Normalises RGB in 0..255: (x / 255 - mean / 255) / (std / 255).

    The operations and their order are those of the Model Garden's `preprocess_ops.normalize_image`.
    Training amplifies a difference in the last bit of its input to the third digit of the loss
    within three steps: equal metrics need equal rounding.
    """

    def __init__(self, mean, std, **kwargs):
        super().__init__(**kwargs)
        self.mean = tuple(mean)
        self.std = tuple(std)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = tf.cast(x, self.compute_dtype) * (1.0 / 255)
        mean, std = ([number / 255 for number in numbers] for numbers in (self.mean, self.std))
        if training:
            return _by_row(tf.divide, _by_row(tf.subtract, x, mean), std)
        # Exports know the normalisation by this form.
        return (x - tf.constant(mean, x.dtype)) / tf.constant(std, x.dtype)

    def get_config(self) -> dict:
        return {**super().get_config(), "mean": self.mean, "std": self.std}


@tf_keras.utils.register_keras_serializable(PACKAGE)
class AddByChannel(tf_keras.layers.Layer):
    """Adds one number to each channel of images [batch, height, width, channels]."""

    def __init__(self, numbers, **kwargs):
        super().__init__(**kwargs)
        self.numbers = tuple(numbers)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return _by_row(tf.add, x, self.numbers)

    def get_config(self) -> dict:
        return {**super().get_config(), "numbers": self.numbers}


@tf_keras.utils.register_keras_serializable(PACKAGE)
class HardSwish(tf_keras.layers.Layer):
    """x * min(max(x + 3, 0), 6) / 6 (MobileNetV3, arXiv 1905.02244, section 5.2).

    Written as TensorFlow Lite's converter knows it, which makes it one operator.
    """

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


@tf_keras.utils.register_keras_serializable(PACKAGE)
class HardSigmoid(tf_keras.layers.Layer):
    """min(max(x + 3, 0), 6) * 0.16667, the gate of research/deeplab's networks.

    The factor is theirs: 1/6 would differ from it by 2e-5, in each of up to ten gates.
    """

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu6(x + 3.0) * 0.16667


def squeeze_excitation(x, norm: Norm, name: str, filters: int, gate: str, initializer: str):
    """Scales each channel by a factor computed from the means of all (arXiv 1709.01507).

    Args:
      x: Keras tensor [batch, height, width, channels].
      norm: batch normalisation, which is not used here, and weight decay.
      name: prefix of the layers' names.
      filters: number of filters of the first of the two 1x1 convolutions.
      gate: activation of the second, `sigmoid` or `hard_sigmoid`.
      initializer: initializer of both kernels.
    """

    def conv(unit, filters, activation):
        return tf_keras.layers.Conv2D(
            filters,
            1,
            activation=activation,
            kernel_initializer=initializer,
            kernel_regularizer=norm.regularizer(),
            name=f"{name}_{unit}",
        )

    factors = tf_keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_pool")(x)
    factors = conv("reduce", filters, "relu")(factors)
    factors = conv("expand", x.shape[-1], gate if gate == "sigmoid" else None)(factors)
    if gate == "hard_sigmoid":
        factors = HardSigmoid(name=f"{name}_gate")(factors)
    return tf_keras.layers.Multiply(name=f"{name}_scale")([x, factors])


@tf_keras.utils.register_keras_serializable(PACKAGE)
class Dropout(tf_keras.layers.Layer):
    """Dropout whose random state is part of the checkpoint, so that a resumed run continues it.

    Keras' own dropout keeps its state outside of checkpoints.

    Args:
      rate: fraction of the values that become 0, from 0 to below 1; the others are divided
        by (1 - rate).
      per_example: whether the whole map of an example is kept or dropped; for residuals this is
        stochastic depth.
    """

    def __init__(self, rate: float, per_example: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.per_example = per_example
        # This depends on NumPy's global seed, which `tf_keras.utils.set_random_seed` sets.
        self._generator = tf.random.Generator.from_seed(np.random.randint(2**31))

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if not training:
            return x
        seed = self._generator.make_seeds(1)[:, 0]
        shape = [tf.shape(x)[0], 1, 1, 1] if self.per_example else tf.shape(x)
        kept = tf.random.stateless_uniform(shape, seed) >= self.rate
        return tf.where(kept, x / (1.0 - self.rate), 0.0)

    def get_config(self) -> dict:
        return {**super().get_config(), "rate": self.rate, "per_example": self.per_example}


@tf_keras.utils.register_keras_serializable(PACKAGE)
class ChannelSlice(tf_keras.layers.Layer):
    """`size` channels of [batch, height, width, channels], from channel `start` on."""

    def __init__(self, start: int, size: int, **kwargs):
        super().__init__(**kwargs)
        self.start = start
        self.size = size

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x[..., self.start : self.start + self.size]

    def get_config(self) -> dict:
        return {**super().get_config(), "start": self.start, "size": self.size}
