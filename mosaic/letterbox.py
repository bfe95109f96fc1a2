"""Scoring at one padded size: images scaled to fit in, answers brought back to their size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mosaic.errors import UserError
from mosaic.layers import size_of
from mosaic.predictors import Predictor, fit


def letterbox(predictor: Predictor, size: Sequence[int], level: Sequence[float]) -> Predictor:
    """Gives a predictor every image scaled to fit into `size` and padded at the bottom and right.

    The Garden's evaluation of PASCAL VOC: sides are rounded to whole pixels, and logits go to the
    image's size in one bilinear step, without those of the padding.

    Args:
      predictor: must give logits.
      size: (height, width) that it gets.
      level: of padding, 0 to 255, by channel; the mean that images are normalised with is black
        to the network.

    Raises:
      UserError: it gives no logits, or takes another size only.
    """
    if predictor.num_classes is None:
        raise UserError("Evaluation.padded_size needs logits; the model answers labels")
    size = tuple(map(int, size))
    if predictor.input_size not in (None, size):
        raise UserError(
            f"Evaluation.padded_size = {size}: the model takes {predictor.input_size} only"
        )

    def run(images):
        image_size = np.array(size_of(images), np.float32)
        scaled = np.round(image_size * np.min(np.array(size, np.float32) / image_size))
        images = fit(images, scaled.astype(int).tolist())
        room = np.array(size) - images.shape[1:3]
        # Padding differs by channel, which tf.pad cannot do.
        full = tf.zeros([1, *size, 3], tf.uint8) + tf.constant(np.round(level), tf.uint8)
        inside = tf.pad(tf.ones_like(images), [[0, 0], [0, room[0]], [0, room[1]], [0, 0]])
        images = tf.pad(images, [[0, 0], [0, room[0]], [0, room[1]], [0, 0]])
        back = np.ceil(np.array(size, np.float32) / (scaled / image_size)).astype(int)
        logits = predictor.logits(tf.where(inside > 0, images, full), back.tolist())
        height, width = image_size.astype(int)
        return logits[:, :height, :width]

    return Predictor(run, predictor.form, predictor.num_classes, traceable=False)
