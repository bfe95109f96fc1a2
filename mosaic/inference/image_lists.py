"""What `--images` may name besides files and folders: patterns, and lists of paths."""

from __future__ import annotations

import glob
import os
import pathlib
import sys
from collections.abc import Iterable, Sequence

from mosaic.utils.errors import UserError

STANDARD_INPUT = "-"
LIST = ".txt"


def expanded(path: str) -> tuple[list[pathlib.Path], pathlib.Path | None]:
    """Returns the files and folders that a path stands for.

    Args:
      path: a file or folder; a pattern such as `photos/**/*.jpg`; a text file (.txt) with one path
        a line, from here or else from its own folder; or `-`, such a list from standard input.

    Returns:
      (paths, folder): paths in the order of the list, or sorted for a pattern; and the folder from
      which their names count, None for a single file or folder.

    Raises:
      UserError: there is nothing at a path, or a list or pattern names nothing.
    """
    if path == STANDARD_INPUT:
        return _listed(sys.stdin, "standard input", pathlib.Path())
    here = pathlib.Path(path)
    if here.is_file() and here.suffix.lower() == LIST:
        with here.open(encoding="utf-8", errors="surrogateescape") as lines:
            return _listed(lines, path, here.parent)
    if here.exists():
        return [here], None
    if glob.has_magic(path):
        found = sorted(map(pathlib.Path, glob.glob(path, recursive=True)))
        if not found:
            raise UserError(f"--images={path}: no file has a name of this pattern")
        return found, _before_pattern(here)
    raise UserError(f"--images={path}: no such file or folder")


def _listed(
    lines: Iterable[str], name: str, folder: pathlib.Path
) -> tuple[list[pathlib.Path], pathlib.Path]:
    paths = []
    for number, line in enumerate(lines, 1):
        text = line.strip("\r\n")
        if not text.strip():
            continue
        found = next((p for p in (pathlib.Path(text), folder / text) if p.exists()), None)
        if found is None:
            raise UserError(f"{name}, line {number}: {text}: no such file or folder")
        paths.append(found)
    if not paths:
        raise UserError(f"{name}: no path in it; write one a line")
    return paths, _common(paths)


def _common(paths: Sequence[pathlib.Path]) -> pathlib.Path:
    folders = [str((p if p.is_dir() else p.parent).absolute()) for p in paths]
    return pathlib.Path(os.path.commonpath(folders))


def _before_pattern(path: pathlib.Path) -> pathlib.Path:
    plain = []
    for part in path.parts[:-1]:
        if glob.has_magic(part):
            break
        plain.append(part)
    return pathlib.Path(*plain)
