"""Warnings about predictions that cannot be what their network was made for."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np

from mosaic.evaluation import metrics
from mosaic.utils.segmentation_dataset import SegmentationDataset


def tell_other_answers(report: Mapping) -> None:
    """Warns where predictions are no class of the data set, which may be another network's."""
    others = sum(report["other_answers"])
    if others:
        print(
            f"warning: {100 * others / report['num_pixels']:.3g} % of the predictions are no class "
            f"of {report['dataset']}; has the network its classes? If not, Evaluation.class_map "
            "says which class is which",
            file=sys.stderr,
        )


def tell_only_answer(matrix: np.ndarray, dataset: SegmentationDataset) -> None:
    """Warns where every pixel is predicted as one class of the data set."""
    answer = metrics.only_answer(matrix)
    if answer is not None and answer < dataset.num_classes:
        print(
            f"warning: {dataset.class_names[answer]!r} is predicted everywhere: the network has "
            "learnt nothing yet, or gets images in another range than in training",
            file=sys.stderr,
        )
