"""Networks restructured for int8 files: the same function of the image, in faster operators.

Measured per operator (`python benchmark.py --profile`), two things besides the convolutions take
most of an int8 file's time: normalisation, three operators over the whole image, and average
pooling, which kernel libraries do not have in int8. Here the first convolution takes the image's
bytes without normalisation, and pooling is done by convolutions (`mosaic.models.pooling`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.models.batch_norm import beginning
from mosaic.models.exchange import exchanged
from mosaic.models.fake_quant import round_to
from mosaic.models.pooling import PoolToBins, PoolToBinsByConvolution
from mosaic.models.resizing import ResizeAlways, ResizeLike

_IN_INTEGERS = {PoolToBins: PoolToBinsByConvolution, ResizeLike: ResizeAlways}


def from_pixels(
    model: tf_keras.Model, as_stored: bool = False, learnt: bool = False
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Makes normalisation part of the first convolution.

    The file's input then is pixels in 0..255, whose bytes are also its stored numbers (less 128 for
    int8), so that whoever quantizes by scale and zero point feeds the same as whoever copies bytes.

    A convolution pads with 0, which must stand for the mean colour and not for black. So a grey,
    the mean of the three means, is taken from the image first, which in integers only moves the
    zero point. Where the three differ, the outermost row and column of its output change.

    Args:
      model: network of this project.
      as_stored: whether the first kernel is rounded as an int8 file stores it. What is left of the
        mean times the kernel is part of the bias: it must be what the rounded kernel takes from it.
      learnt: whether the function tells its own ranges to the converter, as a network of
        quantization-aware training does.

    Returns:
      A function that returns logits of [batch, height, width, 3], float32 images in 0..255 of a
      size that is known. A network that does not begin with normalisation and a plain convolution
      is not changed.
    """
    normalize, first = beginning(model)
    # Of a copy: a model that starts inside another would add nodes to the layers of both.
    copy = in_integers(model)
    if first is None:
        return lambda images: copy(images, training=False)
    mean, std = np.asarray(normalize.mean), np.asarray(normalize.std)
    rest = tf_keras.Model(copy.get_layer(first.name).output, copy.output)
    kernel = first.kernel.numpy() / std[:, np.newaxis]
    kernel = _as_stored(kernel) if as_stored else kernel
    grey = float(round(np.mean(mean)))
    offset = np.einsum("hwio,i->o", kernel, grey - mean)

    def forward(pixels):
        x = pixels - grey
        x = _padded(round_to(x, -grey, 255.0 - grey) if learnt else x, first)
        weights = tf.constant(kernel, tf.float32)
        padding = first.padding.upper()
        x = tf.nn.conv2d(x, weights, first.strides, padding, None, first.dilation_rate)
        x += tf.constant(offset, tf.float32)
        if first.use_bias:
            x += first.bias
        return rest(first.activation(x), training=False)

    return forward


def _as_stored(kernel: np.ndarray) -> np.ndarray:
    """A kernel as an int8 file rounds it: one scale for each output channel."""
    step = np.max(np.abs(kernel), axis=(0, 1, 2)) / 127
    step[step == 0] = 1.0
    return np.round(kernel / step) * step


def _padded(x: tf.Tensor, layer: tf_keras.layers.Conv2D) -> tf.Tensor:
    """Images with the zeros around them that a layer before the convolution adds."""
    before = layer.input.node.layer
    if not isinstance(before, tf_keras.layers.ZeroPadding2D):
        return x
    return tf.pad(x, [(0, 0), *before.padding, (0, 0)])


def in_integers(model: tf_keras.Model) -> tf_keras.Model:
    """Returns a copy of a network in which other layers replace those that int8 files lack.

    Args:
      model: functional model of plain layers, which stays as it is.
    """
    return exchanged(model, _IN_INTEGERS)


def samples(images: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Representative images for `from_pixels`' function, in the converter's format.

    The converter derives the input's scale from the values that it sees. They go from black to
    white, so that one quantization step of the input is one step of the image's bytes.

    Args:
      images: uint8 [height, width, 3] each.
    """
    for number, image in enumerate(images):
        if number == 0:
            image = image.copy()
            image[0, :2] = [[0], [255]]
        yield [image[np.newaxis].astype(np.float32)]
