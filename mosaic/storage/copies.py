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
import sys
import tempfile
import uuid
from collections.abc import Iterator

import tensorflow as tf

from mosaic.storage import remote as storage
from mosaic.utils import atomic_io
from mosaic.utils.errors import UserError
from mosaic.utils.storage_paths import is_remote

# Texts that name the folder in which they were written.
_TEXTS = (".json", ".jsonl", ".html", ".gin", ".txt", ".csv")
_STATE = "checkpoint"
# TensorBoard's files and exports of a run: they are added to, and never read again.
_NOT_READ = ("train", "validation", "saved_model")

_open: dict[str, Copy] = {}
# What each copy of this process is of: one names files of another, which may be gone by then.
_originals: dict[str, str] = {}


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
        if not is_remote(self.remote):
            raise UserError(f"{self.remote}//: no bucket or folder is named; write one after it")
        with storage.told(self.remote):
            names = storage.names(self.remote, _NOT_READ if is_run else ())
            sizes = [tf.io.gfile.stat(self._there(name)).length for name in names]
            free = shutil.disk_usage(os.path.dirname(self.local)).free
            if sum(sizes) > free:
                raise UserError(
                    f"{self.remote}: {sum(sizes) / 2**30:.1f} GiB, and {tempfile.gettempdir()} has "
                    f"room for {free / 2**30:.1f}; set TMPDIR to a larger folder"
                )
            for name in names:
                if ".." in name.split("/"):
                    raise UserError(f"{self._there(name)}: such a name leads out of any folder")
                here = self._here(name)
                here.parent.mkdir(parents=True, exist_ok=True)
                tf.io.gfile.copy(self._there(name), str(here), overwrite=True)
        self._known = self._files()
        _originals[self.local] = self.remote

    def deliver(self) -> None:
        """Takes new and changed files to the storage, and removes there what was removed here.

        Raises:
          UserError: it cannot be written; what was taken there before that is not taken again.
        """
        files = self._files()
        if self._known and not files:
            raise UserError(f"{self.remote}: its copy, {self.local}, was removed by something else")
        changed = [name for name, state in files.items() if self._known.get(name) != state]
        with storage.told(self.remote):
            for name in sorted(changed, key=self._order):
                self._put(name)
                self._known[name] = files[name]
            for name in sorted(self._known.keys() - files.keys()):
                if tf.io.gfile.exists(self._there(name)):
                    tf.io.gfile.remove(self._there(name))
                del self._known[name]

    def close(self) -> None:
        """Takes what is new to the storage, for the last time.

        Raises:
          UserError: it cannot be written; the copy is kept on this machine, as it would be there.
        """
        try:
            self.deliver()
        except UserError as error:
            if not os.path.exists(self.local):
                raise
            raise UserError(
                f"{error}; nothing is lost: {self._keep()} has all of it, copy that there"
            ) from None

    def _keep(self) -> str:
        """Moves the copy to a folder that stays; its texts then name the storage's paths."""
        kept = tempfile.mkdtemp(prefix="not_delivered_")
        for name in filter(_is_text, self._files()):
            self._here(name).write_bytes(self._portable(name, self._here(name).read_bytes()))
        os.rename(self.local, kept)
        return kept

    def check_writable(self) -> None:
        """Checks before long work that something can be written to the storage, and removed.

        Raises:
          UserError: it cannot.
        """
        # Of its own name: several workers try at once.
        probe = self._there(f"/.being_written_{uuid.uuid4().hex}")
        with storage.told(self.remote):
            self._make_folder(probe)
            with tf.io.gfile.GFile(probe, "wb") as file:
                file.write(b"\n")
            tf.io.gfile.remove(probe)

    def _put(self, name: str) -> None:
        here, there = self._here(name), self._there(name)
        self._make_folder(there)
        aside = there if there.startswith(storage.OBJECT_STORES) else f"{there}.being_written"
        if _is_text(name):
            with tf.io.gfile.GFile(aside, "wb") as file:
                file.write(self._portable(name, here.read_bytes()))
        else:
            tf.io.gfile.copy(str(here), aside, overwrite=True)
        if aside != there:
            tf.io.gfile.rename(aside, there, overwrite=True)

    def _make_folder(self, path: str) -> None:
        """Makes the folder of a file; object stores have none, and TensorFlow never ends there."""
        if not path.startswith(storage.OBJECT_STORES):
            tf.io.gfile.makedirs(os.path.dirname(path))

    def _portable(self, name: str, text: bytes) -> bytes:
        """A text with the paths of all storage; a list of checkpoints has those beside it."""
        if os.path.basename(name) == _STATE:
            return text.replace(f"{self._here(name).parent}/".encode(), b"")
        for local, remote in _originals.items():
            text = text.replace(local.encode(), remote.encode())
        return text

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

    def _order(self, name: str) -> tuple[int, str]:
        base = os.path.basename(name)
        if base == _STATE:
            # A folder's first list is announced: checkpoints without one are somebody's else.
            return (3 if name in self._known else 0), name
        return (2 if base.endswith(".index") else 1), name

    def _here(self, name: str) -> pathlib.Path:
        return pathlib.Path(self.local + name)

    def _there(self, name: str) -> str:
        return self.remote + name


def _is_own(name: str) -> bool:
    """Whether a file serves this machine only: a lock, or what is not complete yet."""
    return any(part.startswith(".") for part in name.split("/")[1:])


def _is_text(name: str) -> bool:
    """Whether a file may name the folder in which it was written."""
    return name.endswith(_TEXTS) or os.path.basename(name) == _STATE


@contextlib.contextmanager
def opened(remote: str, is_run: bool = False) -> Iterator[Copy]:
    """Yields a copy of what is at a path on other storage, and takes back what is new at the end.

    It is taken back after an error too, as what a run has done until then is.

    Raises:
      UserError: as for `fetch` and `close`; after another error `close`'s is only told.
    """
    with atomic_io.scratch() as folder:
        copy = Copy(remote, os.path.join(folder, os.path.basename(remote.rstrip("/")) or "files"))
        copy.fetch(is_run)
        _open[copy.local] = copy
        try:
            yield copy
        except BaseException:
            try:
                copy.close()
            except UserError as error:
                print(error, file=sys.stderr)
            raise
        else:
            copy.close()
        finally:
            del _open[copy.local]


@contextlib.contextmanager
def at_hand(path: str) -> Iterator[str]:
    """Yields a path on this machine for something that is read: a copy if it is elsewhere."""
    if not is_remote(path):
        yield path
        return
    with atomic_io.scratch() as folder:
        copy = Copy(path, os.path.join(folder, os.path.basename(path.rstrip("/"))))
        copy.fetch()
        yield copy.local


def original(path: str) -> str:
    """Returns the path on the storage that a path in an opened copy stands for; others as given."""
    for copy in _open.values():
        local = os.path.realpath(copy.local)
        if pathlib.Path(os.path.realpath(path)).is_relative_to(local):
            return copy.remote + os.path.realpath(path)[len(local) :]
    return path


def deliver(folder: str) -> None:
    """Takes to the storage what is new in an opened copy of a folder; others stay as they are.

    A storage that does not answer for a while is no reason to end a run: a warning tells it, and
    the next time takes there what is missing.
    """
    if folder in _open:
        try:
            _open[folder].deliver()
        except UserError as error:
            print(f"warning: {error}; the next checkpoint tries again", file=sys.stderr)


def check_writable(folder: str) -> None:
    """Checks that a folder can be written to, here and, for that of an opened copy, there.

    Raises:
      UserError: it cannot.
    """
    atomic_io.check_writable(folder)
    for copy in _open.values():
        if pathlib.Path(folder).is_relative_to(copy.local):
            copy.check_writable()
