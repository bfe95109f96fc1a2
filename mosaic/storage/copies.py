"""Copies on this machine of what lies on other storage, brought up to date there.

Object stores know neither appending nor renaming nor locks, on which whole files and a run's
records rest. So commands work on a copy in a temporary folder, and what is new in it is taken to
the storage, whole files one after the other: a checkpoint's before the list that names it.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import tensorflow as tf

from mosaic.utils.atomic_io import scratch
from mosaic.utils.errors import UserError
from mosaic.utils.storage_paths import is_remote

# Where a file appears only once it is complete; elsewhere it is written aside and renamed.
_WHOLE = ("gs://", "s3://")
# Texts that name the folder in which they were written.
_TEXTS = (".json", ".jsonl", ".html", ".gin", ".txt")
_STATE = "checkpoint"
# TensorBoard's files and exports of a run: they are added to, and never read again.
_NOT_READ = ("train", "validation", "saved_model")

_open: dict[str, Copy] = {}


class Copy:
    """A copy of a folder or a file.

    Args:
      remote: its path on the storage; it need not exist yet.
      local: path of the copy, of which only the parent exists.
    """

    def __init__(self, remote: str, local: str):
        self.remote = remote.rstrip("/")
        self.local = local
        self._known: dict[str, tuple[int, int]] = {}

    def fetch(self, is_run: bool = False) -> None:
        """Copies what is on the storage to this machine.

        Args:
          is_run: whether it is a run's folder, of which only what is read is needed: its records
            and checkpoints.

        Raises:
          UserError: it cannot be read, or there is no room for it here.
        """
        with _told(self.remote):
            names = self._names_there(is_run)
            sizes = [tf.io.gfile.stat(self._there(name)).length for name in names]
            free = shutil.disk_usage(os.path.dirname(self.local)).free
            if sum(sizes) > free:
                raise UserError(
                    f"{self.remote}: {sum(sizes) / 2**30:.1f} GiB, and {tempfile.gettempdir()} has "
                    f"room for {free / 2**30:.1f}; set TMPDIR to a larger folder"
                )
            for name in names:
                here = self._here(name)
                here.parent.mkdir(parents=True, exist_ok=True)
                tf.io.gfile.copy(self._there(name), str(here), overwrite=True)
        self._known = self._files()

    def deliver(self) -> None:
        """Takes new and changed files to the storage, and removes there what was removed here.

        Raises:
          UserError: it cannot be written.
        """
        files = self._files()
        changed = [name for name, state in files.items() if self._known.get(name) != state]
        with _told(self.remote):
            for name in sorted(changed, key=_order):
                self._put(name)
            for name in sorted(self._known.keys() - files.keys()):
                if tf.io.gfile.exists(self._there(name)):
                    tf.io.gfile.remove(self._there(name))
        self._known = files

    def _put(self, name: str) -> None:
        here, there = self._here(name), self._there(name)
        tf.io.gfile.makedirs(os.path.dirname(there))
        aside = there if there.startswith(_WHOLE) else f"{there}.being_written"
        if name.endswith(_TEXTS) or os.path.basename(name) == _STATE:
            with tf.io.gfile.GFile(aside, "wb") as file:
                file.write(self._portable(name, here.read_bytes()))
        else:
            tf.io.gfile.copy(str(here), aside, overwrite=True)
        if aside != there:
            tf.io.gfile.rename(aside, there, overwrite=True)

    def _portable(self, name: str, text: bytes) -> bytes:
        """A text with the storage's paths; a list of checkpoints has those beside it."""
        if os.path.basename(name) == _STATE:
            return text.replace(f"{self._here(name).parent}/".encode(), b"")
        return text.replace(self.local.encode(), self.remote.encode())

    def _names_there(self, is_run: bool) -> list[str]:
        """Paths of the files on the storage, relative to `remote`; "" for a file."""
        folder, _, base = self.remote.rpartition("/")
        if not folder.endswith("/"):  # not a bucket itself
            # Some storages take the beginning of a name for a folder.
            beside = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else ()
            if base not in [name.rstrip("/") for name in beside]:
                # A checkpoint is named by the beginning of its files' names.
                return [name.removeprefix(base) for name in beside if name.startswith(f"{base}.")]
        if not tf.io.gfile.isdir(self.remote):
            return [""]
        names = []
        for folder, folders, files in tf.io.gfile.walk(self.remote):
            inside = folder.removeprefix(self.remote).strip("/")
            if is_run:
                folders[:] = [f for f in folders if f.rstrip("/") not in _NOT_READ]
                if inside.partition("/")[0] in _NOT_READ:
                    continue
            names += [f"/{inside}/{file}" if inside else f"/{file}" for file in files]
        return names

    def _files(self) -> dict[str, tuple[int, int]]:
        """Size and time of each file of the copy, by its path relative to the copy."""
        root = pathlib.Path(self.local)
        if root.is_file():
            paths = [root]
        else:
            beside = root.parent.glob(f"{root.name}.*")
            paths = [path for path in (*root.rglob("*"), *beside) if path.is_file()]
        states = ((str(path).removeprefix(self.local), path.stat()) for path in paths)
        return {
            name: (state.st_size, state.st_mtime_ns) for name, state in states if not _is_own(name)
        }

    def _here(self, name: str) -> pathlib.Path:
        return pathlib.Path(self.local + name)

    def _there(self, name: str) -> str:
        return self.remote + name


def _is_own(name: str) -> bool:
    """Whether a file serves this machine only: a lock, or what is not complete yet."""
    return any(part.startswith(".") for part in name.split("/")[1:])


def _order(name: str) -> tuple[bool, bool, str]:
    base = os.path.basename(name)
    return base == _STATE, base.endswith(".index"), name


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Tells in one line what cannot be done on a storage."""
    try:
        yield
    except tf.errors.OpError as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{path}: cannot be read or written ({reason})") from None


@contextlib.contextmanager
def opened(remote: str, is_run: bool = False) -> Iterator[Copy]:
    """Yields a copy of what is at a path on other storage, and takes back what is new at the end.

    It is taken back after an error too, as what a run has done until then is.
    """
    with scratch() as folder:
        copy = Copy(remote, os.path.join(folder, os.path.basename(remote.rstrip("/")) or "files"))
        copy.fetch(is_run)
        _open[copy.local] = copy
        try:
            yield copy
        finally:
            del _open[copy.local]
            copy.deliver()


@contextlib.contextmanager
def at_hand(path: str) -> Iterator[str]:
    """Yields a path on this machine for something that is read: a copy if it is elsewhere."""
    if not is_remote(path):
        yield path
        return
    with scratch() as folder:
        copy = Copy(path, os.path.join(folder, os.path.basename(path.rstrip("/"))))
        copy.fetch()
        yield copy.local


def deliver(folder: str) -> None:
    """Takes to the storage what is new in an opened copy of a folder; others stay as they are."""
    if folder in _open:
        _open[folder].deliver()
