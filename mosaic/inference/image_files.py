"""Users' own images: folders, files, lists and videos, found and read."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import sys
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from mosaic.inference import image_lists
from mosaic.utils.errors import UserError, check_regular, check_text
from mosaic.utils.quiet import heard

# FFmpeg's lines name no file: what it cannot read is told here. OpenCV asks for this once.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".gif")
_USUAL_RATE = 25.0


@dataclasses.dataclass(frozen=True)
class Source:
    """An image file or a video.

    Attributes:
      path: path of the file.
      name: name of the files written for it, without suffix; in a given folder, the path from
        there.
      frames: number of frames of a video by its header, or None where that does not say; 1 for an
        image.
      rate: frames a second of a video, 25 where it does not say; 0 for an image.
    """

    path: pathlib.Path
    name: str
    frames: int | None = 1
    rate: float = 0.0

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEOS


def find(paths: Sequence[str]) -> list[Source]:
    """Lists images and videos by their paths and those of folders, with all folders below.

    Args:
      paths: files, folders, patterns, and lists of them, as for `image_lists.expanded`.

    Raises:
      UserError: a path does not exist, is neither image nor video, or is a folder without any; or
        two outputs would have the same name.
    """
    sources: dict[str, Source] = {}
    for given in paths:
        found, base = image_lists.expanded(os.fspath(given))
        for path in found:
            _add(sources, path, base)
    for source in (source for source in sources.values() if source.is_video):
        for name in sources:
            if re.fullmatch(rf"{re.escape(source.name)}_\d{{6,}}", name):
                raise UserError(
                    f"{sources[name].path} would be written as a frame of {source.path}; give them "
                    "in two runs, with two --output_dir"
                )
    return list(sources.values())


def _add(sources: dict[str, Source], path: pathlib.Path, base: pathlib.Path | None) -> None:
    """Adds a file, or the files of a folder; names count from `base`, else from the folder."""
    files = _below(path) if path.is_dir() else [path]
    known = [file for file in files if file.suffix.lower() in IMAGES + VIDEOS]
    if not known:
        raise UserError(f"--images={path}: no image or video ({', '.join(IMAGES + VIDEOS)})")
    folder = (base or (path if path.is_dir() else path.parent)).absolute()
    for file in known:
        _check(file)
        name = file.absolute().relative_to(folder).with_suffix("").as_posix()
        if name in sources and sources[name].path.absolute() == file.absolute():
            continue
        if name in sources:
            raise UserError(
                f"{file} and {sources[name].path} would both be written as {name}.png; give "
                "them in two runs, with two --output_dir"
            )
        sources[name] = Source(file, name, *_frames(file))


def _below(folder: pathlib.Path) -> list[pathlib.Path]:
    """All files below a folder, in linked folders too, but no hidden ones, sorted by name."""
    found = []
    ways = {os.fspath(folder): (folder.resolve(),)}
    for root, folders, names in os.walk(folder, followlinks=True):
        way = ways[root]
        real = {n: pathlib.Path(root, n).resolve() for n in folders if not n.startswith(".")}
        # A link to a folder that it is in itself, through other links too, would never end.
        folders[:] = [n for n in real if not any(part.is_relative_to(real[n]) for part in way)]
        ways |= {os.path.join(root, name): (*way, real[name]) for name in folders}
        found += [pathlib.Path(root, name) for name in names if not name.startswith(".")]
    return sorted(found)


def _frames(file: pathlib.Path) -> tuple[int | None, float]:
    """Number of frames, and frames a second, as of `Source`."""
    if file.suffix.lower() not in VIDEOS:
        return 1, 0.0
    video = cv2.VideoCapture(str(file))
    is_readable, _ = video.read()
    frames, rate = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), video.get(cv2.CAP_PROP_FPS)
    video.release()
    if not is_readable:
        raise UserError(f"{file}: not a readable video")
    # Both may be missing, and streams without a clock have absurd rates.
    return frames if frames > 0 else None, rate if 0 < rate <= 1000 else _USUAL_RATE


def _check(path: str | os.PathLike) -> None:
    """Raises a UserError for what OpenCV would wait for, or crash on."""
    check_regular(path)
    check_text(path)


def read(source: Source) -> Iterator[tuple[str, np.ndarray]]:
    """Yields name and uint8 RGB [height, width, 3] of an image, or of every frame of a video.

    Raises:
      UserError: it cannot be read.
    """
    if not source.is_video:
        yield source.name, read_image(source.path)
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


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads an image file, uint8 RGB [height, width, 3], turned upright as its EXIF data says.

    A file that is damaged or cut off, and of which some was read, is told in a warning.

    Raises:
      UserError: it cannot be read.
    """
    _check(path)
    os.stat(path)  # raises the error of a file that is not there
    try:
        with heard() as said:
            # With `dst` it decodes into the array itself; otherwise OpenCV copies a whole image.
            image = cv2.imread(filename=os.fspath(path), dst=None, flags=cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise UserError(f"{path}: not a readable image ({error.err})") from None
    if image is None:
        raise UserError(f"{path}: not a readable image")
    # Decoders also warn of metadata that does not matter here.
    if faults := [line for line in said if "warn" not in line.lower()]:
        print(f"warning: {path}: damaged, and read in part ({faults[0]})", file=sys.stderr)
    return image


def pixels(image: np.ndarray | str | os.PathLike) -> np.ndarray:
    """Returns an image, uint8 RGB [height, width, 3], from such an array or from a file.

    Raises:
      UserError: it is no such image.
    """
    if isinstance(image, str | os.PathLike):
        return read_image(image)
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        raise UserError(
            f"an image of {image.dtype} {list(image.shape)}: give uint8 [height, width, 3] in RGB"
        )
    return image
