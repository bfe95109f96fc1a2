"""ADE20K's scene parsing benchmark (SceneParse150): 150 classes, 151, or MLPerf Mobile's 32."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Annotated

import gin

from data.dataset import Dataset
from data.errors import DataError
from data.image_files import Pair, Tree
from data.label_map import LabelMap
from data.pipeline import Augment
from data.ranges import PATH, RESIZE_FACTOR, SIZE
from data.remote_files import local_root
from data.resize_and_pad import Fit
from data.source_layout import Layout

TREE = "ADEChallengeData2016"
SPLITS = {"train": "training", "val": "validation"}
CLASSES = {"all": "ade20k", "all_and_other": "ade20k_and_other", "top31": "ade20k_top31"}


@gin.configurable(module="datasets")
def ade20k(
    data_dir: PATH = gin.REQUIRED,
    augment: Augment | None = None,
    classes: str = "all",
    size: Annotated[Sequence[int], SIZE] | None = None,
    resize_factor: Annotated[int, RESIZE_FACTOR] | None = None,
) -> Dataset:
    """ADE20K's 20,210 training and 2,000 validation images, of varying size.

    TFDS's `scene_parse150` cannot be used: it loads annotations_instance.tar, whose masks are the
    objects of 100 classes, without wall, sky, road and the like.

    Args:
      data_dir: folder with ADEChallengeData2016/ or ADEChallengeData2016.zip, or the unpacked
        folder itself: JPEG images in images/{training,validation}, RGB or grey, and PNG labels 0 to
        150 under the same names in annotations/{training,validation}.
      augment: augmentation of training examples.
      classes: choice of classes. `all`: 150 classes, label 0 ignored. `all_and_other`: these after
        a class 0 for everything else, as research/deeplab has them. `top31`: MLPerf's 32 classes,
        the first 31 labels under their own numbers and 0 for all others, padding included; nothing
        is ignored in evaluation.
      size: (height, width) of images and labels in evaluation, in pixels, prepared as in MLPerf:
        scaled to the largest size that fits, keeping the aspect, pixels by bilinear and labels by
        nearest-neighbour interpolation with corners aligned; padded at the bottom and right with
        grey (127) and the class of label 0 (see data/resize_and_pad.py). They keep their sizes if
        None.
      resize_factor: number of which each side is a multiple, plus one, before the padding, as in
        research/deeplab, and with its padding (127.5) and pixels that are not rounded; None for the
        sides that keep the aspect.

    Raises:
      DataError: none of these is there, or a file is wrong; the message names it.
    """
    labels = _label_map(classes)
    fit = Fit(tuple(size), int(labels.lookup()[0]), factor=resize_factor) if size else None
    # The records have labels as in the files, the same for all choices of classes.
    builder = layout(data_dir).prepare()
    return Dataset(builder, labels, {s: s for s in SPLITS}, augment, name="ade20k", fit=fit)


def _label_map(classes: str) -> LabelMap:
    if classes not in CLASSES:
        raise DataError(f"ade20k.classes {classes!r}: not one of {', '.join(CLASSES)}")
    # Labels are 0 to 150 in all of its files.
    return LabelMap.named(CLASSES[classes]).without_ignore()


def layout(data_dir: str, classes: str = "all") -> Layout:
    """Finds the files of ADE20K in a folder; the arguments are those of `ade20k`."""
    root = local_root(data_dir)
    found = Layout("ade20k", root, _label_map(classes), grey=True)
    others = [root / "scene_parse150", root / "annotations_instance"]
    own = [root / TREE, root / f"{TREE}.zip", root / "annotations"]
    if any(path.is_dir() for path in others) and not any(path.exists() for path in own):
        found.problems.append(
            f"{root}: TFDS's scene_parse150 and annotations_instance hold objects of 100 classes, "
            f"not the 150 of scene parsing; download {TREE}.zip from sceneparsing.csail.mit.edu"
        )
        return found
    inside = "" if (root / "images").is_dir() else f"{TREE}/"
    folders = [inside + folder for folder in ("images", "annotations")]
    tree = Tree(root, folders, {f"{TREE}.zip": [TREE]})
    found.problems += tree.problems
    for split, folder in SPLITS.items():
        start = f"{inside}images/{folder}/"
        pairs = []
        for path, image in tree.sources.items():
            if path.startswith(start) and path.endswith(".jpg"):
                stem = path.removeprefix(start).removesuffix(".jpg")
                name = f"{inside}annotations/{folder}/{stem}.png"
                label = tree.sources.get(name)
                if label is None:
                    found.problems.append(f"{root / name}: missing; it is the label of {path}")
                else:
                    pairs.append(Pair(stem, image, label))
        stems = {pair.id for pair in pairs}
        labels = f"{inside}annotations/{folder}/"
        for path, source in tree.sources.items():
            if path.startswith(labels) and pathlib.PurePath(path).stem not in stems:
                found.strays.append(f"{source.name}: a label without an image in {start}")
        if pairs:
            found.add(split, pairs)
            found.files += tree.used(pairs)
        elif (root / start).is_dir():
            found.problems.append(f"{root / start}: no JPEG images with labels in it")
    if not found.splits and not found.problems:
        found.problems.append(
            f"{root}: no ADE20K in it; --data_dir names the folder with {TREE}/ or {TREE}.zip"
        )
    return found
