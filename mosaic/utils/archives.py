"""Archives as they are published: .tar.gz files with one model each."""

from __future__ import annotations

import contextlib
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator

from mosaic.utils.errors import UserError

ENDINGS = (".tar.gz", ".tgz")


def is_archive(path: str) -> bool:
    """Whether a path names an archive, by its suffix."""
    return path.endswith(ENDINGS)


def names(path: str) -> list[str]:
    """Returns the names in an archive; none where it is damaged, which `unpacked` reports."""
    try:
        with tarfile.open(path) as archive:
            return archive.getnames()
    except (tarfile.TarError, EOFError, OSError, zlib.error):
        return []


@contextlib.contextmanager
def unpacked(path: str) -> Iterator[str]:
    """Yields a folder with the content of an archive; the folder is removed afterwards.

    Raises:
      UserError: the archive is missing or damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(path) as archive:
                _extract(archive, folder)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except (tarfile.TarError, EOFError, OSError, zlib.error):
            raise UserError(f"{path}: not a readable archive; download it again") from None
        yield folder


def _extract(archive: tarfile.TarFile, folder: str) -> None:
    """Extracts the members whose paths are inside the folder."""
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, filter="data")
        return
    # Early releases of Python 3.10 and 3.11 have no extraction filters.
    for member in archive:
        place = os.path.realpath(os.path.join(folder, member.name))
        if member.isreg() and place.startswith(os.path.realpath(folder) + os.sep):
            archive.extract(member, folder)


def saved_model_folder(folder: str) -> str:
    """Returns the uppermost folder with a SavedModel, the given folder or one below it."""
    found = [root for root, _, files in os.walk(folder) if is_saved_model(files)]
    return min(found, key=lambda root: root.count(os.sep), default=folder)


def is_index(path: str) -> bool:
    """Whether a path is that of a checkpoint's index.

    A SavedModel's variables are no checkpoint, nor are the files that macOS adds to archives.
    """
    folder, name = os.path.split(path)
    return name.endswith(".index") and not (name.startswith("._") or folder.endswith("variables"))


def is_saved_model(files: list[str]) -> bool:
    """Whether a folder is a SavedModel, by the names of its files."""
    return not {"saved_model.pb", "saved_model.pbtxt"}.isdisjoint(files)
