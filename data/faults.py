"""What is wrong with many files of a data set, told once."""

from __future__ import annotations

import collections
from collections.abc import Iterable

from data.decoding import RepeatedFault
from data.errors import DataError
from data.masks import ValueFault


def told_once(errors: Iterable[DataError]) -> list[str]:
    """Returns errors of files as lines; what many have in common becomes one that counts them."""
    groups: dict[object, DataError] = {}
    files = collections.Counter()
    for error in errors:
        key = error
        if isinstance(error, ValueFault):
            key = ValueFault, error.kind
            error = groups[key] + error if key in groups else error
        elif isinstance(error, RepeatedFault):
            key = error.reason
            error = groups.get(key, error)
        groups[key] = error
        files[key] += 1
    return [
        str(error) if files[key] == 1 else f"{error.name} and {files[key] - 1} more: {error.reason}"
        for key, error in groups.items()
    ]
