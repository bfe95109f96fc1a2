"""Observers of an evaluation's images: metrics of each, overlays, files for official scorers."""

from __future__ import annotations

import pathlib

import numpy as np

from mosaic.evaluation.image_counts import outcomes
from mosaic.evaluation.loop import ScoredImage
from mosaic.utils import visualize
from mosaic.utils.segmentation_dataset import SegmentationDataset


class ImageScores:
    """Observer that records the mean IoU of every image, and what it adds to each class's.

    Attributes:
      entries: `id` and `mean_iou` (0 to 1, or None) of each image, as in report.json.
      outcomes: `image_counts.outcomes` of each image.
    """

    def __init__(self):
        self.entries: list[dict] = []
        self.outcomes: list[np.ndarray] = []

    def see(self, image: ScoredImage) -> None:
        self.entries.append({"id": image.name, "mean_iou": image.mean_iou})
        self.outcomes.append(outcomes(image.counts, image.ignored_classes))


class Overlays:
    """Observer that draws some images, evenly spread over the split, as FOLDER/NAME.png.

    Args:
      folder: folder for the pictures.
      count: number of images.
      num_images: number of images of the split.
      dataset: data set with colours, class names and the ignore label.
    """

    def __init__(
        self, folder: pathlib.Path, count: int, num_images: int, dataset: SegmentationDataset
    ):
        self._folder = folder
        self._chosen = set(visualize.evenly_spread(count, num_images))
        self._dataset = dataset

    def see(self, image: ScoredImage) -> None:
        if image.index in self._chosen:
            picture = visualize.overlay(image.image, image.truth, image.predicted, self._dataset)
            visualize.write_png(self._folder / f"{image.name}.png", picture)


class Submission:
    """Observer that writes predictions for official scorers, as FOLDER/NAME.png.

    The pictures have the values of the data set's own label files and the size of the ground truth;
    predictions of no class become 0.

    Args:
      folder: folder for the pictures.
      dataset: data set with the values of its label files.
    """

    def __init__(self, folder: str, dataset: SegmentationDataset):
        self._folder = pathlib.Path(folder)
        self._values = np.array([*dataset.label_values, 0], np.uint8)

    def see(self, image: ScoredImage) -> None:
        picture = self._values[image.predicted]
        visualize.write_png(self._folder / f"{image.name}.png", picture)
