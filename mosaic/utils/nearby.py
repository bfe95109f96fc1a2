"""Reports that lie near what they are about."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable


def files(folders: Iterable[pathlib.Path], name: str) -> list[pathlib.Path]:
    """Returns the files of a name in folders and in those one below, the latest last."""
    found = {path for place in folders for at in (name, f"*/{name}") for path in place.glob(at)}
    return sorted(filter(pathlib.Path.is_file, found), key=lambda path: path.stat().st_mtime)
