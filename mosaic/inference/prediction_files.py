"""Predictions of users' own images as files: labels, overlays, videos, confidence, fractions."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from mosaic.inference import any_size, class_fractions, video_files
from mosaic.inference.any_size import LARGE, Segmentation
from mosaic.inference.image_files import Source, read
from mosaic.inference.predictors import Predictor
from mosaic.utils import png, visualize
from mosaic.utils.ahead import ahead
from mosaic.utils.atomic_io import Replacing
from mosaic.utils.class_names import Classes
from mosaic.utils.errors import UserError
from mosaic.utils.progress import Progress

# Pixels of an image, that of Cityscapes, up to which two are segmented at a time.
_TOGETHER = LARGE // 2


@dataclasses.dataclass(frozen=True)
class Options:
    """How images are segmented, and what is written.

    Attributes:
      input_size: (height, width) that images are resized to for the network; None leaves them.
      tile: (height, width) of tiles, as for `any_size.segment`.
      confidence: whether to write confidence/NAME.png, 255 where the class is certain.
      frames: whether to write pictures of each frame of a video; the video of overlays is written
        in any case.
    """

    input_size: tuple[int, int] | None = None
    tile: tuple[int, int] | None = None
    confidence: bool = False
    frames: bool = True


def folders(sources: Sequence[Source], output_dir: str, options: Options) -> list[str]:
    """Returns the folders that `predict` writes to; of videos without frames only one."""
    pictures = options.frames or not all(source.is_video for source in sources)
    kinds = {"labels": pictures, "overlays": True, "confidence": pictures and options.confidence}
    return [os.path.join(output_dir, kind) for kind, is_written in kinds.items() if is_written]


def predict(
    predictor: Predictor,
    sources: Sequence[Source],
    output_dir: str,
    classes: Classes | None = None,
    options: Options = Options(),
) -> int:
    """Segments images and writes files for each, and the shares of the classes for all.

    Args:
      predictor: predictor that segments the images.
      sources: images and videos, as `image_files.find` lists them.
      output_dir: folder for the files. labels/NAME.png are class indices, 8-bit PNG of one channel,
        of the image's size; overlays/NAME.png show the image and, beside it, its classes with a
        legend, both smaller for images above 2048x2048 pixels; overlays/NAME.webm shows the
        classes over a video; class_fractions.csv and .json have a line for each image.
      classes: names and colours of the classes; None to use numbers as names.
      options: how images are segmented, and what is written.

    Returns:
      The number of images.

    Raises:
      UserError: an image cannot be read or is too small, or `classes` are too few for the
        network, or it gives no confidence, or takes another size only.
    """
    if classes and predictor.num_classes not in (None, len(classes.class_names)):
        raise UserError(
            f"the network has {predictor.num_classes} classes and the label map "
            f"{len(classes.class_names)}; give its own with --label_map"
        )
    if options.input_size and predictor.input_size not in (None, tuple(options.input_size)):
        sizes = (options.input_size, predictor.input_size)
        given, own = ("x".join(map(str, size)) for size in sizes)
        raise UserError(f"--size={given}: the model takes images of {own} only; leave it out")
    if options.confidence:
        any_size.check_gives_confidence(predictor)
    out, rows = pathlib.Path(output_dir), []
    counts = [source.frames for source in sources]
    try:
        with (
            Progress(None if None in counts else sum(counts), "predict", "image") as bar,
            _Files(out, options, rows) as files,
        ):
            found = _segmented(predictor, sources, classes, options, bar)
            for _ in ahead(files.write, found, 1, _is_written_alone):
                bar.update(1)
    finally:
        if rows:
            class_fractions.write(out, rows, classes)
    return len(rows)


class _Segmented(NamedTuple):
    """A segmented image, with the names of its classes, on its way into files."""

    source: Source
    name: str
    index: int
    image: np.ndarray
    found: Segmentation
    classes: Classes


def _segmented(
    predictor: Predictor,
    sources: Sequence[Source],
    classes: Classes | None,
    options: Options,
    bar: Progress,
) -> Iterator[_Segmented]:
    """Segments all images, small ones side by side where the predictor can."""

    def segmented(source: Source, name: str, index: int, image: np.ndarray) -> _Segmented:
        found = _segment(predictor, image, source, options)
        known = _known(predictor, found, source, classes)
        return _Segmented(source, name, index, image, found, known)

    def is_alone(source: Source, name: str, index: int, image: np.ndarray) -> bool:
        """Whether nothing else is done while an image is segmented, for its memory or its tiles."""
        tile = any_size.tile_of(predictor, image, options.input_size, options.tile)
        return tile is not None or image.size > 3 * _TOGETHER

    images = _read(predictor, sources, options, bar)
    return ahead(segmented, images, predictor.threads, is_alone)


def _read(
    predictor: Predictor, sources: Sequence[Source], options: Options, bar: Progress
) -> Iterator[tuple[Source, str, int, np.ndarray]]:
    """Reads all images; tells of those that are cut into tiles, and of videos that end early."""
    is_told = options.tile is not None
    for source in sources:
        done = 0
        for name, image in read(source):
            if not is_told and any_size.is_cut(predictor, image, options.input_size):
                is_told = True
                bar.say(
                    f"{source.path}: {image.shape[0]}x{image.shape[1]} pixels, in tiles; where the "
                    "network learnt from much smaller images, --size=HEIGHTxWIDTH, about theirs, "
                    "is faster and mostly better"
                )
            yield source, name, done, image
            done += 1
        if source.frames and done < source.frames:
            bar.say(
                f"warning: {source.path}: {done} frames could be read of the "
                f"{source.frames} that its header has"
            )


def _is_written_alone(source: Source, name: str, index: int, image: np.ndarray, *_) -> bool:
    """Whether nothing else is done while an image is written.

    A large one, for its memory; and the first frame of a video, as standard error is hidden while
    the file is opened.
    """
    return image.size > 3 * LARGE or (source.is_video and not index)


class _Files(contextlib.ExitStack):
    """Writes the files of images, one after the other, and keeps a video open for its frames.

    Args:
      out: folder for the files.
      options: what is written.
      rows: list to which each image's shares of the classes are added.
    """

    def __init__(self, out: pathlib.Path, options: Options, rows: list[class_fractions.Row]):
        super().__init__()
        self._out, self._options, self._rows = out, options, rows
        self._pictures = Replacing(out)
        self._video = contextlib.ExitStack()
        self.enter_context(self._pictures)
        self.push(self._video)
        self._add: Callable[[np.ndarray], None] | None = None

    def write(
        self,
        source: Source,
        name: str,
        index: int,
        image: np.ndarray,
        found: Segmentation,
        classes: Classes,
    ) -> None:
        """Writes the files of one image or frame."""
        if not index:
            self._video.close()  # that before
        if source.is_video and not index:
            path = self._out / "overlays" / f"{source.name}{video_files.SUFFIX}"
            self._add = self._video.enter_context(video_files.writing(path, source.rate))
        if self._options.frames or not source.is_video:
            self._put("labels", name, found.labels)
            if found.confidence is not None:
                self._put("confidence", name, found.confidence)
            picture = visualize.overlay(*_smaller(image, found.labels), classes)
            self._put("overlays", name, picture)
        if source.is_video:
            self._add(_frame(image, found.labels, classes))
        self._rows.append(class_fractions.Row.of(name, str(source.path), found))

    def _put(self, kind: str, name: str, picture: np.ndarray) -> None:
        self._pictures.write(self._out / kind / f"{name}.png", png.encode(picture))


def _segment(
    predictor: Predictor, image: np.ndarray, source: Source, options: Options
) -> Segmentation:
    def shown(tiles: Sequence) -> Iterator:
        with Progress(len(tiles), source.name, "tile") as bar:
            yield from bar.over(tiles)

    try:
        return any_size.segment(
            predictor, image, options.input_size, options.tile, options.confidence, shown
        )
    except UserError as error:
        hint = " (--size=HEIGHTxWIDTH)" if "too small" in str(error) else ""
        raise UserError(f"{source.path}: {error}{hint}") from None


def _known(
    predictor: Predictor, found: Segmentation, source: Source, classes: Classes | None
) -> Classes:
    count = max(predictor.num_classes or 0, int(found.labels.max()) + 1)
    known = classes or Classes.numbered(count)
    if count > len(known.class_names):
        raise UserError(
            f"{source.path}: class {count - 1} came out, but the label map has only "
            f"{len(known.class_names)}; give the network's own with --label_map"
        )
    return known


def _smaller(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, None, np.ndarray]:
    """Image, truth and labels for an overlay that can be looked at."""
    factor = min(1.0, (LARGE / labels.size) ** 0.5)
    if factor < 1.0:
        size = [max(1, round(side * factor)) for side in (labels.shape[1], labels.shape[0])]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    return image, None, labels


def _frame(image: np.ndarray, labels: np.ndarray, classes: Classes) -> np.ndarray:
    """A frame of a video: its classes over it, and the legend of all where that is not high."""
    table = visualize.palette(classes)
    picture = visualize.blend(image, labels, table, classes.ignore_label)
    legend = visualize.legend(image.shape[1], range(len(classes.class_names)), classes)
    if len(legend) > len(picture) // 3:
        return picture
    return np.concatenate([picture, legend])
