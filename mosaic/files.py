"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a path beside `path` that takes its place when the block ends without an error.

    What is written there may be a file or a folder. After an error nothing of it is left, and
    what stood under the name before still does.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        aside = folder / path.name
        yield aside
        if path.is_dir() and aside.is_dir():
            # A folder cannot be renamed over one that is not empty: the old one steps aside.
            old = folder / f"{path.name}.old"
            os.rename(path, old)
            try:
                os.replace(aside, path)
            except OSError:
                os.rename(old, path)
                raise
        else:
            os.replace(aside, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file under its name only once it is whole."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")
