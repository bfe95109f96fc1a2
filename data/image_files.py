"""Image and label files: where they are, and what can be wrong with them."""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from PIL import ExifTags, Image

from data.errors import DataError
from data.label_map import LabelMap

# Errors that Pillow raises for damaged files.
_DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)


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
        try:
            return self.archive.read(self.member)
        except (*_DAMAGED, zipfile.BadZipFile) as error:
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
    """
    found = []
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [pathlib.Path(root, name) for name in names if not name.startswith(".")]
    return sorted(found)


class Tree:
    """The files of a data set by their path in the published tree, unpacked or still in zips.

    Attributes:
      sources: files by their path relative to the tree's root.
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
                if path.suffix in (".png", ".jpg"):
                    self.sources[path.relative_to(root).as_posix()] = File(path)
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
            if name.startswith(folders) and name.endswith((".png", ".jpg"))
        }
        if found or is_needed:
            self.files.append(path)
        if is_needed and not found:
            places = ", ".join(folders)
            self.problems.append(f"{path}: no images of {places} in it; is it another zip?")
        self.sources.update(found)

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
    image = _decode(source, content, ("PNG", "JPEG"))
    if image.mode not in (("RGB", "L") if grey else ("RGB",)) or _png_depth(image, content) != 8:
        raise DataError(f"{source.name}: not an 8-bit RGB image; convert it")
    if upright and image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        raise DataError(
            f"{source.name}: turned or mirrored by its EXIF orientation, which training does not "
            "see; save the image upright, without it"
        )
    return content, (image.height, image.width)


def read_label(source: Source, label_map: LabelMap) -> np.ndarray:
    """Reads the labels of a mask, uint8 [height, width].

    A PNG with one 8-bit channel contains labels; so does one with a palette, as its indices. An RGB
    PNG contains the colours of the label map.
    """
    content = source.read()
    image = _decode(source, content, ("PNG",))
    pixels = np.asarray(image)
    if image.mode == "RGBA" and (pixels[..., 3] == 255).all():
        image, pixels = image.convert("RGB"), pixels[..., :3]
    depth = _png_depth(image, content)
    if image.mode == "RGB" and depth == 8:
        return _labels_of_colors(source, pixels, label_map)
    if image.mode not in ("L", "P") or (image.mode == "L" and depth != 8):
        raise DataError(
            f"{source.name}: neither 8-bit labels, nor a palette, nor RGB ({depth} bits, "
            f"{image.mode}); save the labels as an 8-bit image of one channel"
        )
    unknown = label_map.unknown(pixels)
    if unknown:
        raise DataError(f"{source.name}: label {_some(unknown)} is no class; {label_map.known()}")
    if image.mode == "P":
        _check_palette(source, image, label_map)
    return pixels


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
        labels = read_label(pair.label, pair.label_map or label_map)
    except DataError as error:
        errors.append(error)
    if size and labels is not None and labels.shape != size:
        errors.append(
            DataError(
                f"{pair.label.name}: {labels.shape[1]}x{labels.shape[0]} pixels, but "
                f"{pair.image.name} has {size[1]}x{size[0]}; labels must have the image's size"
            )
        )
    if labels is not None and pair.label_map:
        labels = label_map.values()[pair.label_map.lookup()[labels]]
    return content, labels, errors


def _decode(source: Source, content: bytes, formats: tuple[str, ...]) -> Image.Image:
    if not content:
        raise DataError(f"{source.name}: empty; copy the file again")
    try:
        # Checksums first: decoders differ in the damage that they notice.
        Image.open(io.BytesIO(content), formats=formats).verify()
        image = Image.open(io.BytesIO(content), formats=formats)
        image.load()
    except _DAMAGED:
        what = " or ".join(formats)
        raise DataError(f"{source.name}: not a whole {what} image; copy the file again") from None
    return image


def _png_depth(image: Image.Image, content: bytes) -> int:
    """Bits of a channel, from the PNG's header: Pillow widens or narrows some to 8."""
    return content[24] if content.startswith(b"\x89PNG") else 8


def _some(values: Sequence) -> str:
    shown = ", ".join(map(str, values[:5]))
    return f"{shown} and {len(values) - 5} more" if len(values) > 5 else shown


def _labels_of_colors(source: Source, pixels: np.ndarray, label_map: LabelMap) -> np.ndarray:
    table = label_map.color_labels()
    codes, inverse = np.unique(_codes(pixels), return_inverse=True)
    colors = [(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in codes]
    double = [color for color in colors if color in label_map.double_colors()]
    if double:
        raise DataError(
            f"{source.name}: colour {_some(double)} stands for two classes in the label map; save "
            "the labels as an 8-bit image of one channel"
        )
    unknown = [color for color in colors if color not in table]
    if unknown:
        raise DataError(
            f"{source.name}: colour {_some(unknown)} is no class; an RGB mask holds colours of "
            "the label map only (`color` and `void_colors`)"
        )
    labels = np.array([table[color] for color in colors], np.uint8)
    return labels[inverse].reshape(pixels.shape[:2])


def _codes(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(pixels.astype(np.uint32), -1, 0)
    return red << 16 | green << 8 | blue


def _check_palette(source: Source, image: Image.Image, label_map: LabelMap) -> None:
    """Refuses renumbered palettes, from programs that shrink PNGs: indices are no labels."""
    table, class_of = label_map.color_labels(), label_map.lookup()
    double = label_map.double_colors()
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3).tolist()
    used = np.unique(np.asarray(image)).tolist()
    colors = {index: tuple(palette[index]) for index in used if index < len(palette)}
    if len(colors) < len(used) or not set(colors.values()) <= set(table):
        return  # The palette is not the label map's: only the indices matter.
    for index, color in colors.items():
        if (
            color not in double
            and color != (index,) * 3
            and class_of[table[color]] != class_of[index]
        ):
            raise DataError(
                f"{source.name}: palette index {index} has the colour {color} of another class; "
                "save the mask as an 8-bit image of one channel, or as RGB"
            )
