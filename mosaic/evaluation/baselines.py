"""What answers without a network reach: the least that a trained one must be far above."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mosaic.evaluation import metrics

_BINS = 16


def _colors(image: np.ndarray) -> np.ndarray:
    """Index of each pixel's colour, each channel in 16 steps, [height * width]."""
    steps = (image // (256 // _BINS)).astype(np.int64).reshape(-1, 3)
    return steps @ np.array([_BINS * _BINS, _BINS, 1])


def baselines(
    dataset, split: str, uncounted: Sequence[int] = (), num_train: int = 200
) -> dict[str, float]:
    """Scores two answers that look at no shapes on a split.

    Args:
      dataset: a description with examples.
      split: to score on.
      uncounted: classes whose pixels the protocol leaves out of the truth.
      num_train: how many training images they learn from.

    Returns:
      Mean IoU, 0 to 1: `constant`, the most frequent class everywhere; `colour lookup`, the most
      frequent class of each colour (16 steps per channel; the constant for colours never seen).
    """
    classes = dataset.num_classes
    counts = np.zeros((_BINS**3, classes), np.int64)
    for index in range(min(num_train, dataset.num_images("train"))):
        image, label = dataset.example("train", index)
        labels, colors = label.reshape(-1).astype(np.int64), _colors(image)
        known = labels != dataset.ignore_label
        cells = colors[known] * classes + labels[known]
        counts += np.bincount(cells, minlength=counts.size).reshape(counts.shape)
    constant = int(counts.sum(0).argmax())
    lookup = np.where(counts.any(1), counts.argmax(1), constant)
    answers = {
        "constant": lambda image: np.full(image.shape[:2], constant),
        "colour lookup": lambda image: lookup[_colors(image)].reshape(image.shape[:2]),
    }
    matrices = {name: np.zeros((classes, classes), np.int64) for name in answers}
    for index in range(dataset.num_images(split)):
        image, label = dataset.example(split, index)
        for name, answer in answers.items():
            matrices[name] += metrics.count_pixels(
                label, answer(image), classes, dataset.ignore_label
            ).numpy()
    return {name: metrics.mean_iou(matrix, uncounted) for name, matrix in matrices.items()}
