"""Gin bindings on the command line: `--gin.NAME=VALUE`."""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Sequence

from mosaic.utils.errors import UserError

_REFERENCE = re.compile(r"(?<!['\w])[@%][\w./]+(?:\(\))?")


def split_bindings(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates `--gin.NAME=VALUE` from other arguments.

    Returns:
      (other arguments, bindings such as `NAME = 'VALUE'`). A value that is neither a Python literal
      nor a gin reference is read as a string, so that paths need no quotes.

    Raises:
      UserError: a binding without `=`.
    """
    rest, bindings = [], []
    for argument in arguments:
        if not argument.startswith(("--gin.", "-gin.")):
            rest.append(argument)
            continue
        name, equals, value = argument.split("gin.", 1)[1].partition("=")
        if not equals or not name:
            raise UserError(f"{argument}: write --gin.NAME=VALUE")
        bindings.append(f"{name} = {_literal(value)}")
    return rest, bindings


def _literal(value: str) -> str:
    """A value in gin's syntax: a literal or a reference unchanged, anything else as a string."""
    plain = _REFERENCE.sub("None", value)
    try:
        with warnings.catch_warnings():
            # Python warns of the backslashes and numbers in what may be a path.
            warnings.simplefilter("ignore")
            parsed = ast.literal_eval(plain)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return repr(value)
    if plain != value:
        return value
    # Python reads 0.5,2.0 as a tuple; gin needs the brackets. Nor can gin read what 1e999 is.
    return repr(value) if _is_infinite(parsed) else repr(parsed)


def _is_infinite(value) -> bool:
    return isinstance(value, float) and math.isinf(value)
