"""Cityscapes in any of its forms in a folder: zips, the unpacked tree, or TFRecords."""

from __future__ import annotations

import dataclasses
import pathlib
import re

import gin
import tensorflow_datasets as tfds

from data.dataset import Dataset
from data.errors import DataError
from data.image_files import Pair, Tree
from data.label_map import LabelMap
from data.pipeline import Augment
from data.ranges import PATH
from data.records import records_dir
from data.remote_files import local_root
from data.source_layout import Layout
from data.tfrecords import Records, record_files

ZIPS = {
    "leftImg8bit_trainvaltest.zip": "leftImg8bit",
    "gtFine_trainvaltest.zip": "gtFine",
}
COARSE_ZIPS = {"leftImg8bit_trainextra.zip": "leftImg8bit/train_extra", "gtCoarse.zip": "gtCoarse"}
_FINE_SPLITS = ("train", "val", "test")
# TFDS's names of the splits: with its keys, they give the order of its builder `cityscapes`.
SPLITS = {"train": "train", "val": "validation", "test": "test", "train_extra": "train_extra"}
_IMAGE = re.compile(r"leftImg8bit/(\w+)/([^/]+)/([^/]+)_leftImg8bit\.png")
_LABEL = re.compile(r"gt(?:Fine|Coarse)/(.+)_gt(?:Fine|Coarse)_label(?:Train)?Ids\.png")
_RECORDS = {
    "train": re.compile(r"train(?![_-]?(val|extra|coarse|test))"),
    "val": re.compile(r"val"),
    "test": re.compile(r"test"),
    "train_extra": re.compile(r"train[_-]?(extra|coarse)"),
}


_ADVICE = (
    "files of label ids hold nothing else; are these train ids? Their files are called "
    "*_labelTrainIds.png, without *_labelIds.png beside them"
)


@gin.configurable(module="datasets")
def cityscapes(
    data_dir: PATH = gin.REQUIRED, augment: Augment | None = None, coarse: bool = False
) -> Dataset:
    """Cityscapes' 2,975 training, 500 validation and 1,525 test images of 1024x2048.

    Labels become the 19 train ids by data/labels/cityscapes.json, everything else the ignore label.
    Whatever files `data_dir` has, the batches and their order are the same: examples have the ids
    (`aachen_000000_000019`) and splits of TFDS's builder, by which TFDS orders them.

    Args:
      data_dir: folder with one of the following, looked for in this order.
        The tree: `leftImg8bit/{train,val,test}/CITY/*_leftImg8bit.png` and
        `gtFine/...*_gtFine_labelIds.png` or, for images without these,
        `*_gtFine_labelTrainIds.png`.
        The zips: `leftImg8bit_trainvaltest.zip` and `gtFine_trainvaltest.zip`; either may be
        unpacked.
        TFRecords of the Model Garden, `train*`, `val*` and `test*` with `.tfrecord` or
        `-00000-of-00010` in the name: `image/encoded`, `image/segmentation/class/encoded` with
        train ids, and `image/filename`, without which the order is different.
        Records that TFDS prepared in array_record format; they may also be in TFDS's own folder.
        The test split needs no labels: pixels without labels are ignored.
      augment: augmentation of training examples.
      coarse: whether the training split also has the 19,998 images of train_extra with their coarse
        annotations, from the tree (`gtCoarse/train_extra/...*_gtCoarse_labelIds.png`), from
        `leftImg8bit_trainextra.zip` and `gtCoarse.zip`, or from `train_extra*` TFRecords.

    Raises:
      DataError: none of these is there, or a file is wrong; the message names it.
    """
    splits = {k: SPLITS[k] for k in ("train", "val", "test")}
    if coarse:
        splits["train"] = "train+train_extra"
    found = layout(data_dir, coarse)
    if found.prepared is None:
        return Dataset(found.prepare(), found.label_map, splits, augment, name="cityscapes")
    return Dataset(
        found.prepared,
        found.label_map,
        splits,
        augment,
        image_key="image_left",
        label_key="segmentation_label",
        id_key="image_id",
    )


def layout(data_dir: str, coarse: bool = False) -> Layout:
    """Finds the files of Cityscapes in a folder; the arguments are those of `cityscapes`."""
    root = local_root(data_dir)
    # Label ids are 0 to 33; only train ids have the ignore label.
    label_map = dataclasses.replace(LabelMap.named("cityscapes").without_ignore(), advice=_ADVICE)
    found = Layout("cityscapes", root, label_map)
    splits = [split for split in SPLITS if coarse or split != "train_extra"]
    folders = ("leftImg8bit", "gtFine", *(["gtCoarse"] if coarse else []))
    zips = {name: [f"{kind}/{split}" for split in _FINE_SPLITS] for name, kind in ZIPS.items()}
    if coarse:
        zips |= {name: [folder] for name, folder in COARSE_ZIPS.items()}
    tree = Tree(root, folders, zips)
    if tree.files or tree.sources:
        _add_tree(found, tree, splits)
    else:
        _add_records(found, splits)
    if not found.splits and not found.problems:
        found.prepared = None if coarse else _prepared(root)
        found.problems += [] if found.prepared else [_nothing(root)]
    if coarse and found.splits and "train_extra" not in found.splits:
        found.problems.append(
            f"{root}: no coarse annotations in it; unpack {' and '.join(COARSE_ZIPS)} there, or "
            "set cityscapes.coarse = False"
        )
    return found


def _nothing(root: pathlib.Path) -> str:
    return (
        f"{root}: no Cityscapes in it; --data_dir names the folder with leftImg8bit/ and gtFine/, "
        f"with {' and '.join(ZIPS)}, or with train*.tfrecord"
    )


def _add_tree(found: Layout, tree: Tree, splits: list[str]) -> None:
    """Pairs images with labels; names every zip and folder that is missing completely."""
    found.problems += tree.problems
    images = [match for path in tree.sources if (match := _IMAGE.fullmatch(path))]
    kinds = {path.partition("/")[0] for path in tree.sources}
    for name, kind in ZIPS.items():
        needed = kind == "leftImg8bit" or any(match[1] in ("train", "val") for match in images)
        if needed and kind not in kinds and found.root / name not in tree.files:
            found.problems.append(
                f"{found.root / name}: missing, and no images are in {kind}/ beside it; download "
                "it from cityscapes-dataset.com into the folder that --data_dir names"
            )
    if found.problems:
        return
    stems = {
        match[0].removeprefix("leftImg8bit/").removesuffix("_leftImg8bit.png") for match in images
    }
    for path, source in tree.sources.items():
        label = _LABEL.fullmatch(path)
        if label and label[1] not in stems:
            found.strays.append(f"{source.name}: a label without an image in leftImg8bit/")
    for split in splits:
        pairs = []
        for match in images:
            if match[1] == split:
                image = tree.sources[match[0]]
                label, label_map = _label(found, tree, match)
                if label is None and split != "test":
                    continue
                pairs.append(Pair(match[3], image, label, label_map))
        if pairs:
            found.add(SPLITS[split], pairs)
            found.files += tree.used(pairs)
        elif (found.root / "leftImg8bit" / split).is_dir():
            folder = found.root / "leftImg8bit" / split
            found.problems.append(f"{folder}: no CITY/*_leftImg8bit.png with labels in it")


def _label(found: Layout, tree: Tree, image: re.Match):
    """The file and the label map (None: the data set's) of a label; (None, None) without one."""
    kind = "gtCoarse" if image[1] == "train_extra" else "gtFine"
    stem = f"{kind}/{image[1]}/{image[2]}/{image[3]}_{kind}"
    label = tree.sources.get(f"{stem}_labelIds.png")
    if label is not None:
        return label, None
    label = tree.sources.get(f"{stem}_labelTrainIds.png")
    if label is not None:
        return label, found.label_map.indexed()
    if image[1] != "test":
        missing = found.root / f"{stem}_labelIds.png"
        found.problems.append(f"{missing}: missing; it is the label of {image[0]}")
    return None, None


def _add_records(found: Layout, splits: list[str]) -> None:
    """Assigns TFRecords to splits by their names."""
    files = record_files(found.root)
    for split in splits:
        own = [file for file in files if _RECORDS[split].match(file.name)]
        if own:
            found.splits[SPLITS[split]] = Records(
                own, "_leftImg8bit", found.label_map.indexed(), labelled=split != "test"
            )
            found.files += own


def _prepared(root: pathlib.Path) -> tfds.core.DatasetBuilder | None:
    """The records of TFDS's own builder in a folder or, if there are none, in TFDS's folder."""
    name = "cityscapes/semantic_segmentation"
    for folder in (str(root), records_dir()):
        # TFDS leaves an empty temporary folder for each builder without records.
        if not pathlib.Path(folder, name).is_dir():
            continue
        builder = tfds.builder(name, data_dir=folder)
        if pathlib.Path(builder.data_dir).is_dir():
            if builder.info.file_format.value != "array_record":
                raise DataError(
                    f"{builder.data_dir}: prepared as {builder.info.file_format.value}, which has "
                    "no random access; --data_dir must name the folder with the zips or the tree"
                )
            return builder
    return None
