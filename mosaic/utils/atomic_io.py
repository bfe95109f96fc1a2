"""Atomic writing: a file is complete under its name, or not there at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator

from mosaic.utils.errors import UserError
from mosaic.utils.storage_paths import is_remote

# In each temporary folder of this module; locked as long as its process lives.
_MARK = ".being_written"
# Beginning of the names of temporary folders that are not beside what is written.
_SCRATCH = "mosaic_"
# Where the file system has no locks, or the folder no mark, only age tells that it was left behind.
_ABANDONED = 24 * 3600.0


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path` that replaces it when the block ends without an error.

    A file or a folder can be written there. After an error nothing of it is left, not even the
    folders that it needed, and an older file or folder of that name is still there.
    """
    _check_here(path)
    path = pathlib.Path(path)
    made = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    mark = _marked(folder)
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
        os.close(mark)
        with contextlib.suppress(OSError):  # another has put something there
            for parent in made:
                parent.rmdir()
        raise
    shutil.rmtree(folder, ignore_errors=True)
    os.close(mark)


class Replacing:
    """Writes many files, each complete under its name or not there; faster than `replacing`.

    In its block, `write` does it, by a single temporary folder in `folder`, which is removed at the
    end.

    Args:
      folder: folder that the files lie in or below.
    """

    # What is written is called so until it is complete.
    _NAME = "file"

    def __init__(self, folder: str | os.PathLike):
        self._folder, self._stack = pathlib.Path(folder), contextlib.ExitStack()
        self._aside: pathlib.Path | None = None

    def __enter__(self) -> Replacing:
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def write(self, path: pathlib.Path, content: bytes) -> None:
        """Writes a file; its folders are made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._aside is None:
            aside = pathlib.Path(tempfile.mkdtemp(prefix=f".{self._NAME}.", dir=self._folder))
            self._stack.callback(os.close, _marked(aside))
            self._stack.callback(shutil.rmtree, aside, ignore_errors=True)
            self._aside = aside / self._NAME
        self._aside.write_bytes(content)
        try:
            os.replace(self._aside, path)
        except OSError as error:
            if error.errno != errno.EXDEV:  # a folder below is linked to another file system
                raise
            with replacing(path) as beside:
                beside.write_bytes(content)


def _check_here(path: str | os.PathLike) -> None:
    """Raises a UserError for a URL, which would be taken for a folder named after its scheme."""
    if is_remote(os.fspath(path)):
        raise UserError(
            f"{path}: only the commands' flags take paths on other storage; name one of this "
            "machine (docs/storage.md)"
        )


def _marked(folder: pathlib.Path) -> int:
    """Puts a locked file into a temporary folder; returns its descriptor."""
    # The file gets its name once it is locked: another process never sees it free.
    start = folder / f"{_MARK}.new"
    mark = os.open(start, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.rename(start, folder / _MARK)
    return mark


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Removes what killed processes left of unfinished files in a folder and those in it.

    Only temporary folders of `replacing` are touched, and none of a process that still runs. A
    folder that was put aside in the last moment gets its name back.
    """
    places = [pathlib.Path(folder)]
    with contextlib.suppress(OSError):
        places += [p for p in places[0].iterdir() if p.is_dir() and not p.is_symlink()]
    for place in places:
        with contextlib.suppress(OSError):
            for path in [p for p in place.iterdir() if p.name.startswith(".")]:
                with contextlib.suppress(OSError):
                    _remove_leftover(path)


def _remove_leftover(folder: pathlib.Path) -> None:
    # `tempfile` puts eight of these characters after the prefix.
    match = re.fullmatch(r"\.(.+)\.[a-z0-9_]{8}", folder.name)
    if not match or folder.is_symlink() or not folder.is_dir():
        return
    name = match[1]
    inside = {path.name for path in folder.iterdir()}
    if inside - {name, f"{name}.old", _MARK, f"{_MARK}.new"}:
        return  # not made here
    is_old = bool(inside) and time.time() - folder.stat().st_mtime > _ABANDONED
    if not (_is_free(folder / _MARK) if _MARK in inside else is_old):
        return
    old, path = folder / f"{name}.old", folder.parent / name
    if old.exists() and not path.exists():
        os.rename(old, path)
    shutil.rmtree(folder)


def _is_free(mark: pathlib.Path) -> bool:
    """Whether no process holds the lock of a mark."""
    file = os.open(mark, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return time.time() - mark.stat().st_mtime > _ABANDONED
    finally:
        os.close(file)
    return True


@contextlib.contextmanager
def scratch() -> Iterator[str]:
    """Yields a temporary folder, which is removed at the end.

    Those that killed processes left are removed first.
    """
    for left in pathlib.Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):
            if not left.is_symlink() and _is_free(left / _MARK):
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH) as folder:
        mark = _marked(pathlib.Path(folder))
        inner = os.path.join(folder, "files")
        os.mkdir(inner)
        try:
            yield inner
        finally:
            os.close(mark)


@contextlib.contextmanager
def locked(folder: str | os.PathLike) -> Iterator[None]:
    """Locks a folder for one process, until the process ends in whatever way.

    Raises:
      UserError: another process has locked it.
    """
    _check_here(folder)
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

    What killed processes left there of unfinished files is removed (`remove_leftovers`).

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
    remove_leftovers(path)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file, which gets its name only once it is complete."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")
