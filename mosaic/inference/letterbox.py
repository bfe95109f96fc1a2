"""Scoring at one padded size: images are scaled to fit in, predictions are scaled back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mosaic.inference.predictors import Predictor, fit
from mosaic.models.resizing import size_of


def letterbox(predictor: Predictor, size: Sequence[int], level: Sequence[float]) -> Predictor:
    """Gives a predictor every image scaled to fit into `size` and padded at the bottom and right.

    As in the Model Garden's evaluation of PASCAL VOC: sides are rounded to whole pixels, and
    logits, without those of the padding, are resized to the image's size in one bilinear resize.
    Labels are resized by nearest neighbour.

    Args:
      predictor: predictor of logits or labels.
      size: (height, width) of the padded images, in pixels; a predictor's own if it takes only one
        size.
      level: value of the padding, 0 to 255, for each channel; for the network, the mean of the
        normalisation is 0.
    """
    size = tuple(map(int, predictor.input_size or size))

    def run(images):
        image_size = np.array(size_of(images), np.float32)
        scaled = np.round(image_size * np.min(np.array(size, np.float32) / image_size))
        rows, columns = scaled.astype(int).tolist()
        height, width = image_size.astype(int).tolist()
        canvas = np.empty([len(images), *size, 3], np.uint8)
        canvas[:] = np.round(level)
        canvas[:, :rows, :columns] = fit(images, (rows, columns))
        if predictor.num_classes is None:
            labels = predictor(canvas)[:, :rows, :columns, tf.newaxis]
            return tf.image.resize(labels, (height, width), "nearest")[..., 0]
        back = np.ceil(np.array(size, np.float32) / (scaled / image_size)).astype(int)
        logits = predictor.logits(tf.constant(canvas), back.tolist())
        return logits[:, :height, :width]

    return Predictor(run, predictor.format, predictor.num_classes, traceable=False)
