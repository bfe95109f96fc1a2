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
        rows, columns = scaled.astype(int).tolist()
        canvas = np.empty([len(images), *size, 3], np.uint8)
        canvas[:] = np.round(level)
        canvas[:, :rows, :columns] = fit(images, (rows, columns))
        back = np.ceil(np.array(size, np.float32) / (scaled / image_size)).astype(int)
        logits = predictor.logits(tf.constant(canvas), back.tolist())
        height, width = image_size.astype(int)
        return logits[:, :height, :width]

    return Predictor(run, predictor.form, predictor.num_classes, traceable=False)
