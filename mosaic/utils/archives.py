"""Archives as they are published: .tar.gz and other .tar files with one model each.

They come from elsewhere, so only regular files and folders are taken from them, to places that are
checked here: Python's own filters can be led astray by chains of links.
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import lzma
import os
import pathlib
import re
import shutil
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from mosaic.utils.atomic_io import scratch
from mosaic.utils.errors import UserError, check_regular

ENDINGS = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz")
# Limits on what an archive may hold, in bytes unpacked and in entries.
MAX_BYTES = 20 * 2**30
MAX_MEMBERS = 100_000
# The largest single text in an archive, be it a member's header or a file in a TFLite file's zip.
MAX_TEXT = 16 * 2**20

_CHUNK = 2**20
_COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_DAMAGED = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError)


def is_archive(path: str) -> bool:
    """Whether a path names an archive, by its suffix."""
    return path.endswith(ENDINGS)


def names(path: str) -> list[str]:
    """Returns the names of files and folders in an archive.

    There are none where it is damaged or too large, which `unpacked` reports.
    """
    try:
        with _members(path) as (_, members):
            return [member.name for member in members]
    except (UserError, *_DAMAGED):
        return []


@contextlib.contextmanager
def unpacked(path: str) -> Iterator[str]:
    """Yields a folder with the files of an archive; the folder is removed afterwards.

    Links and devices are left out, and so are files with a place outside of the folder.

    Raises:
      UserError: the archive is missing, damaged, or larger than `MAX_BYTES` or the disk.
    """
    with scratch() as folder:
        try:
            _extract(path, folder)
        except UserError:
            raise
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except _DAMAGED as error:
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise
            raise UserError(f"{path}: not a readable archive; download it again") from None
        yield folder


class _Limited:
    """A stream of unpacked bytes that refuses to give more of them at once than a header has.

    `tarfile` reads a member's extended header into memory, however long it says it is.
    """

    def __init__(self, stream: BinaryIO, path: str):
        self._stream, self._path = stream, path

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_TEXT:
            raise UserError(f"{self._path}: a header of {size} bytes (limit {MAX_TEXT}) in it")
        return self._stream.read(size)

    def seek(self, *place: int) -> int:
        return self._stream.seek(*place)

    def tell(self) -> int:
        return self._stream.tell()


@contextlib.contextmanager
def _members(path: str) -> Iterator[tuple[tarfile.TarFile, Iterator[tarfile.TarInfo]]]:
    """Yields an archive and its regular files and folders, as far as the limits allow."""
    check_regular(path)
    with open(path, "rb") as file:
        start = file.read(8)
        openers = [opener for magic, opener in _COMPRESSED.items() if start.startswith(magic)]
        file.seek(0)
        stream = openers[0](file) if openers else file
        with stream, tarfile.open(fileobj=_Limited(stream, path), mode="r:") as archive:
            yield archive, _usual(archive, path)


def _usual(archive: tarfile.TarFile, path: str) -> Iterator[tarfile.TarInfo]:
    total = 0
    for count, member in enumerate(archive, 1):
        total += max(member.size, 0)
        if count > MAX_MEMBERS:
            raise UserError(f"{path}: more than {MAX_MEMBERS} files in it, the limit; not unpacked")
        if total > MAX_BYTES:
            raise UserError(f"{path}: {_too_large(MAX_BYTES)}")
        if member.isreg() or member.isdir():
            yield member


def _too_large(limit: int) -> str:
    return f"more than {limit / 2**30:.3g} GiB when unpacked, the limit; not unpacked"


def _extract(path: str, folder: str) -> None:
    """Writes the files of an archive into an empty folder, each to a place checked here."""
    left = limit = min(MAX_BYTES, shutil.disk_usage(folder).free)
    with _members(path) as (archive, members):
        for member in members:
            place = _place(folder, member.name)
            if place is None:
                line = f"warning: {path}: {member.name!r} has a place outside; left out"
                print(line, file=sys.stderr)
            elif member.isdir():
                place.mkdir(parents=True, exist_ok=True)
            else:
                if member.size > left:
                    raise UserError(f"{path}: {_too_large(limit)}")
                left -= member.size
                _write(archive.extractfile(member), place, member.size)


def _place(folder: str, name: str) -> pathlib.Path | None:
    """The path of a member in a folder; None for absolute paths, drives and `..`."""
    parts = [part for part in re.split(r"[/\\]", name) if part != "."]
    if not name or name[0] in "/\\" or re.match(r"[A-Za-z]:", name) or ".." in parts:
        return None
    root = pathlib.Path(folder).resolve()
    place = root.joinpath(*parts).resolve()
    return place if place.is_relative_to(root) else None


def _write(source: BinaryIO, place: pathlib.Path, size: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place, "wb") as target:
        while size > 0:
            chunk = source.read(min(size, _CHUNK))
            if not chunk:
                raise EOFError("the archive ends inside a file")
            target.write(chunk)
            size -= len(chunk)


def zip_member(archive: zipfile.ZipFile, name: str, path: str) -> bytes:
    """Returns a text file of a zip.

    Args:
      archive: zip, opened.
      name: name of the file in it.
      path: name of the zip in messages.

    Raises:
      UserError: it is larger than `MAX_TEXT`.
    """
    size = archive.getinfo(name).file_size
    if size > MAX_TEXT:
        raise UserError(f"{path}: {name} of {size} bytes in it (limit {MAX_TEXT})")
    return archive.read(name)


def saved_model_folder(folder: str, path: str) -> str:
    """Returns the uppermost folder with a SavedModel, the given folder or one below it.

    Args:
      folder: folder of what was unpacked.
      path: path of the archive, for messages.

    Raises:
      UserError: there are several, none above the others.
    """
    found = [root for root, _, files in os.walk(folder) if is_saved_model(files)]
    depth = min((root.count(os.sep) for root in found), default=0)
    uppermost = sorted(root for root in found if root.count(os.sep) == depth)
    if len(uppermost) > 1:
        names = ", ".join(os.path.relpath(root, folder) for root in uppermost)
        raise UserError(
            f"{path}: several SavedModels in it ({names}); unpack it and give one of them"
        )
    return (uppermost or [folder])[0]


def is_index(path: str) -> bool:
    """Whether a path is that of a checkpoint's index.

    A SavedModel's variables are no checkpoint, nor are the files that macOS adds to archives.
    """
    folder, name = os.path.split(path)
    return name.endswith(".index") and not (name.startswith("._") or folder.endswith("variables"))


def is_saved_model(files: list[str]) -> bool:
    """Whether a folder is a SavedModel, by the names of its files."""
    return not {"saved_model.pb", "saved_model.pbtxt"}.isdisjoint(files)
