"""Macros in capitals, checked by the text of gin files alone."""

from __future__ import annotations

from collections.abc import Sequence

from mosaic.config.files import statements
from mosaic.config.settable import settings_called, settings_meant
from mosaic.utils import gin_text
from mosaic.utils.errors import UserError, nearest
from mosaic.utils.habits import remark
from mosaic.utils.numbers import listed

# Value of INIT_CHECKPOINT where an experiment requires one and a command does not need it: None
# would mean that training started from scratch.
UNKNOWN = "unknown"

# Module in gin of functions whose results are the values of macros that nobody sets.
DEDUCED = "deduced"


def check_macros(files: Sequence[str], bindings: Sequence[str]) -> None:
    """Checks the macros of a configuration by its text alone, before anything heavy is imported.

    Raises:
      UserError: a macro on the command line is neither used nor set in any file, or required macros
        are not set: all of them are named.
    """
    found = statements(files)
    known = gin_text.macros_set(found).keys() | gin_text.macros_used(found)
    own = {name for name in gin_text.bound(found) if name.isidentifier()}
    for name in sorted(_given(bindings) - known - own):
        hint = nearest(name if name.isupper() else name.upper(), known)
        settings = settings_meant(name, known)
        if settings and name.upper() not in known:
            is_own = set(settings) <= set(settings_called(name))
            hint = f"; it is {'a setting' if is_own else 'called otherwise'}: write "
            hint += " or ".join(f"--gin.{setting}=VALUE" for setting in settings) + remark(name)
        raise UserError(f"--gin.{name}: no such macro in {', '.join(files)}{hint}")
    unset = missing(files, bindings)
    if unset:
        what = "a value" if len(unset) == 1 else "values"
        raise UserError(
            f"{files[-1]} needs {what} for {listed(unset)}; give {as_flags(unset)}"
            + note_of_deduced(files, bindings)
        )


def note_of_deduced(files: Sequence[str], bindings: Sequence[str]) -> str:
    """Returns the end of a message about the macros that the data tells; empty without any.

    Whoever is asked for what is missing hears of these at once: data may not tell them.
    """
    values = gin_text.macros_set(statements(files))
    told = sorted({x for x, value in values.items() if _is_deduced(value)} - _given(bindings))
    come = "come" if len(told) > 1 else "comes"
    return f"; {listed(told)} {come} from the data: set what it does not tell" if told else ""


def as_flags(macros: Sequence[str]) -> str:
    """Returns the flags that set macros, as one writes them."""
    return " ".join("--data_dir=DIR" if x == "DATA_DIR" else f"--gin.{x}=VALUE" for x in macros)


def missing(
    files: Sequence[str], bindings: Sequence[str], among: Sequence[str] | None = None
) -> list[str]:
    """Returns the macros that have no value: all that are required, or of those `among`.

    Those `among` also count where the data would tell them (`parse`).
    """
    values = gin_text.macros_set(statements(files))
    found = {name for name, value in values.items() if value == gin_text.REQUIRED}
    if among is not None:
        found |= {name for name, value in values.items() if _is_deduced(value)}
        found &= set(among)
    return sorted(found - _given(bindings))


def _is_deduced(value: object) -> bool:
    return isinstance(value, gin_text.Reference) and value.name.startswith(f"{DEDUCED}.")


def _given(bindings: Sequence[str]) -> set[str]:
    """The macros that single bindings set, also those that are not in capitals."""
    names = (binding.partition("=")[0].strip() for binding in bindings)
    return {name for name in names if name.isidentifier()}
