"""PASCAL VOC 2012, segmentation, from the development kit's tree."""

from __future__ import annotations

import pathlib

import gin

from data.dataset import Dataset
from data.image_files import File, Pair, plain_suffix
from data.label_map import LabelMap
from data.pipeline import Augment
from data.ranges import PATH
from data.remote_files import local_root
from data.source_layout import Layout

# TFDS has no separate test labels; trainval is both splits, one after the other.
SPLITS = {"train": "train", "val": "val", "trainval": "train+val", "test": "test"}
_LABELS, _AUGMENTED = "SegmentationClass", "SegmentationClassAug"


@gin.configurable(module="datasets")
def pascal_voc(
    data_dir: PATH = gin.REQUIRED, augment: Augment | None = None, augmented: bool = False
) -> Dataset:
    """PASCAL VOC 2012's 1,464 training and 1,449 validation images with 21 classes, 255 ignored.

    Images vary in size, so that evaluation takes them one by one.

    Args:
      data_dir: folder with VOCdevkit/VOC2012, or VOCdevkit or VOC2012 itself: images in JPEGImages,
        palette PNGs in SegmentationClass, and the names of the splits in
        ImageSets/Segmentation/{train,val}.txt; a test.txt there adds a split without labels.
      augment: augmentation of training examples.
      augmented: whether to train on the masks in SegmentationClassAug, index PNGs that add the
        Semantic Boundaries Dataset: those that ImageSets/Segmentation/trainaug.txt names or,
        without it, all that val.txt does not (10,582). Validation does not change.

    Raises:
      DataError: the folder does not have that layout, or a file is wrong; the message names it.
    """
    found = layout(data_dir, augmented)
    return Dataset(found.prepare(), found.label_map, SPLITS, augment, name="pascal_voc")


def layout(data_dir: str, augmented: bool = False) -> Layout:
    """Finds the files of PASCAL VOC in a folder; the arguments are those of `pascal_voc`."""
    root = local_root(data_dir)
    found = Layout("pascal_voc", root, LabelMap.named("pascal_voc"))
    places = (root / "VOCdevkit" / "VOC2012", root / "VOC2012", root)
    voc = next((place for place in places if (place / "JPEGImages").is_dir()), None)
    if voc is None:
        found.problems.append(
            f"{root}: no VOCdevkit/VOC2012/JPEGImages; unpack VOCtrainval_11-May-2012.tar there"
        )
        return found
    names = {split: _names(found, voc, split) for split in ("train", "val")}
    folders = {"train": _AUGMENTED if augmented else _LABELS, "val": _LABELS, "test": None}
    for folder in dict.fromkeys(folders[split] for split in names):
        if not (voc / folder).is_dir():
            found.problems.append(
                f"{voc / folder}: no such folder; the labels belong there"
                + (
                    ", with those of the Semantic Boundaries Dataset (docs/data.md), or set "
                    "pascal_voc.augmented = False"
                    if folder == _AUGMENTED
                    else ""
                )
            )
            return found
    if augmented:
        names["train"] = _augmented_names(found, voc, set(names["val"]))
    if (voc / "ImageSets" / "Segmentation" / "test.txt").is_file():
        names["test"] = _names(found, voc, "test")
    for split, stems in names.items():
        _add(found, voc, split, stems, folders[split])
    return found


def _names(found: Layout, voc: pathlib.Path, split: str) -> list[str]:
    path = voc / "ImageSets" / "Segmentation" / f"{split}.txt"
    if not path.is_file():
        found.problems.append(f"{path}: missing; it names the images of the split")
        return []
    names = path.read_text(encoding="utf-8-sig").split()
    if not names:
        found.problems.append(f"{path}: empty; it names the images of the split")
    return names


def _augmented_names(found: Layout, voc: pathlib.Path, val: set[str]) -> list[str]:
    if (voc / "ImageSets" / "Segmentation" / "trainaug.txt").is_file():
        return _names(found, voc, "trainaug")
    masks = map(pathlib.PurePath, _files(voc / _AUGMENTED))
    return sorted({path.stem for path in masks if path.suffix == ".png"} - val)


def _files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The files of a folder by name, with suffixes as published: .JPG serves as .jpg."""
    found = {}
    for path in sorted(folder.iterdir()):
        plain = plain_suffix(path.name)
        if path.name == plain or plain not in found:
            found[plain] = path
    return found


def _add(
    found: Layout, voc: pathlib.Path, split: str, names: list[str], folder: str | None
) -> None:
    """Adds a split; `folder` is that of its labels, None where it has none."""
    pairs = []
    images, labels = _files(voc / "JPEGImages"), _files(voc / folder) if folder else {}
    for name in names:
        image = images.get(f"{name}.jpg", voc / "JPEGImages" / f"{name}.jpg")
        label = labels.get(f"{name}.png", voc / folder / f"{name}.png") if folder else None
        missing = [path for path in (image, label) if path and not path.is_file()]
        found.problems += [f"{path}: missing; {name} is in the {split} split" for path in missing]
        if not missing:
            pairs.append(Pair(name, File(image), File(label) if label else None))
            found.files += [image] + ([label] if label else [])
    if pairs:
        found.add(split, pairs)
