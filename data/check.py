"""Checks of a whole data set: what it contains, and everything that is wrong with it."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import importlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow_datasets as tfds

from data.counts import Counts
from data.dataset import Dataset
from data.errors import DataError
from data.reading import Problems
from data.source_layout import Layout

# Modules with a function `layout`, by the name of the function that loads the data set; imported
# when needed, since gin allows no new configurables after a configuration is read.
LAYOUTS = {
    "ade20k": "data.ade20k",
    "camvid": "data.folders",
    "cityscapes": "data.cityscapes",
    "folders": "data.folders",
    "pascal_voc": "data.pascal_voc",
}
# Arguments of data sets that decide which files belong to them.
SETTINGS = ("data_dir", "label_map", "coarse", "augmented", "classes")


@dataclasses.dataclass
class Survey:
    """Content of a data set.

    Attributes:
      class_names: names of the classes, from the label map.
      images: number of examples by split.
      sizes: number of examples by split and (height, width).
      pixels: number of labelled pixels of each class, int64 [classes], by split.
      ignored: number of pixels without a class, by split.
      problems: everything that is wrong, one line each.
      strays: masks without an image, one line each.
      remarks: what is seldom meant, one line each: classes that the training split lacks, images
        that two splits have.
    """

    class_names: tuple[str, ...]
    images: dict[str, int] = dataclasses.field(default_factory=dict)
    sizes: dict[str, collections.Counter] = dataclasses.field(default_factory=dict)
    pixels: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    ignored: dict[str, int] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)
    strays: list[str] = dataclasses.field(default_factory=list)
    remarks: list[str] = dataclasses.field(default_factory=list)


def layout_of(dataset: str, data_dir: str, settings: Mapping[str, object]) -> Layout:
    """Finds the files of a data set, without reading them.

    Args:
      dataset: name of the data set, one of `LAYOUTS`: that of the function that loads it.
      data_dir: folder of the data set, as for that function.
      settings: further arguments of the layout, by name: `label_map` of `folders`, `coarse` of
        `cityscapes`, `augmented` of `pascal_voc`, `classes` of `ade20k`.

    Raises:
      DataError: there is no such data set, or the label map cannot be read.
    """
    if dataset not in LAYOUTS:
        raise DataError(f"{dataset}: no data set that can be checked; {', '.join(LAYOUTS)} can")
    if dataset == "camvid":
        settings = {"label_map": "camvid", "name": "camvid"}
    return importlib.import_module(LAYOUTS[dataset]).layout(data_dir, **settings)


def survey(layout: Layout, progress: Callable | None = None) -> Survey:
    """Reads every file of a data set once, and continues after everything that is wrong.

    Records that are not there yet are written on the way, unless something is wrong.

    Args:
      layout: files of the data set, from `layout_of`.
      progress: function of the number of examples, None where it is not known, that returns a
        context manager with `update()`; None to show none.
    """
    found = Survey(layout.label_map.names, problems=list(layout.problems))
    found.strays = list(layout.strays)
    with progress(_total(layout)) if progress else contextlib.nullcontext() as bar:
        reading = layout.reading(None if bar is None else bar.update)
        if bar is not None:
            tfds.disable_progress_bar()  # one bar is enough
        if not layout.problems:
            try:
                layout.prepare(reading)
            except Problems:
                pass  # all of them are in the reading
            except DataError as error:
                found.problems.append(str(error))
        reading.finish()
    found.problems += reading.problems()
    for split, counts in reading.counts.items():
        _note(found, layout, split, reading.images[split], counts)
    return found


def survey_of(dataset: Dataset) -> Survey:
    """Returns what was counted of a data set without files of its own, such as drawn scenes."""
    found = Survey(dataset.class_names)
    for split in dataset.splits:
        counts = dataset.surveyed(split) or Counts()
        _note(found, dataset, split, dataset.num_images(split), counts)
    return found


def _total(layout: Layout) -> int | None:
    """The number of examples; None for those that can only be read one after the other."""
    splits = layout.splits.values()
    return sum(map(len, splits)) if all(isinstance(pairs, list) for pairs in splits) else None


def _note(found: Survey, source: Layout | Dataset, split: str, images: int, counts: Counts) -> None:
    """Adds a split to the survey, and what its counts say."""
    label_map = source.label_map
    found.images[split] = images
    found.sizes[split] = counts.sizes
    found.pixels[split] = counts.pixels(label_map)
    found.ignored[split] = int(counts.labels.sum() - found.pixels[split].sum())
    # Test splits may be published without their labels.
    fault = counts.fault(label_map) if split != "test" else None
    if fault:
        found.problems.append(f"{source.root}: {split}: {fault}")
    elif counts.sizes:
        found.remarks += [
            f"{source.root}: {split}: {line}" for line in counts.remarks(label_map, split)
        ]


def class_weights(pixels: np.ndarray, power: float = 0.4) -> np.ndarray:
    """Suggests class weights for the loss.

    Args:
      pixels: number of labelled pixels of each class, [classes].
      power: exponent, 0 to 1; 0 weights all pixels alike, 1 all classes.

    Returns:
      Weights [classes]: each class's fraction of the pixels to the power -power, scaled to a mean
      of 1 per pixel; 1 for a class that does not occur.
    """
    fraction = pixels / max(pixels.sum(), 1)
    weights = np.divide(1.0, fraction**power, out=np.zeros(len(fraction)), where=fraction > 0)
    mean = float(fraction @ weights)
    return np.where(fraction > 0, weights / mean if mean else 1.0, 1.0)


def table(found: Survey) -> str:
    """Returns the survey as a table: splits, sizes, class frequencies and suggested weights."""
    lines = []
    for split, images in found.images.items():
        sizes = found.sizes[split].most_common(3)
        text = ", ".join(f"{count} of {size[0]}x{size[1]}" for size, count in sizes)
        more = len(found.sizes[split]) - len(sizes)
        lines.append(f"{split}: {_number_of(images, 'image')}" + (f": {text}" if text else ""))
        lines[-1] += f" and {_number_of(more, 'more size')}" if more else ""
    if any(counts.any() for counts in found.pixels.values()):
        lines += _classes(found)
    for line in found.remarks:
        lines += ["", f"warning: {line}"]
    if found.strays:
        lines += ["", f"{_number_of(len(found.strays), 'mask')} without an image:"]
        lines += [f"  {line}" for line in found.strays]
    return "\n".join(lines)


def _number_of(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count != 1)


def _classes(found: Survey) -> list[str]:
    """Lines of the table on class frequencies."""
    width = max(map(len, found.class_names))
    splits = list(found.images)
    train = found.pixels.get("train")
    weights = class_weights(train) if train is not None and train.any() else None
    head = "".join(f"  {split + ', %':>10}" for split in splits)
    lines = ["", f"{'class':{width}}{head}" + ("  weight" if weights is not None else "")]
    totals = {k: max(int(found.pixels[k].sum()) + found.ignored[k], 1) for k in splits}
    for index, name in enumerate(found.class_names):
        percentages = "".join(f"  {100 * found.pixels[k][index] / totals[k]:10.3f}" for k in splits)
        weight = f"  {weights[index]:6.2f}" if weights is not None else ""
        lines.append(f"{name:{width}}{percentages}{weight}")
    percentages = "".join(f"  {100 * found.ignored[k] / totals[k]:10.3f}" for k in splits)
    lines.append(f"{'ignored':{width}}{percentages}")
    if weights is not None:
        lines += ["", f"CLASS_WEIGHTS = ({', '.join(f'{w:.2f}' for w in weights)})"]
    return lines
