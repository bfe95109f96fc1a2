"""Atomic writing: a file is complete under its name, or not there at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from mosaic.utils.errors import UserError


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path` that replaces it when the block ends without an error.

    A file or a folder can be written there. After an error nothing of it is left, not even the
    folders that it needed, and an older file or folder of that name is still there.
    """
    path = pathlib.Path(path)
    made = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        aside = folder / path.name
        yield aside
        if path.is_dir() and aside.is_dir():
            # A folder cannot be renamed over one that is not empty: the old one is renamed first.
            old = folder / f"{path.name}.old"
            try:
                os.rename(path, old)
                os.replace(aside, path)
            except BaseException:
                if old.exists() and not path.exists():
                    os.rename(old, path)
                raise
        else:
            os.replace(aside, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another has put something there
            for parent in made:
                parent.rmdir()
        raise
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: str | os.PathLike) -> Iterator[None]:
    """Locks a folder for one process, until the process ends in whatever way.

    Raises:
      UserError: another process has locked it.
    """
    path = pathlib.Path(folder) / ".lock"
    made = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder}: another process trains there; wait for it, or take another folder"
            ) from None
        except OSError:
            pass  # a file system without locks
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
                for parent in made:
                    parent.rmdir()


def check_writable(folder: str | os.PathLike) -> None:
    """Checks before long work that a folder can be written to, or created if it does not exist.

    Raises:
      UserError: it cannot.
    """
    path = pathlib.Path(folder).absolute()
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    try:
        # Permissions alone do not show it: the file system may be read-only or virtual.
        with tempfile.TemporaryDirectory(dir=there):
            pass
    except OSError as error:
        raise UserError(
            f"{folder}: {there} cannot be written to ({error.strerror}); name another folder"
        ) from None


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file, which gets its name only once it is complete."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")
