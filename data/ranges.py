"""Ranges of settings, for annotations such as `Annotated[int, SCENE_SEED]`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any


@dataclasses.dataclass(frozen=True)
class Range:
    """Values that a setting takes, of those that have its type.

    Attributes:
      says: what is taken, as the end of "it must be ...".
      check: whether a value is taken.
    """

    says: str
    check: Callable[[Any], bool]


@dataclasses.dataclass(frozen=True)
class Path:
    """A path: gin's value is expanded and made absolute, so that it holds in any folder.

    Attributes:
      suffix: end of the names of files; a value without it is a name of this project's.
    """

    suffix: str = ""
    says: str = "a path"

    def check(self, value: str) -> bool:
        """Any text may be a path, but without any there is none."""
        return bool(value)


# Scenes of one seed are numbered below the next seed's.
SCENE_COUNT = Range("from 1 to 10,000,000", lambda value: 1 <= value <= 10_000_000)
RESIZE_FACTOR = Range("from 1 to 512", lambda value: 1 <= value <= 512)
FRACTION = Range("from 0 to 1", lambda value: 0 <= value <= 1)
SIZE = Range(
    "(height, width), two whole numbers from 1, such as (512, 1024)",
    lambda value: len(value) == 2 and min(value) >= 1,
)
SCENE_SIZE = Range(
    "(height, width), two whole numbers from 64 to 8192, such as (128, 256)",
    lambda value: len(value) == 2 and 64 <= min(value) <= max(value) <= 8192,
)
SCENE_SEED = Range("from 0 to 99", lambda value: 0 <= value < 100)
SCALE = Range(
    "(smallest, largest), two numbers above 0 and up to 16 in that order, such as (0.5, 2.0)",
    lambda value: len(value) == 2 and 0 < value[0] <= value[1] <= 16,
)
COLOR = Range(
    "three numbers in brackets, 0 to 255, such as (127.5, 127.5, 127.5)",
    lambda value: len(value) == 3 and 0 <= min(value) <= max(value) <= 255,
)
PATH = Annotated[str, Path()]
# A file, or the name of one of this project's.
NAME_OR_JSON = Annotated[str, Path(".json")]
