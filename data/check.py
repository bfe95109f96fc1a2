"""A data set looked at from end to end: what it holds, and everything that is wrong with it."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from data import ade20k, cityscapes, folders, pascal_voc
from data.errors import DataError
from data.files import read_pair
from data.layout import Layout

LAYOUTS: dict[str, Callable[..., Layout]] = {
    "ade20k": ade20k.layout,
    "camvid": lambda data_dir: folders.layout(data_dir, "camvid", "camvid"),
    "cityscapes": cityscapes.layout,
    "folders": folders.layout,
    "pascal_voc": pascal_voc.layout,
}


@dataclasses.dataclass
class Survey:
    """What a data set holds.

    Attributes:
      class_names: of the label map.
      images: number of examples by split.
      sizes: number of examples by split and (height, width).
      pixels: labelled pixels of each class by split, int64 [classes].
      ignored: pixels without a class by split.
      problems: everything that is wrong, one line each.
      strays: masks without an image, one line each.
    """

    class_names: tuple[str, ...]
    images: dict[str, int] = dataclasses.field(default_factory=dict)
    sizes: dict[str, collections.Counter] = dataclasses.field(default_factory=dict)
    pixels: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    ignored: dict[str, int] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)
    strays: list[str] = dataclasses.field(default_factory=list)


def layout_of(dataset: str, data_dir: str, settings: Mapping[str, object]) -> Layout:
    """Finds the files of a data set, without reading them.

    Args:
      dataset: one of `LAYOUTS`, named like the function that loads it.
      data_dir: as for that function.
      settings: further arguments of the layout: `label_map` of `folders`, `coarse` of
        `cityscapes`, `augmented` of `pascal_voc`.

    Raises:
      DataError: there is no such data set, or the label map cannot be read.
    """
    if dataset not in LAYOUTS:
        raise DataError(f"{dataset}: no data set that can be checked; {', '.join(LAYOUTS)} can")
    return LAYOUTS[dataset](data_dir, **settings)


def survey(layout: Layout, progress: Callable | None = None) -> Survey:
    """Reads every file of a data set; nothing that is wrong ends it.

    Args:
      layout: of `layout_of`.
      progress: from the number of examples to a context manager with `update()`.
    """
    found = Survey(layout.label_map.names, problems=list(layout.problems))
    found.strays = list(layout.strays)
    table, classes = layout.label_map.lookup(), len(layout.label_map.names)
    splits = {split: list(pairs) for split, pairs in layout.splits.items()}
    with progress(sum(map(len, splits.values()))) if progress else contextlib.nullcontext() as bar:
        for split, pairs in splits.items():
            found.images[split] = len(pairs)
            found.sizes[split] = collections.Counter()
            counts = np.zeros(257, np.int64)
            for pair in pairs:
                _, labels, errors = read_pair(pair, layout.label_map, layout.grey)
                found.problems += map(str, errors)
                if not errors:
                    found.sizes[split][labels.shape] += 1
                    counts[:256] += np.bincount(table[labels].ravel(), minlength=256)
                if bar is not None:
                    bar.update()
            found.pixels[split] = counts[:classes]
            found.ignored[split] = int(counts[classes:].sum())
    return found


def class_weights(pixels: np.ndarray, power: float = 0.4) -> np.ndarray:
    """Suggests class weights for the loss.

    Args:
      pixels: labelled pixels of each class.
      power: 0 weighs all pixels alike, 1 all classes.

    Returns:
      Each class's share of the pixels to the power -power, scaled to a mean of 1 per pixel; 1 for
      a class that does not occur.
    """
    share = pixels / max(pixels.sum(), 1)
    weights = np.divide(1.0, share**power, out=np.zeros(len(share)), where=share > 0)
    mean = float(share @ weights)
    return np.where(share > 0, weights / mean if mean else 1.0, 1.0)
