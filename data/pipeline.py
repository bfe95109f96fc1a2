"""From records to batches: random access, stateless augmentation, nothing that depends on history.

The batch of step N is a function of the data set, the seed and N: element g of the endless stream
(step N of global batch B holds g = N * B to N * B + B - 1) reads record `index_shuffle(g mod n)`
under a different permutation for every pass, and is augmented with a seed made of (seed, g).
Earlier batches need not be read, and the numbers of reader threads and of workers do not change the
batches.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Annotated

import cv2
import gin
import numpy as np
import tensorflow as tf

from data.crop_window import Window
from data.ranges import COLOR, FRACTION, SCALE, SIZE


@dataclasses.dataclass(frozen=True)
class Shard:
    """The part of every batch that one worker computes.

    Attributes:
      worker: number of the worker, from 0.
      num_workers: number of workers among which batches are divided evenly.
      num_replicas: number of replicas of each worker.
    """

    worker: int = 0
    num_workers: int = 1
    num_replicas: int = 1

    @classmethod
    def of(cls, context: tf.distribute.InputContext | None) -> Shard:
        """Returns the part for a strategy's input context; everything for None."""
        if context is None:
            return cls()
        workers = context.num_input_pipelines
        return cls(context.input_pipeline_id, workers, context.num_replicas_in_sync // workers)

    @property
    def all_replicas(self) -> int:
        """The number of replicas of all workers."""
        return self.num_workers * self.num_replicas


@gin.configurable(module="datasets")
class Augment:
    """Scale, crop, flip and colour jitter of one training example, as functions of a seed.

    Scaling and cropping follow the Model Garden's `resize_and_crop_image`: the image is scaled to
    fit into a random factor times the crop size, keeping its aspect; a random window of that is
    cut, and padded at the bottom and right if it is too small. Random numbers are drawn in
    TensorFlow; pixels stay uint8 and are resized by OpenCV, within one level of exact bilinear
    interpolation. Colours change after that, in one rounding to whole levels.

    Args:
      crop_size: (height, width) of the examples, in pixels.
      scale: smallest and largest factor.
      flip: whether half of the images are mirrored horizontally.
      crop_first: whether a random window of the crop size is cut from the image before all else, as
        the Garden does for DeepLab on Cityscapes: that window is scaled then, and padded where the
        factor is below 1.
      brightness: largest shift, as a fraction of the range, 0 to 1.
      contrast: largest change of contrast, which is multiplied by 1 - contrast to 1 + contrast.
      saturation: largest change of saturation: distances from grey are multiplied by 1 - saturation
        to 1 + saturation.
      pad_color: colour of padding, RGB in 0..255, by default ImageNet's mean (0 after
        normalisation).
    """

    def __init__(
        self,
        crop_size: Annotated[Sequence[int], SIZE] = gin.REQUIRED,
        scale: Annotated[Sequence[float], SCALE] = (0.5, 2.0),
        flip: bool = True,
        brightness: Annotated[float, FRACTION] = 0.0,
        contrast: Annotated[float, FRACTION] = 0.0,
        saturation: Annotated[float, FRACTION] = 0.0,
        pad_color: Annotated[Sequence[float], COLOR] = (123.675, 116.28, 103.53),
        crop_first: bool = False,
    ):
        self.crop_size = tuple(crop_size)
        self.scale = tuple(scale)
        self.flip = flip
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.pad_color = tuple(pad_color)
        self.crop_first = crop_first
        self._padding = np.clip(np.rint(self.pad_color), 0, 255).astype(np.uint8)
        self._jitters = bool(brightness or contrast or saturation)

    def __call__(self, image, label, seed, ignore_label: int):
        """Augments one example.

        Args:
          image: uint8 [height, width, 3].
          label: uint8 [height, width], class indices.
          seed: seed of the random numbers, int32 [2].
          ignore_label: class index of padding in the label.

        Returns:
          (image, label), uint8 [crop height, crop width, 3] and [crop height, crop width].
        """
        draws = tf.random.stateless_uniform([7], seed)
        crop = tf.constant(self.crop_size, tf.float32)
        if self.crop_first:
            image, label = self._window(image, label, seed)
        size = tf.cast(tf.shape(image)[:2], tf.float32)
        low, high = self.scale
        fitted = tf.round((low + (high - low) * draws[1]) * crop)
        scaled = tf.round(size * tf.reduce_min(fitted / size))
        offset = tf.floor(tf.maximum(scaled - crop, 0.0) * draws[2:4])
        mirrored = tf.constant(self.flip) & (draws[0] < 0.5)

        scaled, offset = tf.cast(scaled, tf.int32), tf.cast(offset, tf.int32)

        def cut(image, label, scaled, offset, mirrored, draws):
            window = Window(
                self.crop_size, tuple(scaled.tolist()), tuple(offset.tolist()), mirrored
            )
            jitter = functools.partial(self._jitter, draws=draws) if self._jitters else None
            return window.image(image, self._padding, jitter), window.label(label, ignore_label)

        image, label = tf.numpy_function(
            cut,
            [image, label, scaled, offset, mirrored, draws[4:7]],
            [tf.uint8, tf.uint8],
            stateful=False,
        )
        image.set_shape([*self.crop_size, 3])
        label.set_shape(self.crop_size)
        return image, label

    def _window(self, image, label, seed):
        """A random window of the crop size, or of the whole image along a side that is shorter."""
        size = tf.minimum(tf.shape(image)[:2], self.crop_size)
        places = tf.cast(tf.shape(image)[:2] - size + 1, tf.float32)
        # Numbers of their own: the others stay what they are without this.
        draws = tf.random.stateless_uniform([2], seed + tf.constant([0, 1 << 30], seed.dtype))
        top, left = tf.unstack(tf.cast(draws * places, tf.int32))
        rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
        return image[rows, columns], label[rows, columns]

    def _jitter(self, image: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """Brightness, contrast and saturation, each by a factor drawn from -1 to 1.

        One after the other, they are one affine function of RGB.
        """
        brightness, contrast, saturation = 2.0 * draws.astype(float) - 1.0
        contrast = 1.0 + self.contrast * contrast
        saturation = 1.0 + self.saturation * saturation
        mean = np.mean(cv2.mean(image)[:3])
        matrix = np.full((3, 4), contrast * (1.0 - saturation) / 3.0)
        matrix[:, :3] += contrast * saturation * np.eye(3)
        matrix[:, 3] = (1.0 - contrast) * mean + 255.0 * self.brightness * brightness
        return cv2.transform(image, matrix)


def train_batches(
    load: Callable,
    num_records: int,
    augment: Augment,
    ignore_label: int,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    shard: Shard | None = None,
) -> tf.data.Dataset:
    """Returns the endless stream of training batches from step `start_step` on.

    Args:
      load: function of a scalar record index, int64, that returns (image, label), uint8 [height,
        width, 3] and [height, width].
      num_records: number of records of the split.
      augment: augmentation: makes one example from an image, a label and a seed.
      ignore_label: class index of padding in the label.
      batch_size: number of examples in a step, over all workers.
      seed: seed of the order and the augmentation.
      start_step: step of the first batch.
      shard: part of every batch to compute, None for all; a worker's part is a batch for each of
        its replicas.

    Returns:
      Batches of this worker's part: (uint8 [batch, height, width, 3], uint8 [batch, height,
      width]).

    Raises:
      ValueError: the batch does not divide among the workers and replicas, or there are no
        records.
    """
    shard = shard or Shard()
    if batch_size % shard.all_replicas:
        raise ValueError(
            f"batch size {batch_size} does not divide among {shard.num_workers} workers with "
            f"{shard.num_replicas} replicas each"
        )
    if not num_records:
        raise ValueError("the training split is empty")
    local = batch_size // shard.num_workers

    def example(counter):
        position = counter // local * batch_size + shard.worker * local + counter % local
        key = tf.stack([tf.constant(seed, tf.int64), position // num_records])
        record = tf.random.experimental.index_shuffle(
            position % num_records, tf.cast(key, tf.int32), num_records - 1
        )
        image, label = load(record)
        own = tf.cast(tf.stack([tf.constant(seed, tf.int64), position]), tf.int32)
        return augment(image, label, own, ignore_label)

    counters = tf.data.Dataset.range(start_step * local, tf.int64.max)
    examples = counters.map(example, tf.data.AUTOTUNE, deterministic=True)
    return examples.batch(local // shard.num_replicas, drop_remainder=True).prefetch(2)


def eval_batches(
    load: Callable,
    num_records: int,
    batch_size: int,
    ignore_label: int,
    shard: Shard | None = None,
) -> tf.data.Dataset:
    """Returns every record of a split once, in order, at its own size.

    Args:
      load: function of a record index, as for `train_batches`.
      num_records: number of records of the split.
      batch_size: number of images of each replica; more than 1 only where all have one size.
      ignore_label: class index of padding in the label.
      shard: part of the records to read, None for all: a worker reads every `num_workers`-th
        record. Where several replicas work in step, each needs a batch: the number of images of
        every worker is filled up to the same number of whole steps with images whose labels are all
        ignored.

    Returns:
      Batches ([batch, height, width, 3] of the type that `load` gives, uint8 [batch, height,
      width]); the last may be smaller.
    """
    shard = shard or Shard()
    end = num_records
    if shard.all_replicas > 1:
        each, step = -(-num_records // shard.num_workers), batch_size * shard.num_replicas
        end = -(-each // step) * step * shard.num_workers

    def example(position):
        image, label = load(tf.minimum(position, num_records - 1))
        if end > num_records:
            label = tf.where(position < num_records, label, tf.cast(ignore_label, label.dtype))
        return image, label

    positions = tf.data.Dataset.range(shard.worker, end, shard.num_workers)
    options = tf.data.Options()
    # With autotuning, the end of the iterator waits for the tuner's next run: up to a minute, and
    # often as long as the evaluation itself. Without it, as many records are read at once as there
    # are cores.
    options.autotune.enabled = False
    examples = positions.map(example, tf.data.AUTOTUNE, deterministic=True)
    return examples.batch(batch_size).prefetch(2).with_options(options)
