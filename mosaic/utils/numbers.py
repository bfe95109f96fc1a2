"""Numbers and lists of things in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def number_of(count: int, what: str) -> str:
    """Returns a number with its noun, such as `1 image` and `2 images`."""
    return f"{count} {what}" + "s" * (count != 1)


def listed(names: Sequence[str]) -> str:
    """Returns names as a list in words, such as `a`, `a and b` and `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
