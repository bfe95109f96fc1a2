"""Segmenting users' own images: folders, files and video frames to label images and overlays."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from mosaic.inference.predictors import Predictor
from mosaic.utils.class_names import Classes
from mosaic.utils.errors import UserError
from mosaic.utils.progress import Progress
from mosaic.utils.visualize import overlay, write_png

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")


@dataclasses.dataclass(frozen=True)
class Source:
    """An image file or a video.

    Attributes:
      path: path of the file.
      name: name of the files written for it, without suffix; in a given folder, the path from
        there.
      frames: number of frames of a video by its header, or None where that does not say; 1 for an
        image.
    """

    path: pathlib.Path
    name: str
    frames: int | None = 1

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEOS


def find(paths: Sequence[str]) -> list[Source]:
    """Lists images and videos by their paths and those of folders, with all folders below.

    Raises:
      UserError: a path does not exist, is neither image nor video, or is a folder without any; or
        two outputs would have the same name.
    """
    sources: dict[str, Source] = {}
    for path in map(pathlib.Path, paths):
        if not path.exists():
            raise UserError(f"--images={path}: no such file or folder")
        files = _below(path) if path.is_dir() else [path]
        known = [file for file in files if file.suffix.lower() in IMAGES + VIDEOS]
        if not known:
            raise UserError(f"--images={path}: no image or video ({', '.join(IMAGES + VIDEOS)})")
        for file in known:
            relative = file.relative_to(path) if path.is_dir() else pathlib.Path(file.name)
            name = relative.with_suffix("").as_posix()
            if name in sources:
                raise UserError(
                    f"{file} and {sources[name].path} would both be written as {name}.png; give "
                    "them in two runs, with two --output_dir"
                )
            sources[name] = Source(file, name, _frames(file))
    for source in (source for source in sources.values() if source.is_video):
        for name in sources:
            if re.fullmatch(rf"{re.escape(source.name)}_\d{{6,}}", name):
                raise UserError(
                    f"{sources[name].path} would be written as a frame of {source.path}; give them "
                    "in two runs, with two --output_dir"
                )
    return list(sources.values())


def _below(folder: pathlib.Path) -> list[pathlib.Path]:
    """All files below a folder, in linked folders too, but no hidden ones, sorted by name."""
    found = []
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [pathlib.Path(root, name) for name in names if not name.startswith(".")]
    return sorted(found)


def _frames(file: pathlib.Path) -> int | None:
    if file.suffix.lower() not in VIDEOS:
        return 1
    video = cv2.VideoCapture(str(file))
    is_readable, _ = video.read()
    frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    video.release()
    if not is_readable:
        raise UserError(f"{file}: not a readable video")
    return frames if frames > 0 else None


def read(source: Source) -> Iterator[tuple[str, np.ndarray]]:
    """Yields name and uint8 RGB [height, width, 3] of an image, or of every frame of a video.

    Raises:
      UserError: it cannot be read.
    """
    if not source.is_video:
        content = np.fromfile(source.path, np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
        if image is None:
            raise UserError(f"{source.path}: not a readable image")
        yield source.name, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        return
    video = cv2.VideoCapture(str(source.path))
    index = 0
    while True:
        there, image = video.read()
        if not there:
            break
        yield f"{source.name}_{index:06}", cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        index += 1
    video.release()


def predict(
    predictor: Predictor,
    sources: Sequence[Source],
    output_dir: str,
    classes: Classes | None = None,
    input_size: tuple[int, int] | None = None,
) -> int:
    """Segments images and writes labels/NAME.png and overlays/NAME.png for each.

    Args:
      predictor: predictor that segments the images.
      sources: images and videos, as `find` lists them.
      output_dir: folder for the files. Labels are class indices, 8-bit PNG of one channel, of the
        image's size; overlays show the image and, over it, its classes with a legend.
      classes: names and colours of the classes; None to use numbers as names.
      input_size: (height, width) that images are resized to for the network; None leaves them.

    Returns:
      The number of images.

    Raises:
      UserError: an image cannot be read or is too small, or `classes` are too few for the
        network.
    """
    if classes and predictor.num_classes not in (None, len(classes.class_names)):
        raise UserError(
            f"the network has {predictor.num_classes} classes and the label map "
            f"{len(classes.class_names)}; give its own with --label_map"
        )
    out, done = pathlib.Path(output_dir), 0
    counts = [source.frames for source in sources]
    with Progress(None if None in counts else sum(counts), "predict", "image") as bar:
        for source in sources:
            before = done
            for name, image in read(source):
                try:
                    labels = predictor(image[np.newaxis], image.shape[:2], input_size)[0].numpy()
                except UserError as error:
                    raise UserError(f"{source.path}: {error} (--size=HEIGHTxWIDTH)") from None
                count = max(predictor.num_classes or 0, int(labels.max()) + 1)
                known = classes or Classes.numbered(count)
                if count > len(known.class_names):
                    raise UserError(
                        f"{source.path}: class {count - 1} came out, but the label map has only "
                        f"{len(known.class_names)}; give the network's own with --label_map"
                    )
                if count > 256:
                    raise UserError(
                        f"{source.path}: label images of 8 bits hold 256 classes at most"
                    )
                labels = labels.astype(np.uint8)
                write_png(out / "labels" / f"{name}.png", labels)
                write_png(out / "overlays" / f"{name}.png", overlay(image, None, labels, known))
                done += 1
                bar.update(1)
            if source.frames and done - before < source.frames:
                bar.say(
                    f"warning: {source.path}: {done - before} frames could be read of the "
                    f"{source.frames} that its header has"
                )
    return done
