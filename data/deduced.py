"""Settings that follow from the data: values of macros that nobody has set."""

from __future__ import annotations

import gin

from data.decoding import DAMAGED, opened
from data.errors import DataError, check_regular
from data.folders import layout
from data.image_files import File
from data.label_map import LabelMap
from data.ranges import NAME_OR_JSON, PATH
from data.reading import refuse


@gin.configurable(module="deduced")
def class_count(label_map: NAME_OR_JSON | None = gin.REQUIRED) -> int:
    """The number of classes of a label map.

    Args:
      label_map: label map, as for `data.folders.folders`.

    Raises:
      DataError: there is none, or it cannot be read.
    """
    if label_map is None:
        raise DataError(
            "the number of classes comes from the label map; give --gin.LABEL_MAP=FILE, or "
            "--gin.NUM_CLASSES=VALUE"
        )
    return len(LabelMap.named(label_map).names)


@gin.configurable(module="deduced")
def image_size(
    data_dir: PATH | None = gin.REQUIRED, label_map: NAME_OR_JSON | None = gin.REQUIRED
) -> tuple[int, int]:
    """The size of the training images, where they have one: (height, width) in pixels.

    Args:
      data_dir: folder with images, as for `data.folders.folders`.
      label_map: label map, as for `data.folders.folders`.

    Raises:
      DataError: the images differ in size, or none can be read.
    """
    give = '--gin.CROP_SIZE="(HEIGHT, WIDTH)"'
    if data_dir is None or label_map is None:
        raise DataError(f"the crops' size comes from the images, and there are none; give {give}")
    found = layout(data_dir, label_map)
    first: dict[tuple[int, int], str] = {}
    for pair in found.splits.get("train", ()):
        size = _size(pair.image)
        if size and first.setdefault(size, pair.image.name) and len(first) > 1:
            sizes = " and ".join(f"{h}x{w} ({name})" for (h, w), name in first.items())
            raise DataError(f"the training images differ in size: {sizes}; give {give}")
    if not first:
        refuse(found.problems or [f"{data_dir}: no training images in it; give {give}"])
    return next(iter(first))


def _size(image: File) -> tuple[int, int] | None:
    """(height, width) of an image by the head of its file; None where it is no image."""
    try:
        check_regular(image.path)
        with opened(image.path) as head:
            return head.height, head.width
    except DAMAGED:
        return None  # what is wrong with it is told when it is read
