"""Arguments of functions that users call from Python, checked and brought into one form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from mosaic.utils.errors import UserError
from mosaic.utils.memory import check_size


def as_text(value: Any) -> str:
    """A value as on the command line; text stays text, but for gin's references and macros."""
    is_text = isinstance(value, str) and not value.startswith(("@", "%"))
    return repr(value) if is_text else str(value)


def as_paths(given: str | os.PathLike | Sequence[str | os.PathLike]) -> list[str]:
    """Paths as a list, also where one is given without a list around it."""
    one = isinstance(given, str | os.PathLike)
    return [os.fspath(path) for path in ([given] if one else given)]


def as_size(name: str, given: Sequence[int] | None) -> tuple[int, int] | None:
    """The size that an argument gives, (height, width) in pixels, or None.

    Args:
      name: name of the argument.
      given: its value.

    Raises:
      UserError: it is no size, or the memory is too small for it.
    """
    if given is None:
        return None
    is_list = isinstance(given, Sequence | np.ndarray) and not isinstance(given, str)
    sides = list(given) if is_list else []
    if len(sides) != 2 or any(not _is_count(side) for side in sides):
        raise UserError(f"{name}={given!r}: give (height, width) in pixels, such as (512, 512)")
    check_size(f"{name}={given!r}", sides)
    return int(sides[0]), int(sides[1])


def _is_count(side: Any) -> bool:
    return isinstance(side, int | np.integer) and not isinstance(side, bool) and side >= 1
