"""One interface to everything that segments images, and this project's networks behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.models import native_dilation
from mosaic.models.batch_norm import folded
from mosaic.models.cellwise import labels_by_cell
from mosaic.models.inputs import size_check
from mosaic.models.late_resize import before_resizes
from mosaic.models.resizing import HALF_PIXEL, resize_bilinear, rule_of, size_of


class Predictor:
    """Segments batches of images with a network or a file, whatever its format.

    Args:
      run: function of images, uint8 [batch, height, width, 3], that returns logits [batch, h, w,
        classes] or class indices [batch, h, w] of any size.
      format: format of the model: `network`, `saved_model` or `tflite`.
      num_classes: number of classes of the logits; None for class indices.
      input_size: (height, width) of the input, in pixels, if it takes only one size.
      rule: rule by which logits are resized, a value of `mosaic.models.resizing.RULES`.
      traceable: whether `run` consists of TensorFlow's operations.
      check: function of (height, width) of the input that raises a UserError where `run` cannot
        take that size. None where it takes all sizes, or raises by itself.
      normalization: normalisation of the images for a file, for reports; None where the file gets
        them unchanged.
      precision: type of numbers that the model computes with, such as `float32` or `int8`.

    Attributes:
      copies: (device, predictor) of copies on several devices, to compute side by side; often none.
      keeps_size: whether the model sees an image at the image's own size, however large.
    """

    def __init__(
        self,
        run: Callable,
        format: str,
        num_classes: int | None,
        input_size: tuple[int, int] | None = None,
        rule: str = HALF_PIXEL,
        traceable: bool = True,
        check: Callable[[int, int], None] | None = None,
        normalization: str | None = None,
        precision: str = "float32",
    ):
        self.run = run
        self.format = format
        self.num_classes = num_classes
        self.input_size = input_size
        self.keeps_size = input_size is None
        # TensorFlow can compute several batches at once; a TFLite interpreter takes one at a time.
        self.threads = 2 if traceable else 1
        self.normalization = normalization
        self.precision = precision
        self.rule = rule
        self.copies: Sequence[tuple[str, Predictor]] = ()
        self._check = check
        self._answer = (
            tf.function(self._compute, reduce_retracing=True) if traceable else self._compute
        )

    def __call__(
        self,
        images,
        size: Sequence[int] | None = None,
        input_size: Sequence[int] | None = None,
        argmax_before_resize: bool = False,
    ) -> tf.Tensor:
        """Segments a batch.

        Args:
          images: uint8 [batch, height, width, 3], or float32 in 0..255, which a file gets rounded.
          size: (height, width) of the prediction; the images' own if None.
          input_size: (height, width) that images are resized to first, bilinearly and rounded to
            uint8; their own if None. A model that takes only one size gets that.
          argmax_before_resize: whether class indices are computed at the input's size and resized
            by nearest neighbour, as for models whose outputs are class indices, instead of resizing
            the logits.

        Returns:
          Class indices [batch, *size], int32.

        Raises:
          UserError: the input is too small.
        """
        images = tf.convert_to_tensor(images)
        if self.format != "network" and images.dtype != tf.uint8:
            images = tf.cast(tf.round(images), tf.uint8)
        # Integers, not TensorShapes: each new TensorShape would be traced again.
        size = tuple(map(int, size_of(images) if size is None else size))
        input_size = self.input_size or input_size
        self._check_size(input_size or size_of(images))
        return self._answer(images, size, input_size, argmax_before_resize)

    def logits(self, images: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
        """Returns logits [batch, *size, classes], float32, of images that are not resized first.

        Raises:
          UserError: the images are too small.
        """
        self._check_size(size_of(images))
        return resize_bilinear(tf.cast(self.run(images), tf.float32), size, self.rule)

    def check_size(self, height: int, width: int) -> None:
        """Raises a UserError where the model is known not to take images of this size."""
        if self._check:
            self._check(height, width)

    def coarse(
        self, image: np.ndarray, input_size: Sequence[int] | None = None
    ) -> tuple[tf.Tensor, tuple[int, int]]:
        """Segments one image at the resolution of the model's output.

        Args:
          image: uint8 [height, width, 3].
          input_size: (height, width) as for a call.

        Returns:
          (prediction, size): logits [h, w, classes] or class indices [h, w], and (height, width) of
          what they cover in the image, in its pixels. Padding may make that larger than the image.

        Raises:
          UserError: the input is too small.
        """
        size = self.input_size or input_size or image.shape[:2]
        self._check_size(size)
        seen = fit_image(image, size)[np.newaxis]
        return tf.convert_to_tensor(self.run(tf.constant(seen)))[0], image.shape[:2]

    def _check_size(self, size) -> None:
        # Inside a graph a network checks by itself, as far as sizes are known there.
        if tf.executing_eagerly():
            self.check_size(*map(int, size))

    def _compute(self, images, size, input_size, argmax_before_resize: bool):
        if input_size is not None:
            images = fit(images, input_size)
        prediction = tf.convert_to_tensor(self.run(images))
        if prediction.shape.rank == 4:
            between = size_of(images) if argmax_before_resize else size
            prediction = labels_by_cell(prediction, between, self.rule)
        return _nearest(tf.cast(prediction, tf.int32), size)


def fit(images: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Resizes images bilinearly to (height, width), rounded to uint8.

    Args:
      images: uint8 [batch, height, width, 3], or float32 in 0..255; returned as they are where they
        have that size.
      size: (height, width), in pixels.
    """
    if not tf.is_tensor(size) and tuple(images.shape[1:3]) == tuple(size):
        return images
    resized = tf.image.resize(images, size)
    return tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8)


def fit_image(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Resizes one image [height, width, 3] as `fit` does, without a copy of the image."""
    if image.shape[:2] == tuple(size):
        return image
    (top, bottom, down), (left, right, along) = map(_neighbours, image.shape[:2], size)
    down, along = down[:, np.newaxis, np.newaxis], along[:, np.newaxis]
    above, below = (
        first + (image[np.ix_(rows, right)] - first) * along
        for rows in (top, bottom)
        for first in [image[np.ix_(rows, left)].astype(np.float32)]
    )
    return np.round(above + (below - above) * down).astype(np.uint8)


def _neighbours(side: int, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels before and behind each of a resized side, and how far it is between them.

    In TensorFlow's own order of float32 operations, so that nothing rounds otherwise.
    """
    scale, half = np.float32(side) / np.float32(wanted), np.float32(0.5)
    place = (np.arange(wanted, dtype=np.float32) + half) * scale - half
    before = np.floor(place)
    behind = np.minimum(np.ceil(place), side - 1)
    return np.maximum(before, 0).astype(int), behind.astype(int), place - before


def _nearest(labels: tf.Tensor, size) -> tf.Tensor:
    if not tf.is_tensor(size) and tuple(labels.shape[1:3]) == tuple(size):
        return labels
    return tf.image.resize(labels[..., tf.newaxis], size, "nearest")[..., 0]


def of_network(model: tf_keras.Model) -> Predictor:
    """Returns a predictor of a network of this project, with the weights that it has now."""
    inference = before_resizes(folded(model, kinds=native_dilation.kinds()))

    @tf.function(reduce_retracing=True)
    def run(images):
        return inference(tf.cast(images, tf.float32), training=False)

    return Predictor(
        run,
        "network",
        model.output_shape[-1],
        rule=rule_of(model),
        check=size_check(model),
    )
