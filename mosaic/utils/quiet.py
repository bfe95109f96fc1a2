"""Hides what libraries write to standard error past Python's own streams."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides logs of C++ code and Python's warnings; errors are still raised."""
    with open(os.devnull, "wb") as nowhere, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _standard_error_to(nowhere):
            yield


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """Hides logs of C++ code; yields a list that has their lines when the block has ended."""
    lines: list[str] = []
    with tempfile.TemporaryFile() as kept:
        try:
            with _standard_error_to(kept):
                yield lines
        finally:
            kept.seek(0)
            lines += kept.read().decode(errors="replace").splitlines()


@contextlib.contextmanager
def _standard_error_to(file: IO[bytes]) -> Iterator[None]:
    sys.stderr.flush()
    before = os.dup(2)
    try:
        os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
