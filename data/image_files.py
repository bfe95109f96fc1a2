"""Image and label files: where they are, and what can be wrong with them."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from PIL import ExifTags

from data.decoding import DAMAGED, RepeatedFault, decode, png_depth
from data.errors import DataError, check_regular
from data.label_map import LabelMap
from data.masks import read_label

# What images are by Pillow's modes, for messages.
_MODES = {
    "L": "a grey one",
    "1": "a black-and-white one",
    "LA": "a grey one with an alpha channel (LA)",
    "RGBA": "one with an alpha channel (RGBA)",
    "P": "one with a palette",
    "CMYK": "one in printing colours (CMYK)",
    "I;16": "one of 16 bits",
}


# More bytes than a file of the largest image that is read has, however it is compressed.
_MOST_BYTES = 2**30


def _check_bytes(name: str, size: int, fix: str) -> None:
    """Raises a DataError for a file that would fill the memory and can be no image."""
    if size > _MOST_BYTES:
        raise DataError(f"{name}: {size:,} bytes, more than any image has ({_MOST_BYTES:,}); {fix}")


class Source(Protocol):
    """One file, on disk or inside another; `name` is its name in messages."""

    name: str

    def read(self) -> bytes:
        """Returns the content, or raises a DataError."""


@dataclasses.dataclass(frozen=True)
class File:
    """A file on disk."""

    path: pathlib.Path

    @property
    def name(self) -> str:
        return str(self.path)

    def read(self) -> bytes:
        try:
            check_regular(self.path)
            _check_bytes(self.name, self.path.stat().st_size, "is it another file?")
            return self.path.read_bytes()
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror})") from None


@dataclasses.dataclass(frozen=True)
class Member:
    """A file inside an open zip."""

    archive: zipfile.ZipFile
    member: str

    @property
    def name(self) -> str:
        return f"{self.archive.filename}/{self.member}"

    def read(self) -> bytes:
        size = self.archive.getinfo(self.member).file_size
        _check_bytes(self.name, size, "download the zip again")
        try:
            return self.archive.read(self.member)
        except (*DAMAGED, zipfile.BadZipFile) as error:
            raise DataError(f"{self.name}: damaged ({error}); download the zip again") from None


@dataclasses.dataclass(frozen=True)
class Content:
    """A file whose content is in memory; without content, `read` raises its `problem`."""

    name: str
    content: bytes = b""
    problem: str = ""

    def read(self) -> bytes:
        if self.problem:
            raise DataError(f"{self.name}: {self.problem}")
        return self.content


@dataclasses.dataclass(frozen=True)
class Pair:
    """One example.

    Attributes:
      id: name of the example, unique in the split.
      image: file of the image.
      label: file of the label; None where there is no truth, and all pixels are ignored.
      label_map: label map of this label file, where it is not the data set's.
    """

    id: str
    image: Source
    label: Source | None
    label_map: LabelMap | None = None


def below(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files in a folder and its subfolders, linked ones too, in order of their names.

    Hidden files are left out: macOS adds them beside images, with nearly the same names.

    Raises:
      DataError: the name of an image is not UTF-8.
    """
    found = []
    ways = {os.fspath(folder): (folder.resolve(),)}
    for root, folders, names in os.walk(folder, followlinks=True):
        way = ways[root]
        real = {n: pathlib.Path(root, n).resolve() for n in folders if not n.startswith(".")}
        # A link to a folder that it is in itself, through other links too, would never end.
        folders[:] = [n for n in real if not any(part.is_relative_to(real[n]) for part in way)]
        ways |= {os.path.join(root, name): (*way, real[name]) for name in folders}
        found += [pathlib.Path(root, name) for name in names if not name.startswith(".")]
    for path in found:
        _check_text(path, folder)
    return sorted(found)


def _check_text(path: pathlib.Path, folder: pathlib.Path) -> None:
    """Raises a DataError for an image that no record can name, such as one from an old zip."""
    name = os.fspath(path.relative_to(folder))
    try:
        name.encode()
    except UnicodeEncodeError:
        if plain_suffix(name).endswith((".png", ".jpg")):
            shown = os.fsencode(name)
            raise DataError(f"{folder}: the name {shown} in it is not UTF-8; rename it") from None


def plain_suffix(path: str) -> str:
    """Returns a path with the suffix of published data sets: `.jpg` for `.JPG` and `.jpeg`."""
    stem, dot, suffix = path.rpartition(".")
    suffix = suffix.lower()
    return f"{stem}{dot}{'jpg' if suffix == 'jpeg' else suffix}"


class Tree:
    """The files of a data set by their path in the published tree, unpacked or still in zips.

    Attributes:
      sources: files by their path relative to the tree's root, with suffixes as published.
      files: files on disk that these are in.
      problems: zips that cannot be read or have nothing of the tree, one line each.
    """

    def __init__(
        self, root: pathlib.Path, folders: Sequence[str], zips: Mapping[str, Sequence[str]]
    ):
        """Looks for files.

        Args:
          root: folder of the tree and of the zips.
          folders: folders of the tree to look in.
          zips: folders in each zip, by the zip's name; those that are not unpacked are read from
            it.
        """
        self.sources: dict[str, Source] = {}
        self.files: list[pathlib.Path] = []
        self.problems: list[str] = []
        for folder in folders:
            for path in below(root / folder):
                self._add(path.relative_to(root).as_posix(), File(path))
        for name, held in zips.items():
            packed = tuple(f"{folder}/" for folder in held if not (root / folder).is_dir())
            if packed and (root / name).is_file():
                self._open(root / name, packed)

    def _open(self, path: pathlib.Path, folders: tuple[str, ...]) -> None:
        """Adds files of some folders in a zip; those with test images may be missing."""
        is_needed = not all(folder.endswith("/test/") for folder in folders)
        try:
            archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile):
            if is_needed:
                self.files.append(path)
                self.problems.append(f"{path}: not a whole zip; download it again")
            return
        found = {
            name: Member(archive, name)
            for name in archive.namelist()
            if name.startswith(folders) and plain_suffix(name).endswith((".png", ".jpg"))
        }
        if found or is_needed:
            self.files.append(path)
        if is_needed and not found:
            places = ", ".join(folders)
            self.problems.append(f"{path}: no images of {places} in it; is it another zip?")
        for name, member in found.items():
            self._add(name, member)

    def _add(self, path: str, source: Source) -> None:
        """Adds an image under its path in the published tree, whose suffixes are lower-case."""
        plain = plain_suffix(path)
        if plain.endswith((".png", ".jpg")) and (path == plain or plain not in self.sources):
            self.sources[plain] = source

    def used(self, pairs: Sequence[Pair]) -> list[pathlib.Path]:
        """Returns the files on disk that the pairs are in."""
        sources = [s for pair in pairs for s in (pair.image, pair.label) if isinstance(s, File)]
        return self.files + [source.path for source in sources]


def read_image(
    source: Source, grey: bool = False, upright: bool = False
) -> tuple[bytes, tuple[int, int]]:
    """Reads an image and checks that it is a complete PNG or JPEG of 8-bit RGB.

    Args:
      source: file of the image.
      grey: whether one channel is allowed too; TensorFlow makes it RGB when it decodes.
      upright: whether an image that its metadata rotates is wrong: TensorFlow decodes it as stored,
        unlike programs for drawing masks.

    Returns:
      (content of the file, (height, width) in pixels).
    """
    content = source.read()
    image = decode(source.name, content, ("PNG", "JPEG"))
    depth = png_depth(content)
    if image.mode not in (("RGB", "L") if grey else ("RGB",)) or depth != 8:
        what = _MODES.get(image.mode, image.mode) if depth == 8 else f"one of {depth} bits"
        wanted = "RGB or grey" if grey else "RGB"
        raise RepeatedFault(
            source.name, f"not an 8-bit {wanted} image but {what}; save it as 8-bit {wanted}"
        )
    if upright and image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        raise RepeatedFault(
            source.name,
            "turned or mirrored by its EXIF orientation, which training does not see; save the "
            "image upright, without it",
        )
    return content, (image.height, image.width)


def read_pair(
    pair: Pair, label_map: LabelMap, grey: bool = False, upright: bool = False
) -> tuple[bytes, np.ndarray, list[DataError]]:
    """Reads and checks one example; `grey` and `upright` are those of `read_image`.

    Returns:
      (image, labels, errors): the image file's content, the data set's labels as uint8 [height,
      width], and everything that is wrong; with errors the other two are meaningless.
    """
    errors, content, size, labels = [], b"", None, None
    try:
        content, size = read_image(pair.image, grey, upright)
    except DataError as error:
        errors.append(error)
    if pair.label is None:
        return content, np.full(size or (0, 0), label_map.ignored, np.uint8), errors
    try:
        labels = read_label(pair.label.name, pair.label.read(), pair.label_map or label_map)
    except DataError as error:
        errors.append(error)
    if size and labels is not None and labels.shape != size:
        errors.append(
            RepeatedFault(
                pair.label.name,
                f"{labels.shape[1]}x{labels.shape[0]} pixels, but its image has "
                f"{size[1]}x{size[0]}; labels must have the image's size",
            )
        )
    if labels is not None and pair.label_map:
        labels = label_map.values()[pair.label_map.lookup()[labels]]
    return content, labels, errors
