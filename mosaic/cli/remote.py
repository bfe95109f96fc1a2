"""Flags whose paths are on other storage: commands get copies on this machine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

from mosaic.cli.flags import PATH_FLAGS, Values
from mosaic.utils import atomic_io
from mosaic.utils.errors import UserError
from mosaic.utils.settings import as_names
from mosaic.utils.storage_paths import is_remote

# A data set's files are copied where its records are prepared (`data`).
_ELSEWHERE = ("data_dir",)
_NOT_SERVED = ("scores", "draft_label_map")


def check_writable(folder: str) -> None:
    """Checks before long work that a folder can be written to, here and on the storage it is from.

    Raises:
      UserError: it cannot.
    """
    # Where nothing is elsewhere, TensorFlow need not be imported yet.
    sys.modules.get("mosaic.storage.copies", atomic_io).check_writable(folder)


def original(path: str) -> str:
    """Returns the path on other storage that a path in a copy stands for; others as given."""
    copies = sys.modules.get("mosaic.storage.copies")
    return copies.original(path) if copies else path


class Places:
    """Paths of copies and what they are copies of; texts for users name the latter."""

    def __init__(self):
        self._names: dict[str, str] = {}

    def told(self, text: str) -> str:
        """Returns a text that names no copy."""
        for local, remote in self._names.items():
            text = text.replace(local, remote)
        return text

    @contextlib.contextmanager
    def at_hand(self, values: Values, extra: Sequence[str]) -> Iterator[list[str]]:
        """Puts copies in place of the paths of flags and further arguments, which are yielded.

        What the command writes into them is taken to the storage at the end.

        Raises:
          UserError: a path cannot be read, or its flag takes paths of this machine only; or it is
            a pattern.
        """
        flags = [name for name in PATH_FLAGS if name in values and values[name].value]
        given = {name: as_names(values[name].value) for name in flags if name not in _ELSEWHERE}
        for name in _NOT_SERVED:
            for text in filter(lambda t: "://" in t, given.get(name, ())):
                raise UserError(
                    f"--{name}={text}: it must be on this machine; copy it here, or mount it"
                )
        with contextlib.ExitStack() as stack:
            for name, texts in given.items():
                if any(map(is_remote, texts)):
                    paths = [self._copy(stack, text, name == "model_dir") for text in texts]
                    values[name].value = paths[0] if isinstance(values[name].value, str) else paths
            extra = [self._copy(stack, text) for text in extra]
            if self._names:
                stack.enter_context(contextlib.redirect_stdout(_Telling(sys.stdout, self)))
                stack.enter_context(contextlib.redirect_stderr(_Telling(sys.stderr, self)))
            yield extra

    def _copy(self, stack: contextlib.ExitStack, path: str, is_run: bool = False) -> str:
        if not is_remote(path):
            return path
        if "*" in path:
            raise UserError(f"{path}: patterns are for paths of this machine; name the folder")
        from mosaic.storage import copies

        copy = stack.enter_context(copies.opened(path, is_run))
        self._names[copy.local] = copy.remote
        note = " at every checkpoint" if is_run else ""
        print(
            f"{path}: a copy is used, and what is new in it is taken there{note}; nothing keeps a "
            "second command from the same place",
            file=sys.stderr,
        )
        return copy.local


class _Telling:
    """A text stream that names no copy."""

    def __init__(self, stream: TextIO, places: Places):
        self._stream, self._places = stream, places

    def write(self, text: str) -> int:
        return self._stream.write(self._places.told(text))

    def __getattr__(self, name: str):
        return getattr(self._stream, name)
