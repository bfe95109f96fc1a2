"""Content of image files: decoded whole, or named for what it is instead."""

from __future__ import annotations

import io
import os
import re
import struct
import warnings
import zlib
from collections.abc import Sequence
from typing import BinaryIO

from PIL import Image

from data.errors import DataError

# Errors that Pillow raises for damaged files.
DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
# Beginnings of files that are found under the names of images, and what to do about each.
_OTHERS = (
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the file itself with `git lfs pull`"),
    (b"PK\x03\x04", "a zip archive; unpack it"),
    (b"%PDF", "a PDF; export its image"),
    (b"\x93NUMPY", "a NumPy array; save it"),
)
_PAGES = (b"<!doctype html", b"<html")
_DRAWINGS = (b"<svg", b"<?xml")
_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"avif": "AVIF"}


class RepeatedFault(DataError):
    """A fault that many files of a data set may share, and that is then told once.

    Attributes:
      name: name of the file.
      reason: what is wrong with it, without the name.
    """

    def __init__(self, name: str, reason: str):
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


def opened(file: str | os.PathLike | BinaryIO, formats: Sequence[str] | None = None) -> Image.Image:
    """Opens an image of one of Pillow's `formats`, or of any, and reads its head."""
    with warnings.catch_warnings():
        # Of images that are half as large as those that Pillow refuses.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=formats)


def decode(name: str, content: bytes, formats: Sequence[str]) -> Image.Image:
    """Decodes a file in one of Pillow's `formats`, whatever its suffix.

    Raises:
      DataError: it is damaged or of another format; the message says which, and what to do.
    """
    if not content:
        raise DataError(f"{name}: empty; copy the file again")
    try:
        # Checksums first: decoders differ in the damage that they notice.
        opened(io.BytesIO(content), formats).verify()
        image = opened(io.BytesIO(content), formats)
        image.load()
    except Image.DecompressionBombError as error:
        pixels, limit = (int(x) for x in re.findall(r"\d+", str(error))[:2])
        raise RepeatedFault(
            name,
            f"{pixels:,} pixels, more than the {limit:,} that are read; cut it into tiles, or make "
            "it smaller",
        ) from None
    except DAMAGED:
        wanted = " or ".join(formats)
        other = _other(content, formats)
        if other:
            raise RepeatedFault(name, f"not a whole {wanted} image but {other}") from None
        raise DataError(f"{name}: not a whole {wanted} image; copy the file again") from None
    return image


def png_depth(content: bytes) -> int:
    """Returns the bits of a channel, from a PNG's header: Pillow widens or narrows some to 8."""
    return content[24] if content.startswith(b"\x89PNG") else 8


def _other(content: bytes, formats: Sequence[str]) -> str:
    """What a file is that is in none of the formats, and what to do; empty where that is open."""
    wanted = " or ".join(formats)
    for start, what in _OTHERS:
        if content.startswith(start):
            return what if "save it" not in what else f"{what} as {wanted}"
    text = content[:256].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_PAGES):
        return "a web page (HTML): the download failed; download the file itself"
    if text.startswith(_DRAWINGS):
        return f"a drawing or text in XML; export it as {wanted}"
    found = _BRANDS.get(content[8:12], "HEIC or a video") if content[4:8] == b"ftyp" else None
    if not found:
        try:
            found = opened(io.BytesIO(content)).format
        except DAMAGED:
            found = None
    found = "JPEG" if found == "MPO" else found
    if not found or found in formats:
        return ""
    if found == "JPEG":
        return (
            "a JPEG, whose compression changes labels; masks must be PNG: export them again from "
            "where they were drawn, since a converted JPEG keeps the wrong labels"
        )
    return f"a {found}; save it as {wanted}"
