"""Your own images and masks in folders, with splits as folders or as lists."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Mapping

import gin

from data.dataset import Dataset
from data.image_files import File, Pair, below
from data.label_map import LabelMap
from data.pipeline import Augment
from data.ranges import NAME_OR_JSON, PATH
from data.remote_files import local_root
from data.source_layout import Layout

SPLITS = ("train", "val", "test")
_IMAGES = (".png", ".jpg", ".jpeg")
# What masks may be called: what they are is told by their content, which must be PNG.
_MASKS = (*_IMAGES, ".bmp", ".gif", ".tif", ".tiff", ".webp", ".jp2", ".npy")


@gin.configurable(module="datasets")
def folders(
    data_dir: PATH = gin.REQUIRED,
    label_map: NAME_OR_JSON = gin.REQUIRED,
    augment: Augment | None = None,
    name: str = "folders",
) -> Dataset:
    """A data set from images and masks under the same names.

    Images are PNG or JPEG, 8-bit RGB or grey. Masks are PNG: one 8-bit channel of labels, a palette
    whose indices are labels, or RGB in the colours of the label map. Images of test need no masks:
    without any, all their pixels are ignored.

    Args:
      data_dir: folder with one of two layouts.
        Splits by folder: train/ and trainannot/, val/ and valannot/ and, where there is one, test/
        with or without testannot/.
        Splits by list: images/ and masks/, and train.txt, val.txt and, where there is one,
        test.txt with one name in each line, with or without suffix.
      label_map: path of a file such as data/labels/camvid.json, or name of a file there: classes,
        colours, and which labels and colours are void.
      augment: augmentation of training examples.
      name: name for reports.

    Raises:
      DataError: the folder does not have that layout, or a file is wrong; the message names it.
    """
    found = layout(data_dir, label_map, name)
    return Dataset(found.prepare(), found.label_map, {s: s for s in SPLITS}, augment, name=name)


def layout(data_dir: str, label_map: str, name: str = "folders") -> Layout:
    """Finds images and masks in a folder; the arguments are those of `folders`."""
    root = local_root(data_dir)
    # CamVid has no grey images; own folders may.
    found = Layout(name, root, LabelMap.named(label_map), grey=name != "camvid", upright=True)
    if len(found.label_map.names) == 1:
        found.problems.append(
            f"{label_map}: only one class, {found.label_map.names[0]!r}, so that any prediction is "
            "right; give the background a class of its own"
        )
        return found
    if not root.is_dir():
        found.problems.append(f"{root}: no such folder; --data_dir names the one with the images")
        return found
    # Lists without images/ have another purpose, such as those that come with CamVid.
    by_list = (root / "images").is_dir()
    listed = [split for split in SPLITS if by_list and (root / f"{split}.txt").is_file()]
    if listed:
        images = _images(root / "images")
        for split in listed:
            file = root / f"{split}.txt"
            try:
                lines = file.read_text(encoding="utf-8-sig").splitlines()
            except UnicodeDecodeError:
                found.problems.append(f"{file}: not in UTF-8; save it again in that encoding")
                continue
            # As on Windows, city\x.png is in a folder.
            names = [line.strip().replace("\\", "/") for line in lines if line.strip()]
            if not names:
                found.problems.append(f"{file}: empty; it holds one name in each line")
            _add(found, split, names, images, root / "images", root / "masks")
    for split in () if listed else SPLITS:
        if (root / split).is_dir():
            images = _images(root / split)
            if not images:
                found.problems.append(
                    f"{root / split}: no PNG or JPEG images in it{_others(root / split)}"
                )
            _add(found, split, None, images, root / split, root / f"{split}annot")
    if not found.splits and not found.problems:
        found.problems.append(
            f"{root}: neither train/, val/ or test/ in it, nor images/ with train.txt or val.txt"
            f"{_folders_in(root)}"
        )
    return found


def _folders_in(root: pathlib.Path) -> str:
    """What a folder of another layout has, for the message."""
    names = sorted(path.name for path in root.iterdir() if path.is_dir())
    if "images" in names:
        return "; images/ is there: list the names of its images, one a line, in these files"
    return f"; there are {', '.join(names[:5])}: rename them, or link to them" if names else ""


def _images(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """The images of a folder, by their path in it without suffix."""
    found = {}
    for path in below(folder):
        if _is_image(path.name):
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
    return found


def _others(folder: pathlib.Path) -> str:
    """What a folder without images has instead, for the message."""
    suffixes = collections.Counter(path.suffix.lower() for path in below(folder))
    if not suffixes:
        return ""
    ((suffix, count),) = suffixes.most_common(1)
    return f", but {count} {suffix or 'without suffix'}; save images as PNG or JPEG"


def _masks(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The mask of each path without suffix: the PNG, or a file that is told what it must be."""
    found = {}
    for path in below(folder):
        suffix, stem = path.suffix.lower(), path.relative_to(folder).with_suffix("").as_posix()
        if suffix == ".png" or (suffix in _MASKS and stem not in found):
            found[stem] = path
    return found


def _near(stem: str, masks: Mapping[str, pathlib.Path]) -> str:
    """Where a mask has the image's name and more, such as x_mask.png, that it must not."""
    more = next((path for other, path in masks.items() if other.startswith(f"{stem}_")), None)
    return f"; is it {more.name}? Masks have their images' names: rename them" if more else ""


def _form(name: str) -> str:
    """What a list's line should be instead; empty where it has the form of a name."""
    if " " in name:
        return "; it holds one name in each line, without the mask"
    is_path = name.startswith(("/", "images/", "./", "../"))
    return "; names count from images/, such as city/x.png" if is_path else ""


def _stem(name: str) -> str:
    return name.removesuffix(pathlib.PurePosixPath(name).suffix) if _is_image(name) else name


def _is_image(name: str) -> bool:
    return name.lower().endswith(_IMAGES)


def _add(
    found: Layout,
    split: str,
    names: list[str] | None,
    images: dict[str, list[pathlib.Path]],
    image_folder: pathlib.Path,
    mask_folder: pathlib.Path,
) -> None:
    """Adds a split: the images in `names`, or all images of the folder."""
    masks = _masks(mask_folder)
    # In a folder of its own, masks under other names are a mistake; masks/ has those of others.
    own = masks if names is None else [name for name in names if _stem(name) in masks]
    if split == "test" and not own:
        masks = None
    elif not mask_folder.is_dir():
        found.problems.append(f"{mask_folder}: no such folder; the masks of {split} belong there")
        return
    pairs, missing = [], []
    for name in images if names is None else names:
        stem = _stem(name)
        if stem not in images:
            path = image_folder / name
            found.problems.append(f"{path}: missing; {split}.txt names it{_form(name)}")
            continue
        if masks is None:
            pairs += [Pair(stem, File(image), None) for image in images[stem]]
            found.files += images[stem]
            continue
        if stem not in masks:
            path = mask_folder / f"{stem}.png"
            missing.append(
                f"{path}: missing; it is the mask of {images[stem][0]}{_near(stem, masks)}"
            )
            continue
        mask = masks[stem]
        pairs += [Pair(stem, File(image), File(mask)) for image in images[stem]]
        found.files += [*images[stem], mask]
    found.problems += _once(missing, not pairs, f"masks of {split}")
    if pairs:
        found.add(split, pairs)
    if names is None and masks:
        strays = [
            f"{mask}: a mask without an image in {image_folder}"
            for stem, mask in masks.items()
            if stem not in images
        ]
        found.strays += _once(strays, not pairs, f"masks of {split}")


def _once(lines: list[str], is_all: bool, of: str) -> list[str]:
    """Lines on files; the first alone where it is all of them, whose names follow another rule."""
    if not is_all or len(lines) < 2:
        return lines
    return [f"{lines[0]} (the same for all {len(lines)} {of})"]
