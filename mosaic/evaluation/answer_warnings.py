"""Warnings about predictions that cannot be what their network was made for."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

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


def only_answer(matrix: np.ndarray, names: Sequence[str]) -> str | None:
    """Says which class is predicted nearly everywhere, though the truth has others, or None.

    Args:
      matrix: confusion matrix, as for `metrics.iou`.
      names: names of the classes.
    """
    answer = metrics.only_answer(matrix)
    if answer is None or answer >= len(names):
        return None
    counts = np.asarray(matrix).sum(0)
    if counts[answer] == counts.sum():
        return f"{names[answer]!r} is predicted everywhere"
    others = 100 * (counts.sum() - counts[answer]) / counts.sum()
    share = f"{others:.2g}" if others >= 0.01 else "less than 0.01"
    return f"{names[answer]!r} is predicted everywhere but on {share} % of the pixels"


def tell_only_answer(matrix: np.ndarray, dataset: SegmentationDataset) -> None:
    """Warns where nearly every pixel is predicted as one class of the data set."""
    if told := only_answer(matrix, dataset.class_names):
        print(
            f"warning: {told}: the network has learnt nothing yet, or gets images in another "
            "range than in training",
            file=sys.stderr,
        )
