"""A draft of a label map, from what masks hold; its author then gives the classes their names."""

from __future__ import annotations

import collections
import json
import pathlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from data import folders
from data.decoding import RepeatedFault, decode
from data.errors import DataError
from data.faults import told_once
from data.image_files import Source
from data.label_map import distant_color
from data.masks import percent
from data.reading import refuse

# More values than that come from JPEG or from resizing with smoothing.
_MOST = 256
# What masks hold by custom for pixels without a class.
_IGNORED = 255


def masks_of(data_dir: str) -> list[Source]:
    """Returns the masks of a folder in a layout of `data.folders.folders`.

    Raises:
      DataError: there are none.
    """
    found = folders.layout(data_dir, "camvid")  # any label map finds the same files
    masks = [pair.label for pairs in found.splits.values() for pair in pairs if pair.label]
    if not masks:
        raise DataError([*found.problems, f"{data_dir}: no masks in it"][0])
    return masks


def write(masks: Iterable[Source], path: str) -> str:
    """Writes a label map with a class for each value, or each colour, that masks hold.

    Masks are those of `data.folders.folders`. 255 is ignored where masks of one channel hold it.

    Args:
      masks: files of the masks.
      path: path of the file, which must not be there yet.

    Returns:
      A table of the values, with their shares of the pixels and the number of masks that hold them.

    Raises:
      DataError: there is such a file, or masks are damaged, or what they hold cannot be classes.
    """
    file = pathlib.Path(path)
    if file.exists():
        raise DataError(f"{path}: is there already; name another file, or move that one away")
    pixels, files = collections.Counter(), collections.Counter()
    palette: dict[int, tuple[int, ...]] = {}
    forms, faults = set(), []
    for mask in masks:
        try:
            image = _opened(mask)
        except DataError as error:
            faults.append(error)
            continue
        forms.add(image.mode == "RGB")
        if len(forms) > 1:
            raise DataError(f"{mask.name}: some masks are RGB and some not; save all in one form")
        if image.mode == "P":
            palette = dict(enumerate(_palette(image))) | palette
        counts = _counts(image)
        pixels.update(counts)
        files.update(counts.keys())
        if len(pixels) > _MOST:
            raise DataError(
                f"{mask.name}: with it, masks hold more than {_MOST} colours; so many come from "
                "JPEG or from resizing with smoothing: export the masks again"
            )
    refuse(told_once(faults))
    table = _table(sorted(pixels), palette)
    file.write_text(_text(table), encoding="utf-8")
    total = sum(pixels.values())
    return "\n".join(
        f"{value}: {percent(pixels[value], total)} of the pixels, in {files[value]} masks"
        for value in sorted(pixels)
    )


def _opened(mask: Source) -> Image.Image:
    image = decode(mask.name, mask.read(), ("PNG",))
    if image.mode == "RGBA":
        image = image.convert("RGB")
    if image.mode not in ("L", "P", "RGB"):
        raise RepeatedFault(
            mask.name,
            f"neither 8-bit labels, nor a palette, nor RGB ({image.mode}); save the labels as an "
            "8-bit image of one channel",
        )
    return image


def _counts(image: Image.Image) -> dict:
    """The number of pixels of each value, or of each colour."""
    pixels = np.asarray(image)
    if image.mode != "RGB":
        return {v: n for v, n in enumerate(np.bincount(pixels.ravel()).tolist()) if n}
    colors, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    return dict(zip(map(tuple, colors.tolist()), counts.tolist(), strict=True))


def _palette(image: Image.Image) -> list[tuple[int, ...]]:
    return [tuple(c) for c in np.array(image.getpalette("RGB")).reshape(-1, 3).tolist()]


def _table(values: list, palette: dict[int, tuple[int, ...]]) -> dict:
    """A label map's content; `values` are labels, or colours, which are numbered."""
    is_rgb = bool(values) and isinstance(values[0], tuple)
    labels = range(len(values)) if is_rgb else [v for v in values if v != _IGNORED]
    table = {
        "classes": [
            {
                "name": f"class_{label}",
                "color": list(
                    values[label] if is_rgb else palette.get(label, distant_color(label))
                ),
                "label": label,
            }
            for label in labels
        ]
    }
    if not is_rgb and _IGNORED in values:
        table["ignore_label"] = _IGNORED
    return table


def _text(table: dict) -> str:
    """JSON with a line for each class, to be edited by hand."""
    lines = ",\n    ".join(json.dumps(entry) for entry in table["classes"])
    more = f'  "ignore_label": {table["ignore_label"]},\n' if "ignore_label" in table else ""
    return f'{{\n{more}  "classes": [\n    {lines}\n  ]\n}}\n'
