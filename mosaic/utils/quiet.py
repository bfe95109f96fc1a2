"""Hides what libraries write to standard error past Python's own streams."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from typing import IO, TextIO

# Standard error belongs to the whole process: one thread at a time may lead it elsewhere.
_LOCK = threading.RLock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides logs of C++ code and Python's warnings; errors are still raised."""
    with _LOCK, open(os.devnull, "wb") as nowhere, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _standard_error_to(nowhere):
            yield


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """Hides logs of C++ code; yields a list that has their lines when the block has ended.

    What Python prints meanwhile, such as a warning of another thread, still comes out.
    """
    lines: list[str] = []
    with _LOCK, tempfile.TemporaryFile() as kept:
        try:
            with _printing_past(), _standard_error_to(kept):
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


@contextlib.contextmanager
def _printing_past() -> Iterator[None]:
    """Lets Python print to where standard error leads now, if it prints to that at all."""
    own = sys.stderr
    if own is not sys.__stderr__:
        yield
        return
    sys.stderr = _direct()
    try:
        yield
    finally:
        sys.stderr = own


@functools.cache
def _direct() -> TextIO:
    """A stream to standard error; never closed, as another thread may just write to it."""
    return open(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding)
