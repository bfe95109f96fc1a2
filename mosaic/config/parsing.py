"""Gin files parsed, with every value checked and every path made absolute."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Collection, Sequence

import gin

from mosaic.config.files import SCHEME, SYNTAX_ERRORS, find, statements
from mosaic.config.macros import DEDUCED
from mosaic.config.messages import explain
from mosaic.config.values import resolve
from mosaic.utils import bound_settings, gin_text
from mosaic.utils.errors import UserError
from mosaic.utils.model_format import is_there
from mosaic.utils.storage_paths import is_remote

_GIN_ERRORS = (*SYNTAX_ERRORS, TypeError, AttributeError, OSError, ImportError)


def parse(files: Sequence[str], bindings: Sequence[str], unset: Collection[str] = ()) -> None:
    """Parses gin files and then single bindings, which override the files; checks all values.

    All modules with configurables must have been imported before.

    Args:
      files: paths of gin files.
      bindings: bindings from the command line.
      unset: macros without a value, which are not needed.

    Macros whose value is a called function of gin's module `deduced`, such as
    `@deduced.class_count()`, get what it returns.

    Raises:
      UserError: a syntax error, an unknown name, or a value that cannot be bound; in one line,
        with the nearest valid name.
    """
    named = [SCHEME + find(path) for path in files]
    statements([name.removeprefix(SCHEME) for name in named])
    try:
        current = gin_text.current("\n".join(bindings))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of backslashes in paths
            gin.parse_config_files_and_bindings(named, current, finalize_config=False)
        gin.finalize()
        bound_settings.check(unset)
        if folder := bound_settings.find("train.model_dir"):
            raise UserError(f"{folder.name}: a run's folder is no setting; give --model_dir=DIR")
        with gin.unlock_config():
            _make_paths_absolute()
            _deduce()
        bound_settings.check(unset)
        for name in bound_settings.idle(gin_text.bindings(current)):
            print(
                f"warning: {name} is set, and nothing uses {name.rpartition('.')[0]} here",
                file=sys.stderr,
            )
    except _GIN_ERRORS as error:
        if hasattr(error, "exit_code"):  # of this project's own code
            raise
        raise UserError(explain(error)) from None


def _make_paths_absolute() -> None:
    """Makes paths absolute, so that what `save` writes is valid in any working directory."""
    for key, path, suffix in bound_settings.paths():
        expanded = os.path.expanduser(path)
        # A label map without a suffix is one of this project's, even if there is a file of that
        # name.
        if expanded.endswith(suffix) and not is_remote(expanded) and is_there(expanded):
            expanded = os.path.abspath(expanded)
        if expanded != path:
            gin.bind_parameter(key, expanded)


def _deduce() -> None:
    """Replaces macros that follow from the data by their values, which a saved run then holds.

    Raises:
      UserError: the data does not tell some of them; all are named.
    """
    found, missing = {}, []
    for (scope, selector), bound in list(gin.config._CONFIG.items()):
        value = bound.get("value") if selector == "gin.macro" else None
        if not isinstance(value, gin.config.ConfigurableReference) or not value.evaluate:
            continue
        if value.configurable.selector.startswith(f"{DEDUCED}."):
            try:
                found[scope] = resolve(value)
            except ValueError as error:
                missing.append(str(error).partition("\n  In call to configurable")[0])
                continue
            gin.bind_parameter(f"%{scope}", found[scope])
    if missing:
        raise UserError("; ".join(dict.fromkeys(missing)))
    if found:
        told = ", ".join(f"{name} = {value!r}" for name, value in found.items())
        print(f"from the data: {told}", file=sys.stderr)
