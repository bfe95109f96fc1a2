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
from mosaic.models.pooling import PoolToBins, PoolToBinsByConvolution
from mosaic.models.resizing import ResizeAlways, ResizeLike

_IN_INTEGERS = {PoolToBins: PoolToBinsByConvolution, ResizeLike: ResizeAlways}


def from_pixels(model: tf_keras.Model) -> tuple[Callable[[tf.Tensor], tf.Tensor], int]:
    """Makes normalisation part of the first convolution.

    That convolution pads the image with the centre, which must be a single number. So if
    normalisation has a different mean for each channel, padding is not exactly the mean colour;
    this only changes the outermost row and column of its output.

    Args:
      model: network of this project.

    Returns:
      (function, centre): the function returns logits of [batch, height, width, 3], float32 images
      in 0..255 minus the centre. A network that does not begin with normalisation and a plain
      convolution is not changed, with centre 0.
    """
    normalize, first = beginning(model)
    # Of a copy: a model that starts inside another would add nodes to the layers of both.
    copy = in_integers(model)
    if first is None:
        return lambda images: copy(images, training=False), 0
    mean, std = np.asarray(normalize.mean), np.asarray(normalize.std)
    centre = round(float(np.mean(mean)))
    rest = tf_keras.Model(copy.get_layer(first.name).output, copy.output)
    scale, offset = (
        tf.constant(values[:, np.newaxis], tf.float32)
        for values in (1 / std, (centre - mean) / std)
    )

    def forward(pixels):
        kernel = first.kernel
        x = tf.nn.conv2d(
            pixels, kernel * scale, first.strides, first.padding.upper(), None, first.dilation_rate
        )
        x += tf.reduce_sum(kernel * offset, [0, 1, 2])
        if first.use_bias:
            x += first.bias
        return rest(first.activation(x), training=False)

    return forward, centre


def in_integers(model: tf_keras.Model) -> tf_keras.Model:
    """Returns a copy of a network in which other layers replace those that int8 files lack.

    Args:
      model: functional model of plain layers, which stays as it is.
    """

    def convert(layer):
        kind = _IN_INTEGERS.get(type(layer), type(layer))
        return kind.from_config(layer.get_config())

    copy = tf_keras.models.clone_model(model, clone_function=convert)
    copy.set_weights(model.get_weights())
    return copy


def samples(images: Iterable[np.ndarray], centre: int) -> Iterator[list[np.ndarray]]:
    """Representative images for `from_pixels`' function, in the converter's format.

    The converter derives the input's scale from the values that it sees. They go from black to
    white, so that one quantization step of the input is one step of the image's bytes.

    Args:
      images: uint8 [height, width, 3] each.
      centre: centre from `from_pixels`.
    """
    for number, image in enumerate(images):
        if number == 0:
            image = image.copy()
            image[0, :2] = [[0], [255]]
        yield [image[np.newaxis].astype(np.float32) - centre]
