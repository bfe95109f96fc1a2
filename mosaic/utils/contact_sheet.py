"""Contact sheets: images of a data set with their labels, raw and as training sees them."""

from __future__ import annotations

import pathlib

import cv2
import numpy as np

from mosaic.utils.segmentation_dataset import SegmentationDataset
from mosaic.utils.visualize import blend, legend, palette, write_png

_WIDTH = 360  # width of one image, in pixels
_COLUMNS = 4


def write(
    dataset: SegmentationDataset, output_dir: str, count: int = 8, seed: int = 0
) -> list[pathlib.Path]:
    """Writes a sheet of each split as it is, and one of augmented training batches, if any.

    Args:
      dataset: data set whose examples and batches are shown.
      output_dir: folder for sheet_{split}.png and sheet_training.png.
      count: number of images on each sheet: evenly spread over a split; the first of the training
        stream.
      seed: seed of the training stream.

    Returns:
      Paths of the sheets.
    """
    out = pathlib.Path(output_dir)
    written = []
    for split in dataset.splits:
        total = dataset.num_images(split)
        chosen = np.unique(np.linspace(0, total - 1, min(count, total)).astype(int))
        pairs = [dataset.example(split, int(index)) for index in chosen]
        written.append(out / f"sheet_{split}.png")
        write_png(written[-1], sheet(pairs, dataset))
    if "train" in dataset.splits and dataset.augment is not None:
        images, labels = next(iter(dataset.train_batches(count, seed)))
        written.append(out / "sheet_training.png")
        write_png(written[-1], sheet(list(zip(images.numpy(), labels.numpy())), dataset))
    return written


def sheet(pairs: list[tuple[np.ndarray, np.ndarray]], dataset: SegmentationDataset) -> np.ndarray:
    """Makes a sheet: each image above its overlay, over a legend of the classes that occur.

    Args:
      pairs: image, uint8 [height, width, 3], and class indices [height, width] each.
      dataset: data set with colours, class names and the ignore label.

    Returns:
      uint8 [sheet height, sheet width, 3].
    """
    table = palette(dataset)
    tiles = []
    for image, labels in pairs:
        size = (_WIDTH, max(1, round(image.shape[0] * _WIDTH / image.shape[1])))
        # The overlay is made at full size: shrinking labels would lose thin objects.
        both = (image, blend(image, labels, table, dataset.ignore_label))
        tiles.append(
            np.concatenate([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in both])
        )
    height = max(tile.shape[0] for tile in tiles)
    columns = min(_COLUMNS, len(tiles))
    rows = []
    for start in range(0, len(tiles), columns):
        row = np.full((height + 6, columns * (_WIDTH + 6), 3), 255, np.uint8)
        for column, tile in enumerate(tiles[start : start + columns]):
            left = column * (_WIDTH + 6)
            row[: tile.shape[0], left : left + _WIDTH] = tile
        rows.append(row)
    shown = np.unique(np.concatenate([np.unique(labels) for _, labels in pairs]))
    classes = [c for c in shown if c < len(dataset.class_names)]
    if classes:
        rows.append(legend(rows[0].shape[1], classes, dataset))
    return np.concatenate(rows)
