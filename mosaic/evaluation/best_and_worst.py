"""Keeps the images of a split with the best and the worst predictions, as small pictures."""

from __future__ import annotations

import base64
import dataclasses
from typing import NamedTuple

import cv2
import numpy as np

from mosaic.evaluation.loop import ScoredImage
from mosaic.utils.segmentation_dataset import SegmentationDataset
from mosaic.utils.visualize import palette

# Longer side, in pixels: enough for three pictures beside each other on a wide screen.
_SIDE = 560


@dataclasses.dataclass(frozen=True)
class Example:
    """An image of a report, with its truth and its prediction.

    Attributes:
      name: name of the image.
      mean_iou: mean IoU of this image alone, 0 to 1.
      image: data URI of a JPEG.
      truth: data URI of a PNG in the classes' colours.
      predicted: data URI of a PNG in the classes' colours.
      size: (height, width) of all three, in pixels.
      classes: (name, #rrggbb) of the classes in truth and prediction, the largest first.
    """

    name: str
    mean_iou: float
    image: str
    truth: str
    predicted: str
    size: tuple[int, int]
    classes: tuple[tuple[str, str], ...]


class BestAndWorst:
    """Observer that keeps the best and the worst images by their mean IoU.

    Of two images with equal mean IoU the earlier one is the better. No image is in both lists. Only
    these images are kept in memory, at the size of a report's pictures.

    Args:
      count: number of best and of worst images each; fewer where the split has less than twice as
        many.
      num_images: number of images of the split.
      dataset: data set with colours, class names and the ignore label.
    """

    def __init__(self, count: int, num_images: int, dataset: SegmentationDataset):
        self._best_count = min(count, num_images // 2)
        self._worst_count = min(count, num_images - self._best_count)
        self._dataset = dataset
        self._best: list[_Kept] = []
        self._worst: list[_Kept] = []

    @property
    def best(self) -> list[Example]:
        """The best first."""
        names = {kept.name for kept in self._worst}
        return [_example(kept, self._dataset) for kept in self._best if kept.name not in names]

    @property
    def worst(self) -> list[Example]:
        """The worst first."""
        return [_example(kept, self._dataset) for kept in self._worst]

    def see(self, image: ScoredImage) -> None:
        if self.takes(image.mean_iou):
            self.add(image.name, image.mean_iou, image.image, image.truth, image.predicted)

    def takes(self, mean_iou: float | None) -> bool:
        """Returns whether an image with this mean IoU, or None for none, is one of them so far."""
        return mean_iou is not None and (
            len(self._best) < self._best_count
            or len(self._worst) < self._worst_count
            or any(mean_iou > kept.mean_iou for kept in self._best)
            or any(mean_iou <= kept.mean_iou for kept in self._worst)
        )

    def add(
        self,
        name: str,
        mean_iou: float,
        image: np.ndarray,
        truth: np.ndarray,
        predicted: np.ndarray,
    ) -> None:
        """Adds an image that `takes` took.

        Args:
          name: name of the image.
          mean_iou: mean IoU of this image alone, 0 to 1.
          image: uint8 [height, width, 3].
          truth: class indices [height, width].
          predicted: class indices [height, width], `num_classes` or above for predictions of no
            class.
        """
        scale = min(1.0, _SIDE / max(image.shape[:2]))
        size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
        labels = [np.asarray(part, np.uint8) for part in (truth, predicted)]
        kept = _Kept(
            name,
            mean_iou,
            cv2.resize(image, size, interpolation=cv2.INTER_AREA),
            *(cv2.resize(part, size, interpolation=cv2.INTER_NEAREST) for part in labels),
        )
        best = sorted([*self._best, kept], key=lambda k: -k.mean_iou)
        worst = sorted([kept, *self._worst], key=lambda k: k.mean_iou)
        self._best, self._worst = best[: self._best_count], worst[: self._worst_count]


class _Kept(NamedTuple):
    """An image as it is kept: uint8 arrays of the size that is shown."""

    name: str
    mean_iou: float
    image: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray


def _example(kept: _Kept, dataset) -> Example:
    table = palette(dataset)
    maps = (kept.truth, kept.predicted)
    areas = sum(np.bincount(labels.ravel(), minlength=256) for labels in maps)
    known = [i for i in np.argsort(-areas, kind="stable") if areas[i] and i < dataset.num_classes]
    classes = [(dataset.class_names[i], "#" + bytes(table[i]).hex()) for i in known]
    if areas.sum() > areas[known].sum():
        classes.append(("not labelled, or no class", "#" + bytes(table[255]).hex()))
    return Example(
        kept.name,
        kept.mean_iou,
        _uri(kept.image, "jpeg", [cv2.IMWRITE_JPEG_QUALITY, 82]),
        *(_uri(table[labels], "png", [cv2.IMWRITE_PNG_COMPRESSION, 9]) for labels in maps),
        kept.image.shape[:2],
        tuple(classes),
    )


def _uri(picture: np.ndarray, kind: str, settings: list[int]) -> str:
    """A picture, uint8 RGB, as a data URI."""
    _, data = cv2.imencode(f".{kind}", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), settings)
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
