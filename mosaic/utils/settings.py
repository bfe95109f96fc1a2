"""Settings: the type and range of each, from the annotations of what takes them.

A parameter is declared once, where it is: `steps: Annotated[int, AT_LEAST_1]`. Any metadata with
`says` (what is taken, in words) and `check` (whether a value is) counts as a range, so that `data`
declares its own without an import from here.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any

from mosaic.utils.errors import UserError


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


def between(low: float, high: float) -> Range:
    """Returns the range of numbers from `low` to `high`, both included."""
    return Range(f"from {_plain(low)} to {_plain(high)}", lambda value: low <= value <= high)


def one_of(names: Collection[str]) -> Range:
    """Returns the range of some texts."""
    return Range(f"one of {', '.join(names)}", lambda value: value in names)


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else str(number)


AT_LEAST_0 = Range("at least 0", lambda value: value >= 0)
AT_LEAST_MINUS_1 = Range("at least -1", lambda value: value >= -1)
AT_LEAST_1 = Range("at least 1", lambda value: value >= 1)
POSITIVE = Range("above 0", lambda value: value > 0)
FRACTION = between(0, 1)
BELOW_1 = Range("from 0 to below 1", lambda value: 0 <= value < 1)
ABOVE_0_TO_1 = Range("above 0 and at most 1", lambda value: 0 < value <= 1)
# More threads than any machine has are refused by the system, or take its memory for their stacks.
THREADS = between(1, 1024)
# Steps, and intervals between them; beyond, float32 schedules and step counters lose count.
STEPS = between(1, 10**9)
# Images in a step, more than any recipe has: TensorFlow counts what it makes of them in 32 bits.
BATCH = between(1, 65536)
# Labels have 8 bits.
CLASSES = between(1, 256)
# Factors of all numbers of filters.
WIDTH = Range("above 0 and at most 16", lambda value: 0 < value <= 16)
# A number of filters, bins and the like: more than any network has.
Count = Annotated[int, between(1, 65536)]
BINS = Range(
    "different whole numbers from 1 to 65,536 in brackets, such as (1, 4, 8)",
    lambda value: 0 < len(value) == len(set(value)),
)
CLASS_MAP = Range(
    "class indices, or -1 for none, in brackets, one for each class of the network",
    lambda value: len(value) > 0,
)
SEED = between(0, 2**32 - 1)
LOSSES = Range(
    "one loss or more in brackets, such as (@CrossEntropy(), @SoftJaccard())",
    lambda value: len(value) > 0,
)
SIZE = Range(
    "(height, width), two whole numbers from 1, such as (512, 1024)",
    lambda value: len(value) == 2 and min(value) >= 1,
)
SCALES = Range("factors above 0 in brackets, such as (0.5, 1.0, 2.0)", lambda value: len(value) > 0)
COLOR = Range(
    "three numbers in brackets, 0 to 255, such as (127.5, 127.5, 127.5)",
    lambda value: len(value) == 3 and 0 <= min(value) <= max(value) <= 255,
)

_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "text",
    type(None): "None",
}
_PLAIN = (numbers.Number, str, bytes, list, tuple, dict, type(None))


def problem(value: Any, hint: Any) -> str | None:
    """Returns what a setting takes if a value is none of it, as the end of "it must be ...".

    Args:
      value: value without gin's references and macros.
      hint: annotation of the setting, with its ranges. Where it is a class that gin builds, any
        object is taken, but no number, text or the like.
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        ranges = [part for part in parts[1:] if hasattr(part, "check")]
        if problem(value, parts[0]):
            return describe(hint)
        says = [part.says for part in ranges if not part.check(value)]
        return " and ".join(says) or None
    if is_union(hint):
        found = [problem(value, part) for part in parts]
        if None in found:
            return None
        # If the value has the type of one alternative, only its range is told.
        close = [said for said, part in zip(found, parts) if said != describe(part)]
        return close[0] if len(close) == 1 else describe(hint)
    if is_sequence(hint):
        if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__len__"):
            return describe(hint)
        items = [part for part in parts[:1] if part is not ...]
        wrong = any(problem(item, part) for item in value for part in items)
        return describe(hint) if wrong else None
    return None if _has_type(value, hint) else describe(hint)


def _has_type(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if kind not in _WORDS:
        return not isinstance(value, _PLAIN)
    if kind is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if kind is float:
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        return is_number and _is_finite(value)
    return isinstance(value, kind)


def _is_finite(value: numbers.Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False  # a whole number that is larger than any float


def as_names(value: str | Sequence[str] | None) -> list[str]:
    """Returns the names that a setting gives: one as text, or several; none for None."""
    return [value] if isinstance(value, str) else list(value or ())


def is_union(hint: Any) -> bool:
    """Whether an annotation stands for one of several."""
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def is_sequence(hint: Any) -> bool:
    """Whether an annotation stands for several values in brackets."""
    return (typing.get_origin(hint) or hint) in (Sequence, list, tuple)


def describe(hint: Any) -> str:
    """Returns what an annotation takes, in words."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        says = [part.says for part in parts[1:] if hasattr(part, "says")]
        # The range of several values says all that there is to say, and so does a path.
        is_path = any(hasattr(part, "suffix") for part in parts[1:])
        own = [] if (is_sequence(parts[0]) or is_path) and says else [describe(parts[0])]
        return ", ".join(own + says)
    if is_union(hint):
        said = [describe(part) for part in parts]
        return (", or " if "," in said[0] else " or ").join(said)
    if is_sequence(hint):
        each = f", each {describe(parts[0])}" if parts else ""
        return f"values in brackets{each}"
    return _WORDS.get(hint, "a reference such as @NAME()")


def hints(configurable: Callable) -> dict[str, Any]:
    """Returns the annotations of a function's parameters, or of those that make a class's objects.

    They are empty where they cannot be read.
    """
    made = configurable.__init__ if inspect.isclass(configurable) else configurable
    try:
        found = typing.get_type_hints(inspect.unwrap(made), include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}
    return {name: hint for name, hint in found.items() if name != "return"}


def check_arguments(configurable: Callable, arguments: Mapping[str, Any]) -> None:
    """Checks values that a function or class got, from gin or from Python, by its annotations.

    Args:
      configurable: function or class.
      arguments: values by parameter; others are ignored.

    Raises:
      UserError: a value has another type or is out of range.
    """
    for name, hint in hints(configurable).items():
        if name in arguments and (says := problem(arguments[name], hint)):
            raise UserError(told(f"{configurable.__name__}.{name}", arguments[name], says))


def told(name: str, value: Any, says: str) -> str:
    """Returns the message for a setting, its value, and what it takes."""
    text = repr(value)
    return f"{name} = {text if len(text) <= 80 else text[:77] + '...'}: it must be {says}"
