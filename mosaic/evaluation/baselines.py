"""Predictions without a network: a trained network must be far better than these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mosaic.evaluation import metrics
from mosaic.evaluation.loop import ScoredImage
from mosaic.utils.errors import UserError
from mosaic.utils.segmentation_dataset import SegmentationDataset

_BINS = 16


def _colors(image: np.ndarray) -> np.ndarray:
    """Index of each pixel's colour, each channel in 16 bins, [height * width]."""
    steps = (image // (256 // _BINS)).astype(np.int64).reshape(-1, 3)
    return steps @ np.array([_BINS * _BINS, _BINS, 1])


class Baselines:
    """Observer that scores two predictions that do not look at shapes.

    `constant` is the most frequent class everywhere; `colour lookup` the most frequent class of
    each colour (16 bins per channel; the constant for colours never seen).

    Args:
      dataset: data set whose training images they learn from.
      num_train: number of training images that they learn from.

    Raises:
      UserError: there are no training images.
    """

    def __init__(self, dataset: SegmentationDataset, num_train: int = 200):
        if "train" not in dataset.splits:
            raise UserError(
                f"Evaluation.baselines learn from training images, and {dataset.name} has none here"
            )
        self._dataset = dataset
        counts = _counts_by_color(dataset, min(num_train, dataset.num_images("train")))
        self._constant = int(counts.sum(0).argmax())
        self._lookup = np.where(counts.any(1), counts.argmax(1), self._constant)
        shape = dataset.num_classes, dataset.num_classes
        self._matrices = {name: np.zeros(shape, np.int64) for name in ("constant", "colour lookup")}

    def see(self, image: ScoredImage) -> None:
        size = image.image.shape[:2]
        self._count("constant", image.truth, np.full(size, self._constant))
        found = self._lookup[_colors(image.image)].reshape(size)
        self._count("colour lookup", image.truth, found)

    def _count(self, name: str, truth: np.ndarray, predicted: np.ndarray) -> None:
        dataset = self._dataset
        counts = metrics.count_pixels(truth, predicted, dataset.num_classes, dataset.ignore_label)
        self._matrices[name] += counts.numpy()

    def mean_iou(self, ignored_classes: Sequence[int] = ()) -> dict[str, float | None]:
        """Returns the mean IoU of each, 0 to 1, over the images that were seen.

        Args:
          ignored_classes: classes whose pixels the protocol leaves out of the truth.
        """
        return {
            name: metrics.number(metrics.mean_iou(matrix, ignored_classes))
            for name, matrix in self._matrices.items()
        }


def _counts_by_color(dataset: SegmentationDataset, num_images: int) -> np.ndarray:
    """Numbers of training pixels by colour and class, int64 [colours, classes]."""
    classes = dataset.num_classes
    counts = np.zeros((_BINS**3, classes), np.int64)
    for index in range(num_images):
        image, label = dataset.example("train", index)
        labels, colors = label.reshape(-1).astype(np.int64), _colors(image)
        known = labels != dataset.ignore_label
        cells = colors[known] * classes + labels[known]
        counts += np.bincount(cells, minlength=counts.size).reshape(counts.shape)
    return counts
