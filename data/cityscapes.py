"""Cityscapes, fine annotations, through TFDS's own builder from the zips that its site offers."""

from __future__ import annotations

import pathlib

import gin
import tensorflow_datasets as tfds

from data.dataset import Dataset, prepare, records_dir
from data.errors import DataError
from data.label_map import LabelMap
from data.pipeline import Augment

ZIPS = ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip")
SPLITS = {"train": "train", "val": "validation", "test": "test"}


@gin.configurable(module="datasets")
def cityscapes(data_dir: str = gin.REQUIRED, augment: Augment | None = None) -> Dataset:
    """Cityscapes' 2,975 training, 500 validation and 1,525 test images of 1024x2048.

    The label ids of gtFine become the 19 train ids by data/labels/cityscapes.json, everything
    else the ignore label.

    Args:
      data_dir: holds `leftImg8bit_trainvaltest.zip` and `gtFine_trainvaltest.zip`.
      augment: of training examples.

    Raises:
      DataError: a zip is missing, or no zip.
    """
    folder = pathlib.Path(data_dir)
    config = tfds.download.DownloadConfig(manual_dir=str(folder))
    builder = tfds.builder(
        "cityscapes/semantic_segmentation", data_dir=records_dir(), file_format="array_record"
    )
    if not pathlib.Path(builder.data_dir).exists():
        for name in ZIPS:
            if not (folder / name).is_file():
                raise DataError(
                    f"{folder / name}: missing; download it from cityscapes-dataset.com into the "
                    "folder that --data_dir names"
                )
    labels = LabelMap.named("cityscapes")
    return Dataset(
        prepare(builder, config),
        labels,
        SPLITS,
        augment,
        image_key="image_left",
        label_key="segmentation_label",
        id_key="image_id",
    )
