"""What the files' content would stop, or make useless, later."""

from __future__ import annotations

import sys

import tf_keras

from mosaic.evaluation.protocols import Evaluation
from mosaic.experiment import check_classes
from mosaic.models.inputs import check_size, check_sizes
from mosaic.utils.errors import UserError
from mosaic.utils.segmentation_dataset import SegmentationDataset, SurveyedDataset, sizes_in


def check_fit(model: tf_keras.Model, dataset: SegmentationDataset, evaluation: Evaluation) -> None:
    """Checks that a network has the data's classes and takes its images.

    Args:
      model: network that is trained.
      dataset: data set.
      evaluation: settings of the evaluations, which are on whole images, padded or not.

    Raises:
      UserError: the number of classes differs, or crops or an image for evaluation are too small;
        `data`'s own error where the split for evaluation is missing.
    """
    check_classes(model, dataset)
    dataset.num_images(evaluation.split)  # the data set's own error where there is none
    if dataset.augment is not None:
        check_size(model, *dataset.crop_size)
    if evaluation.padded_size:
        check_size(model, *evaluation.padded_size)
    else:
        check_sizes(model, sizes_in(dataset, evaluation.split))


def check_content(dataset: SegmentationDataset, split: str) -> None:
    """Tells before the first step what the files' content would stop, or make useless, later.

    Args:
      dataset: data set; nothing is known of one that has counted nothing.
      split: name of the split for evaluation.

    Raises:
      UserError: there is only one class; `data`'s own error where a split has no labels.
    """
    if dataset.num_classes < 2:
        raise UserError(
            f"{dataset.name} has only one class, so that any prediction is right; give the "
            "background a class of its own and set NUM_CLASSES = 2"
        )
    if not isinstance(dataset, SurveyedDataset):
        return
    for name in dict.fromkeys(("train", split)):
        for line in dataset.check_labels(name):
            print(f"warning: {line}", file=sys.stderr)
