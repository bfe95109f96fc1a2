"""What the files' content would stop, or make useless, later."""

from __future__ import annotations

import sys

import tf_keras

from mosaic.evaluation.protocols import Evaluation
from mosaic.experiment import check_classes
from mosaic.models.inputs import check_size, check_sizes
from mosaic.utils import bound_settings
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
    _tell_turned_crops(dataset)
    for name in dict.fromkeys(("train", split)):
        for line in dataset.check_labels(name):
            print(f"warning: {line}", file=sys.stderr)


def _tell_turned_crops(dataset: SegmentationDataset) -> None:
    """Warns of crops that are high where the images are wide, or wide where they are high."""
    sizes = sizes_in(dataset, "train")
    if dataset.augment is None or not sizes:
        return
    height, width = dataset.crop_size
    if all(_only_fits_turned((height, width), size) for size in sizes):
        (rows, columns), name = next(iter(sizes.items()))
        print(
            f"warning: {bound_settings.name_of('Augment.crop_size')} = {(height, width)} is "
            f"(height, width), and {name} has {rows}x{columns}: is {(width, height)} meant?",
            file=sys.stderr,
        )


def _only_fits_turned(crop: tuple[int, int], size: tuple[int, int]) -> bool:
    turned = crop[::-1]
    inside = turned[0] <= size[0] and turned[1] <= size[1]
    return inside and (crop[0] > size[0] or crop[1] > size[1])
