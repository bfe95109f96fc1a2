"""Paths on storage that is no file system of this machine, told by their text alone."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[a-zA-Z][\w+.-]*://")


def is_remote(path: str) -> bool:
    """Whether a path is a URL, such as gs://bucket/folder."""
    return _SCHEME.match(path) is not None
