"""Pictures of predictions: overlays with a legend, and confusion matrices."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mosaic.utils import png
from mosaic.utils.atomic_io import replacing
from mosaic.utils.class_names import Classes
from mosaic.utils.fonts import drawable
from mosaic.utils.segmentation_dataset import SegmentationDataset

_IGNORED = (0, 0, 0)
_ROWS = 64


def palette(dataset: SegmentationDataset | Classes) -> np.ndarray:
    """Colours by class index, uint8 [256, 3]; the ignore label and unused indices are black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(dataset.colors)] = dataset.colors
    table[dataset.ignore_label] = _IGNORED
    return table


def blend(
    image: np.ndarray,
    labels: np.ndarray,
    table: np.ndarray,
    ignore_label: int,
    share: float = 0.6,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Colours of `labels` over an image of the same size, uint8 [height, width, 3].

    Pixels with the ignore label keep the image's own colours. The result is written to `out`, if it
    is given.
    """
    blended = np.empty_like(image) if out is None else out
    # Some rows at a time: a whole photograph's colours would take its memory once more.
    for top in range(0, len(image), _ROWS):
        rows = slice(top, top + _ROWS)
        colors = np.take(table, labels[rows], axis=0)
        blended[rows] = cv2.addWeighted(image[rows], 1.0 - share, colors, share, 0.0)
        ignored = labels[rows] == ignore_label
        if ignored.any():
            blended[rows][ignored] = image[rows][ignored]
    return blended


def overlay(
    image: np.ndarray,
    truth: np.ndarray | None,
    predicted: np.ndarray,
    dataset: SegmentationDataset | Classes,
) -> np.ndarray:
    """Image, truth and prediction side by side over a legend of the classes that occur.

    Args:
      image: uint8 [height, width, 3].
      truth: class indices [height, width], or None where there is none.
      predicted: class indices [height, width]; also shown where the truth is not labelled.
      dataset: data set with colours, class names and the ignore label.

    Returns:
      uint8 [height + legend, panels * width, 3].
    """
    table = palette(dataset)
    maps = [np.asarray(part, np.uint8) for part in (truth, predicted) if part is not None]
    shown = np.flatnonzero(sum(np.bincount(np.ravel(part), minlength=256) for part in maps))
    classes = [c for c in shown if c < len(dataset.class_names)]
    height, width = image.shape[:2]
    names = legend((1 + len(maps)) * width, classes, dataset)
    picture = np.empty((height + len(names), names.shape[1], 3), np.uint8)
    picture[:height, :width] = image
    for column, labels in enumerate(maps, 1):
        place = picture[:height, column * width : (column + 1) * width]
        blend(image, labels, table, dataset.ignore_label, out=place)
    picture[height:] = names
    return picture


def legend(
    width: int, classes: Sequence[int], dataset: SegmentationDataset | Classes
) -> np.ndarray:
    """Colour patches with class names in as many rows as needed, uint8 [height, width, 3]."""
    scale = min(1.0, max(0.4, width / 2400))
    row = int(32 * scale) + 6
    patch = row - 8
    places, x, y = [], 6, 0
    for index in classes:
        name, font = drawable(dataset.class_names[index])
        needed = patch + 8 + _text_width(name, font, scale) + 14
        if x + needed > width and x > 6:
            x, y = 6, y + row
        places.append((index, name, font, x, y))
        x += needed
    strip = np.full((y + row, width, 3), 255, np.uint8)
    for index, name, font, x, y in places:
        color = tuple(int(c) for c in dataset.colors[index])
        cv2.rectangle(strip, (x, y + 4), (x + patch, y + row - 4), color, cv2.FILLED)
        origin = (x + patch + 6, y + row - int(10 * scale) - 3)
        _write_text(strip, name, origin, font, scale)
    return strip


def _text_width(text: str, font: str | None, scale: float) -> int:
    if font is None:
        return cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0]
    return math.ceil(_pillow_font(font, scale).getlength(text))


def _write_text(
    strip: np.ndarray, text: str, origin: tuple[int, int], font: str | None, scale: float
) -> None:
    """Writes into a picture: OpenCV's own font has ASCII alone."""
    if font is None:
        cv2.putText(strip, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 1, cv2.LINE_AA)
        return
    picture = Image.fromarray(strip)
    loaded = _pillow_font(font, scale)
    ImageDraw.Draw(picture).text(origin, text, (0, 0, 0), loaded, anchor="ls")
    strip[:] = np.asarray(picture)


def _pillow_font(path: str, scale: float) -> ImageFont.FreeTypeFont:
    # Capital letters of the height that OpenCV's have, 21 pixels at a scale of 1.
    return ImageFont.truetype(path, max(10, round(29 * scale)))


def confusion_figure(matrix: np.ndarray, class_names: Sequence[str]):
    """A figure of a confusion matrix, each row as fractions of the class's labelled pixels.

    Args:
      matrix: numbers of pixels, [classes, classes], rows the truth, columns the prediction.
      class_names: name of each class.

    Returns:
      A matplotlib figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

    total = matrix.sum(1, keepdims=True)
    fractions = np.divide(matrix, total, out=np.zeros(matrix.shape), where=total > 0)
    count = len(class_names)
    figure = Figure(figsize=(3 + 0.42 * count, 2.4 + 0.42 * count), layout="constrained")
    axis = figure.subplots()
    axis.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    texts, fonts = zip(*map(drawable, class_names)) if count else ((), ())
    axis.set_xticks(range(count), texts, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(count), texts)
    for labels in (axis.get_xticklabels(), axis.get_yticklabels()):
        for label, font in zip(labels, fonts):
            # A name with two $ is no formula.
            label.set_parse_math(False)
            if font:
                label.set_fontproperties(FontProperties(fname=font, size=label.get_size()))
    axis.set(xlabel="predicted", ylabel="true", title="share of the true class's pixels, %")
    for row in range(count):
        for column in range(count):
            fraction = fractions[row, column]
            if fraction >= 0.005:
                color = "white" if fraction > 0.5 else "black"
                axis.text(
                    column,
                    row,
                    f"{100 * fraction:.0f}",
                    ha="center",
                    va="center",
                    color=color,
                    fontsize=7,
                )
    return figure


def evenly_spread(count: int, total: int) -> list[int]:
    """Indices of at most `count` of `total` images, evenly spread, the first and last included."""
    return np.linspace(0, total - 1, min(count, total)).astype(int).tolist()


def shrunk(picture: np.ndarray, width: int) -> np.ndarray:
    """Returns a picture, uint8 [height, width, 3], scaled down to at most `width` pixels."""
    if picture.shape[1] <= width:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def write_png(path: pathlib.Path, picture: np.ndarray) -> None:
    """Writes uint8 [height, width, 3] RGB, or [height, width] grey or class indices, as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as aside:
        aside.write_bytes(png.encode(picture))
