"""Values of label map files: what each may be, and what is told of any other."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection

# Keys of the file, and of an entry of `classes`; any other is a note of the author's.
KEYS = ("classes", "void_labels", "void_colors", "ignore_label", "source")
_MEANT = {
    **dict.fromkeys(("void", "void_label"), ("void_labels",)),
    **dict.fromkeys(("ignore", "ignore_index", "ignore_value"), ("ignore_label",)),
}
CLASS_KEYS = ("name", "label", "color", "category")
_CONTROLS = {"Cc", "Cs"}  # Unicode's categories of control characters and lone surrogates


def check_keys(found: Collection[str], known: Collection[str], where: str) -> None:
    """Raises a ValueError for a key that must be meant as one of those known."""
    for key in found:
        near = difflib.get_close_matches(key, known, 1, 0.8) or _MEANT.get(key, ())
        # Beside the key itself, one with nearly its name is another tool's.
        if key not in known and near and near[0] not in found:
            raise ValueError(f"{where}: unknown key {key!r}; did you mean {near[0]!r}?")


def name_of(value: object, where: str) -> str:
    """Returns a class's name; it goes into lists with one name a line."""
    name = str(value)
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise ValueError(f"{where}: the name {value!r} is no text")
    # Not `isprintable`: joiners and wide spaces belong to some scripts. Surrogates are no UTF-8.
    is_line = name.splitlines() == [name] and _CONTROLS.isdisjoint(map(unicodedata.category, name))
    if not name.strip() or not is_line:
        raise ValueError(f"{where}: the name {name!r} is empty or no single line; write another")
    return name


def list_of(value: object, where: str) -> list | tuple:
    """Returns a list of the file; raises a ValueError for anything else."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{where}: {value!r} is no list; write [...]")
    return value


def _whole(value: object) -> int | None:
    """A whole number from JSON, also written as 1.0 or "1"; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        number = int(value)
        return number if isinstance(value, str) or number == value else None
    except (TypeError, ValueError, OverflowError):
        return None


def label_of(value: object, where: str) -> int:
    """Returns a label, 0 to 255; raises a ValueError for anything else."""
    number = _whole(value)
    if number is None or not 0 <= number <= 255:
        raise ValueError(
            f"{where}: label {value!r} is not in 0..255; labels are whole numbers from 0 to 255"
        )
    return number


def color_of(value: object, where: str) -> tuple[int, int, int]:
    """Returns a colour, RGB in 0..255; raises a ValueError for anything else."""
    numbers = value
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        numbers = list(bytes.fromhex(value[1:]))
    whole = [_whole(x) for x in numbers] if isinstance(numbers, list) else []
    if len(whole) != 3 or not all(x is not None and 0 <= x <= 255 for x in whole):
        raise ValueError(
            f"{where}: colour {value!r} is not three numbers in 0..255; expected 3 whole numbers, "
            'such as [128, 64, 0], or "#rrggbb"'
        )
    return tuple(whole)
