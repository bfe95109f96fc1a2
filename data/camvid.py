"""Images and label images in folders, in the layout of the SegNet tutorial: CamVid, or your own."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import ClassVar

import cv2
import gin
import numpy as np
import tensorflow_datasets as tfds

from data.dataset import Dataset, fingerprint, png_features, prepare, records_dir
from data.errors import DataError
from data.label_map import LabelMap
from data.pipeline import Augment

SPLITS = ("train", "val", "test")


@dataclasses.dataclass
class FoldersConfig(tfds.core.BuilderConfig):
    """One folder on disk; its name is the folder's fingerprint.

    Attributes:
      folder: holds train/, trainannot/, val/, valannot/ and, in the full layout, test/ and
        testannot/.
      label_map: as for `LabelMap.named`.
    """

    folder: str = ""
    label_map: str = ""


class SegmentationFolders(tfds.core.GeneratorBasedBuilder):
    """Images and labels of a folder as TFDS records; every file is checked on the way in."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS: ClassVar[list] = []

    def _info(self) -> tfds.core.DatasetInfo:
        pairs = [pair for split in _pairs(self.builder_config.folder).values() for pair in split]
        sizes = {_read(image).shape[:2] for image, _ in pairs}
        size = sizes.pop() if len(sizes) == 1 else (None, None)
        return self.dataset_info_from_configs(
            description="Images and label images from folders in the SegNet tutorial's layout.",
            features=png_features(size),
        )

    def _split_generators(self, dl_manager):
        del dl_manager
        return {
            k: self._generate_examples(v) for k, v in _pairs(self.builder_config.folder).items()
        }

    def _generate_examples(self, pairs):
        label_map = LabelMap.named(self.builder_config.label_map)
        for image, label in pairs:
            check_pair(image, label, label_map)
            yield image.stem, {"image": str(image), "label": str(label), "id": image.stem}


@gin.configurable(module="datasets")
def camvid(data_dir: str = gin.REQUIRED, augment: Augment | None = None) -> Dataset:
    """CamVid with 11 classes: `folders` with its label map (labels 0 to 10, void 11)."""
    return folders(data_dir, "camvid", augment, "camvid")


@gin.configurable(module="datasets")
def folders(
    data_dir: str = gin.REQUIRED,
    label_map: str = gin.REQUIRED,
    augment: Augment | None = None,
    name: str = "folders",
) -> Dataset:
    """A data set from folders of images and label images.

    Args:
      data_dir: holds train/ and trainannot/, val/ and valannot/ and, where there is one, test/ and
        testannot/: PNG images, and 8-bit PNG labels of one channel under the same names.
      label_map: a file such as data/labels/camvid.json, or the name of one there.
      augment: of training examples.
      name: for reports.

    Raises:
      DataError: the folder is not of that layout, or a file is wrong; it is named.
    """
    root = pathlib.Path(data_dir)
    labels = LabelMap.named(label_map)
    pairs = _pairs(data_dir)
    files = sorted(file for split in pairs.values() for pair in split for file in pair)
    key = fingerprint(root, files, repr(labels))
    config = FoldersConfig(name=key, folder=str(root), label_map=label_map)
    builder = SegmentationFolders(data_dir=records_dir(), config=config, file_format="array_record")
    return Dataset(prepare(builder), labels, {s: s for s in SPLITS}, augment, name=name)


def _pairs(folder: str) -> dict[str, list[tuple[pathlib.Path, pathlib.Path]]]:
    """Image and label files by split; a split is there if its image folder is."""
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise DataError(f"{folder}: no such folder; --data_dir names the folder with train/ in it")
    found = {}
    for split in SPLITS:
        images, labels = root / split, root / f"{split}annot"
        if not images.is_dir():
            continue
        if not labels.is_dir():
            raise DataError(f"{labels}: no such folder; the labels of {images} belong there")
        names = sorted(path.name for path in images.glob("*.png"))
        if not names:
            raise DataError(f"{images}: no PNG images in it")
        found[split] = [(images / name, labels / name) for name in names]
        for image, label in found[split]:
            if not label.exists():
                raise DataError(f"{label}: missing; it is the label of {image}")
    if not found:
        raise DataError(f"{folder}: no train/, val/ or test/ folder in it; is it CamVid's?")
    return found


def _read(path: pathlib.Path) -> np.ndarray:
    """Decodes a PNG as it is, without converting channels or depth."""
    pixels = (
        cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        if (path.stat().st_size)
        else None
    )
    if pixels is None:
        raise DataError(f"{path}: not a readable image; copy the file again")
    return pixels


def check_pair(image: pathlib.Path, label: pathlib.Path, label_map: LabelMap) -> None:
    """Checks one image and its label.

    Raises:
      DataError: one cannot be read, they differ in size, the image is not RGB, or the label is
        not 8-bit with one channel or holds a value that is no class.
    """
    pixels, labels = _read(image), _read(label)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise DataError(f"{image}: not an 8-bit RGB image; convert it")
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise DataError(f"{label}: not an 8-bit image of one channel; labels are class indices")
    if pixels.shape[:2] != labels.shape:
        raise DataError(
            f"{label}: {labels.shape[1]}x{labels.shape[0]} pixels, but {image.name} has "
            f"{pixels.shape[1]}x{pixels.shape[0]}; labels must have the image's size"
        )
    unknown = label_map.unknown(labels)
    if unknown:
        raise DataError(
            f"{label}: label {', '.join(map(str, unknown))} is no class; known are "
            f"{min(label_map.labels)} to {max(label_map.labels)}, void "
            f"{', '.join(map(str, label_map.void_labels))} and {label_map.ignore_label}"
        )
