"""Segmenting one image of any size, in memory that does not grow with it but for its own bytes.

A model that sees images at their own size gets large ones in overlapping tiles. Where it has a size
of its own, its logits are enlarged in strips of rows, of which only the classes are kept.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

from mosaic.inference.multiscale import starts
from mosaic.inference.predictors import Predictor
from mosaic.models.resizing import resized_rows
from mosaic.utils.errors import UserError

# Images with more pixels are cut into tiles; one of Cityscapes has half of it.
LARGE = 2048 * 2048
TILE = (1536, 1536)
_OVERLAP = 0.25
# Numbers in float32 of a strip's logits, and of those of a whole image that is not cut.
_STRIP, _WHOLE = 2**22, 2**27


@dataclasses.dataclass(frozen=True)
class Segmentation:
    """What a model says of an image.

    Attributes:
      labels: class indices, uint8 [height, width].
      confidence: probability of each pixel's class, uint8 [height, width], 255 for 1; None if it
        was not asked for.
    """

    labels: np.ndarray
    confidence: np.ndarray | None = None


def segment(
    predictor: Predictor,
    image: np.ndarray,
    input_size: Sequence[int] | None = None,
    tile: Sequence[int] | None = None,
    with_confidence: bool = False,
    over: Callable[[Sequence], Iterable] = iter,
) -> Segmentation:
    """Segments an image of any size.

    Args:
      predictor: predictor that segments it.
      image: uint8 RGB [height, width, 3].
      input_size: (height, width) that the image, or each tile, is resized to for the model; None
        leaves it.
      tile: (height, width) of overlapping tiles that a larger image is cut into; None for 1536x1536
        where the model sees images at their own size and this one has more than 2048x2048 pixels,
        and whole images otherwise.
      with_confidence: whether to compute the confidence as well, for which the model must give
        logits or probabilities (`check_gives_confidence`).
      over: function that iterates over the tiles, to show progress.

    Raises:
      UserError: the image or a tile is too small for the model, or a class index is above 255.
    """
    height, width = image.shape[:2]
    tile = tile_of(predictor, image, input_size, tile)
    if tile is None:
        return _whole(predictor, image, input_size, with_confidence)
    labels = np.empty((height, width), np.uint8)
    confidence = np.empty((height, width), np.uint8) if with_confidence else None
    rows, columns = _spans(height, tile[0]), _spans(width, tile[1])
    for (seen_y, kept_y), (seen_x, kept_x) in over([(y, x) for y in rows for x in columns]):
        part = _whole(predictor, image[seen_y, seen_x], input_size, with_confidence)
        inner = (_inside(kept_y, seen_y), _inside(kept_x, seen_x))
        labels[kept_y, kept_x] = part.labels[inner]
        if confidence is not None:
            confidence[kept_y, kept_x] = part.confidence[inner]
    return Segmentation(labels, confidence)


def tile_of(
    predictor: Predictor,
    image: np.ndarray,
    input_size: Sequence[int] | None = None,
    tile: Sequence[int] | None = None,
) -> Sequence[int] | None:
    """Returns (height, width) of an image's tiles; None where it is segmented whole.

    The arguments are those of `segment`.
    """
    if tile is None and is_cut(predictor, image, input_size):
        tile = TILE
    height, width = image.shape[:2]
    return None if tile is None or (height <= tile[0] and width <= tile[1]) else tile


def is_cut(
    predictor: Predictor, image: np.ndarray, input_size: Sequence[int] | None = None
) -> bool:
    """Whether an image, uint8 [height, width, 3], is cut into tiles without being asked to."""
    height, width = image.shape[:2]
    return predictor.keeps_size and not input_size and height * width > LARGE


def check_gives_confidence(predictor: Predictor) -> None:
    """Raises a UserError where a model gives class indices alone."""
    if predictor.num_classes is None:
        raise UserError(
            "the model answers with class indices alone, which have no confidence; take a "
            "checkpoint, a SavedModel, or a file exported with --output=logits"
        )


def _spans(side: int, tile: int) -> list[tuple[slice, slice]]:
    """What each of a side's tiles sees, and keeps: pixels whose nearest edge is not its own."""
    tile = min(side, tile)
    begins = list(starts(side, tile, _OVERLAP))
    cuts = [0, *((a + b + tile) // 2 for a, b in itertools.pairwise(begins)), side]
    return [
        (slice(begin, begin + tile), slice(*kept))
        for begin, kept in zip(begins, itertools.pairwise(cuts))
    ]


def _inside(kept: slice, seen: slice) -> slice:
    return slice(kept.start - seen.start, kept.stop - seen.start)


def _whole(
    predictor: Predictor, image: np.ndarray, input_size, with_confidence: bool
) -> Segmentation:
    height, width = image.shape[:2]
    if height * width * (predictor.num_classes or 1) <= _WHOLE and not with_confidence:
        # As evaluation does.
        found = predictor(image[np.newaxis], (height, width), input_size)[0].numpy()
        return Segmentation(_bytes(found))
    prediction, size = predictor.coarse(image, input_size)
    if predictor.num_classes is None:
        small = _bytes(prediction.numpy())[np.newaxis, ..., np.newaxis]
        enlarged = tf.image.resize(small, (height, width), "nearest").numpy()
        return Segmentation(enlarged[0, ..., 0])
    logits = tf.cast(prediction, tf.float32)[tf.newaxis]
    are_probabilities = _are_probabilities(logits)
    labels = np.empty((height, width), np.uint8)
    confidence = np.empty((height, width), np.uint8) if with_confidence else None
    rows = max(1, _STRIP // (size[1] * predictor.num_classes))
    for top in range(0, height, rows):
        count = min(rows, height - top)
        part = resized_rows(logits, size, top, count, predictor.rule)[0, :, :width]
        labels[top : top + count] = _bytes(tf.argmax(part, -1, output_type=tf.int32).numpy())
        if confidence is not None:
            share = part if are_probabilities else tf.nn.softmax(part)
            confidence[top : top + count] = tf.round(255 * tf.reduce_max(share, -1)).numpy()
    return Segmentation(labels, confidence)


def _are_probabilities(values: tf.Tensor) -> bool:
    """Whether a model's outputs have been through softmax; 8-bit ones sum up to 1 but roughly."""
    total = tf.reduce_sum(values, -1)
    return bool(tf.reduce_min(values) >= 0) and bool(tf.reduce_max(tf.abs(total - 1)) < 0.1)


def _bytes(labels: np.ndarray) -> np.ndarray:
    if labels.max(initial=0) > 255:
        raise UserError("label images of 8 bits hold 256 classes at most")
    return labels.astype(np.uint8)
