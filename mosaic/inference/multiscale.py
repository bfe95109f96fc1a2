"""Scoring at several scales, mirrored and in sliding windows, with averaged probabilities.

A network whose resizes align corners gets all of it as in research/deeplab: the image's corners
stay where they are at every scale, and logits are resized, first to the size of a map at scale 1
where theirs is smaller, and then made probabilities. Other networks' probabilities are resized.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import tensorflow as tf

from mosaic.inference.predictors import Predictor, fit
from mosaic.models.resizing import ALIGNED, resize_bilinear, size_of
from mosaic.utils.errors import UserError


def average(
    predictor: Predictor,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: Sequence[int] | None = None,
    overlap: float = 1 / 3,
) -> Predictor:
    """Returns a predictor that averages another predictor's probabilities.

    Args:
      predictor: predictor of logits.
      scales: factors of the image's height and width, each above 0.
      flip: whether the mirrored image is averaged too.
      window: (height, width) of sliding windows, in pixels, for scaled images larger than that;
        None for whole images.
      overlap: least overlap of neighbouring windows, as a fraction of a window, from 0 to below 1.

    Raises:
      UserError: the predictor gives no logits or takes a single size, or an argument is out of
        range.
    """
    if predictor.num_classes is None:
        raise UserError("several scales, flip and windows need logits; the model answers labels")
    if predictor.input_size and (tuple(scales) != (1.0,) or window):
        size = "x".join(map(str, predictor.input_size))
        raise UserError(f"scales and windows need a model of any input size; this one takes {size}")
    if not scales or min(scales) <= 0:
        raise UserError(f"Evaluation.scales = {tuple(scales)}: factors above 0 are needed")
    if not 0 <= overlap < 1:
        raise UserError(f"Evaluation.overlap = {overlap}: not in 0 to below 1")

    def run(images):
        size = size_of(images)
        total = 0.0
        for scale in scales:
            scaled = _scaled(images, size, scale, predictor.rule)
            for mirrored in (False, True) if flip else (False,):
                seen = tf.reverse(scaled, [2]) if mirrored else scaled
                if predictor.rule == ALIGNED and not window:
                    probabilities = tf.nn.softmax(_aligned(predictor, seen, size))
                else:
                    probabilities = _windows(predictor, seen, window, overlap)
                probabilities = tf.reverse(probabilities, [2]) if mirrored else probabilities
                total += resize_bilinear(probabilities, size, predictor.rule)
        return total

    return Predictor(
        run,
        predictor.format,
        predictor.num_classes,
        predictor.input_size,
        predictor.rule,
        traceable=False,
    )


def scaled_size(size: Sequence[int], scale: float, rule: str) -> tuple[int, int]:
    """Returns (height, width) of images of a size at a scale, by a rule of `resizing.RULES`."""
    if rule != ALIGNED:
        height, width = (max(1, round(float(side) * scale)) for side in size)
    else:
        height, width = (int((float(side) - 1.0) * scale + 1.0) for side in size)
    return height, width


def _scaled(images, size, scale: float, rule: str) -> tf.Tensor:
    """Images at a scale: rounded to uint8, or with corners aligned as they come out."""
    sides = scaled_size(size, scale, rule)
    if rule != ALIGNED:
        return fit(images, sides)
    return images if scale == 1.0 else resize_bilinear(tf.cast(images, tf.float32), sides, rule)


def _aligned(predictor: Predictor, images, size) -> tf.Tensor:
    """Logits [batch, *size, classes] of images at another scale."""
    logits = tf.cast(predictor.run(images), tf.float32)
    map_size = []
    for seen, own, whole in zip(size_of(images), size_of(logits), size):
        stride = max(1, round((int(seen) - 1) / max(1, int(own) - 1)))
        map_size.append(max(int(own), (int(whole) - 1) // stride + 1))
    return resize_bilinear(resize_bilinear(logits, map_size, ALIGNED), size, ALIGNED)


def _windows(predictor: Predictor, images, window, overlap: float) -> tf.Tensor:
    """Probabilities [batch, height, width, classes] at the images' size."""
    height, width = map(int, size_of(images))
    if window is None or (height <= window[0] and width <= window[1]):
        return tf.nn.softmax(predictor.logits(images, (height, width)))
    total = tf.zeros([images.shape[0], height, width, predictor.num_classes])
    count = tf.zeros([1, height, width, 1])
    for top in starts(height, window[0], overlap):
        for left in starts(width, window[1], overlap):
            part = images[:, top : top + window[0], left : left + window[1]]
            size = tuple(part.shape[1:3])
            probabilities = tf.nn.softmax(predictor.logits(part, size))
            room = [[0, 0], [top, height - top - size[0]], [left, width - left - size[1]], [0, 0]]
            total += tf.pad(probabilities, room)
            count += tf.pad(tf.ones([1, *size, 1]), room)
    return total / count


def starts(size: int, window: int, overlap: float) -> Iterator[int]:
    """The starts of evenly spread windows that cover `size`, with at least the overlap."""
    if size <= window:
        return iter((0,))
    steps = -(-(size - window) // max(1, int(window * (1 - overlap))))
    return (round(index * (size - window) / steps) for index in range(steps + 1))
