"""What the files' content would stop, or make useless, later."""

from __future__ import annotations

import sys

import tf_keras

from mosaic.models.inputs import check_sizes
from mosaic.utils.errors import UserError
from mosaic.utils.segmentation_dataset import SegmentationDataset, SurveyedDataset


def check_content(model: tf_keras.Model, dataset: SegmentationDataset, split: str) -> None:
    """Tells before the first step what the files' content would stop, or make useless, later.

    Args:
      model: network that is trained.
      dataset: data set; nothing is known of one that has counted nothing.
      split: name of the split for evaluation.

    Raises:
      UserError: there is only one class, or an image for evaluation is too small; `data`'s own
        error where a split has no labels.
    """
    if dataset.num_classes < 2:
        raise UserError(
            f"{dataset.name} has only one class, so that any prediction is right; give the "
            "background a class of its own and set NUM_CLASSES = 2"
        )
    if not isinstance(dataset, SurveyedDataset):
        return
    absent = dataset.check_labels("train")
    if absent:
        print(f"warning: {absent}", file=sys.stderr)
    dataset.check_labels(split)
    # Validation is on whole images.
    check_sizes(model, dataset.first_of_sizes(split))
