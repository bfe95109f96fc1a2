"""Inputs of networks: images in 0..255, their normalisation, and their sizes."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping

import tensorflow as tf
import tf_keras

from mosaic.models.layers import Normalize
from mosaic.models.pooling import PoolToBins
from mosaic.utils.errors import UserError

# Means and standard deviations of RGB in 0..255 that inputs are normalised with.
NORMALIZATIONS = {
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "symmetric": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "unit": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
}


def image_input(normalization: str):
    """Makes an input for RGB images in 0..255 of any size, and normalises it.

    Args:
      normalization: key of `NORMALIZATIONS`: `imagenet`, `symmetric` for x / 127.5 - 1, or `unit`
        for x / 255.

    Returns:
      (input, normalised), Keras tensors [batch, height, width, 3], float32.

    Raises:
      ValueError: unknown normalisation.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(
            f"normalization {normalization!r} is not one of {', '.join(NORMALIZATIONS)}"
        )
    mean, std = NORMALIZATIONS[normalization]
    images = tf_keras.Input([None, None, 3], name="images")
    # In mixed precision too: half precision tells fewer brightnesses apart than there are.
    return images, Normalize(mean, std, dtype="float32", name="normalize")(images)


def check_size(model: tf_keras.Model, height: int, width: int) -> None:
    """Checks that a network takes images of a size.

    Args:
      model: network of this project.
      height: height of the image, in pixels.
      width: width of the image, in pixels.

    Raises:
      UserError: the size is too small for the network's pooling bins.
    """
    size_check(model)(height, width)


def size_check(model: tf_keras.Model) -> Callable[..., None]:
    """Returns `check_size` of a network as a function of (height, width), fast for many sizes.

    A third argument is text for the message, of what else helps.
    """
    pools = [layer for layer in model.layers if isinstance(layer, PoolToBins)]
    pools.sort(key=lambda pool: -pool.bins)
    if not pools:
        return lambda height, width, more="": None
    features = tf_keras.Model(model.inputs, [pool.input for pool in pools])

    def problem(height: int, width: int) -> UserError | None:
        shapes = tf.nest.flatten(
            features.compute_output_shape(tf.TensorShape([1, height, width, 3]))
        )
        for pool, shape in zip(pools, shapes):
            try:
                pool.check_size(*shape[1:3])
            except UserError as error:
                return error
        return None

    def check(height: int, width: int, more: str = "") -> None:
        if error := problem(height, width):
            least = _least(lambda side: problem(side, side) is None)
            raise UserError(
                f"images of {height}x{width} are too small: {error}{more}; those from "
                f"{least}x{least} on are large enough"
            ) from None

    return check


def _least(fits: Callable[[int], bool]) -> int:
    """The least side from which on images fit."""
    enough = 1
    while not fits(enough):
        enough *= 2
    sides = range(enough // 2, enough)
    return sides.start + bisect.bisect_left(sides, True, key=fits)


def check_sizes(model: tf_keras.Model, names: Mapping[tuple[int, int], str]) -> None:
    """Checks that a network takes images of many sizes.

    Args:
      model: network of this project.
      names: name of an image for each (height, width), in pixels.

    Raises:
      UserError: one is too small; the message names an image, and what helps.
    """
    check, narrowest = size_check(model), None
    for height, width in sorted(names):
        # What is as high and as wide as an image that fits, fits too.
        if narrowest is not None and width >= narrowest:
            continue
        narrowest = width
        try:
            check(height, width, " (mosaic.bins), or leave the image out")
        except UserError as error:
            raise UserError(f"{names[height, width]}: {error}") from None
