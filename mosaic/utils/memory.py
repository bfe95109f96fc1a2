"""Memory: what there is, and whether work fits before it asks for any."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from mosaic.utils.errors import UserError

# What a network needs at least for each pixel of an image that it segments: the image as bytes (3)
# and as float32 (12), the first map (16 channels or more at half the size), logits of two classes.
BYTES_PER_PIXEL = 3 + 12 + 16 + 8

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def total() -> int:
    """Returns the memory that this process may have, in bytes: the machine's or its container's."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _LIMITS:
        try:
            found.append(int(pathlib.Path(path).read_text()))
        except (OSError, ValueError):
            continue  # no such file, or "max"
    return min(found)


def check_fits(
    setting: str, num_bytes: float, fix: str, there: int | None = None, what: str = "memory"
) -> None:
    """Checks that the memory that work needs at least is there.

    Args:
      setting: setting that asks for it, with its value, such as `--size=512x512`.
      num_bytes: number of bytes that are needed at least.
      fix: what to do, such as "take a smaller batch".
      there: number of bytes that are there; `total()` if None.
      what: name of that memory.

    Raises:
      UserError: there is less.
    """
    there = total() if there is None else there
    if num_bytes > there:
        raise UserError(
            f"{setting}: it would need at least {_gib(num_bytes)} of {what}, and there are "
            f"{_gib(there)}; {fix}"
        )


def check_size(setting: str, size: Sequence[int]) -> None:
    """Checks that a network's image of a size, (height, width) in pixels, can fit into memory.

    Raises:
      UserError: it cannot.
    """
    check_fits(setting, size[0] * size[1] * BYTES_PER_PIXEL, "take a smaller size")


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:,.1f} GiB"
