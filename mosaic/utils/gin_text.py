"""Gin files as statements: what they set, use and include, and names that have changed.

Gin's own parser reads the files. Nothing that a file configures is imported.
"""

from __future__ import annotations

import io
import os
import pathlib
import re
import tokenize
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gin import config_parser

from mosaic.utils.errors import UserError, check_regular

# Modules of configurables, which gin writes into a run's config.gin, by their old names.
MOVED_MODULES = {
    "mosaic.deeplab": "mosaic.models.deeplab",
    "mosaic.evaluation": "mosaic.evaluation.evaluator",
    "mosaic.losses": "mosaic.training.losses",
    "mosaic.network": "mosaic.models.mosaic",
    "mosaic.optimizers": "mosaic.training.optimizers",
    "mosaic.quantization": "mosaic.models.quantization_aware",
    "mosaic.resnet": "mosaic.models.resnet",
    "mosaic.runtime": "mosaic.distribution.runtime",
    "mosaic.training": "mosaic.training.train_loop",
    "mosaic.training.runtime": "mosaic.distribution.runtime",
}
# Parameters by their old names: (configurable, parameter).
RENAMED_PARAMETERS = {
    ("Evaluation", "labels_first"): "argmax_before_resize",
    ("Evaluation", "num_extremes"): "num_best_and_worst",
    ("train", "unit_features_above"): "rescale_features_above",
}


class Reference(NamedTuple):
    """A configurable in a value: `@name` or `@name()`."""

    name: str
    is_called: bool

    def __repr__(self) -> str:
        return f"@{self.name}" + "()" * self.is_called


class Macro(NamedTuple):
    """A macro in a value: `%NAME`."""

    name: str

    def __repr__(self) -> str:
        return f"%{self.name}"


# Macros that stand for macros, at the most.
_DEEPEST = 20

# A macro with this value must be set by the user who runs an experiment.
REQUIRED = Macro("gin.REQUIRED")


class _Delegate(config_parser.ParserDelegate):
    """Keeps references and macros by their names, so that nothing must be registered."""

    def configurable_reference(self, scoped_configurable_name, evaluate):
        return Reference(scoped_configurable_name, evaluate)

    def macro(self, macro_name):
        return Macro(macro_name)


def read(path: str | os.PathLike) -> str:
    """Returns the text of a gin file, UTF-8 with or without a byte order mark.

    Raises:
      UserError: it is no text.
    """
    check_regular(path)
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UserError(f"{path}: not a gin file: it is no text in UTF-8; name an experiment's")
    return text


def named(text: str, name: str | None) -> io.StringIO:
    """Returns a text as a file with a name, for gin's messages."""
    file = _Named(text)
    file.name = name
    return file


class _Named(io.StringIO):
    name: str | None


def statements(text: str, name: str | None = None) -> Iterator[tuple]:
    """The statements of gin's parser, in their order.

    Args:
      text: text of a configuration.
      name: name of its file, for gin's messages.

    Raises:
      SyntaxError, tokenize.TokenError: as gin raises them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of backslashes in paths
        return iter(list(config_parser.ConfigParser(named(text, name), _Delegate())))


def current(text: str) -> str:
    """Returns a configuration with the current names of modules and parameters, line by line.

    Text that gin cannot parse is returned unchanged: gin reports what is wrong with it.
    """
    try:
        found = list(statements(text))
    except Exception:  # noqa: BLE001 - whatever gin and Python's tokenizer raise
        return text
    lines = text.split("\n")
    for statement in found:
        old, new = _renamed(statement)
        if old:
            row = statement.location.line_num - 1
            lines[row] = re.sub(rf"(?<![\w.]){re.escape(old)}(?![\w.])", new, lines[row], count=1)
    return "\n".join(lines)


def _renamed(statement) -> tuple[str, str]:
    """The old name in a statement and its current name; two empty strings if none has changed."""
    if isinstance(statement, config_parser.ImportStatement):
        new = MOVED_MODULES.get(statement.module)
        return (statement.module, new) if new else ("", "")
    if isinstance(statement, config_parser.BindingStatement):
        selector, name = statement.selector, statement.arg_name
        new = RENAMED_PARAMETERS.get((selector.rpartition(".")[2], name))
        # In a block, a parameter is written without its configurable.
        for old in (f"{selector}.{name}", name):
            if new and re.search(rf"(?<![\w.]){re.escape(old)}\b", statement.location.line_content):
                return old, old.removesuffix(name) + new
    return "", ""


def including(text: str, resolve: Callable[[str], str]) -> str:
    """Returns a configuration with each included file's name replaced by `resolve`'s result."""
    lines = text.split("\n")
    for statement in statements(text):
        if isinstance(statement, config_parser.IncludeStatement):
            row = statement.location.line_num - 1
            indent = lines[row][: len(lines[row]) - len(lines[row].lstrip())]
            lines[row] = f"{indent}include {resolve(statement.filename)!r}"
    return "\n".join(lines)


def included(statement) -> str | None:
    """The file that a statement includes, or None if it is another statement."""
    return statement.filename if isinstance(statement, config_parser.IncludeStatement) else None


def is_literal(value) -> bool:
    """Whether a value contains neither references nor macros."""
    if isinstance(value, Reference | Macro):
        return False
    if isinstance(value, dict):
        return all(is_literal(part) for pair in value.items() for part in pair)
    return not isinstance(value, list | tuple) or all(map(is_literal, value))


def macros_set(found: Iterable[tuple]) -> dict[str, Any]:
    """The macros in capitals that statements set, and their last values."""
    return {
        s.selector: s.value
        for s in found
        if isinstance(s, config_parser.BindingStatement) and not s.arg_name and s.selector.isupper()
    }


def macros_used(found: Iterable[tuple]) -> set[str]:
    """The macros in capitals that values use."""
    bound = (s.value for s in found if isinstance(s, config_parser.BindingStatement))
    return {macro for value in bound for macro in _macros(value) if macro.isupper()}


def _macros(value) -> Iterator[str]:
    if isinstance(value, Macro):
        yield value.name
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _macros(pair)
    elif isinstance(value, list | tuple) and not isinstance(value, Reference):
        for item in value:
            yield from _macros(item)


def bindings(text: str) -> dict[str, Any]:
    """What a configuration binds, in today's names: `NAME` or `scope/configurable.parameter`."""
    return bound(statements(current(text)))


def saved_bindings(path: str | os.PathLike) -> dict[str, Any]:
    """What the configuration that a run saved binds, as `bindings` has it.

    Raises:
      UserError: it is not a gin file, or a damaged one.
    """
    try:
        return bindings(read(path))
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        why = str(error).partition("\n")[0]
        raise UserError(
            f"{path}: gin cannot read the configuration of this run: {why}; restore or remove it"
        ) from error


def bound(found: Iterable[tuple]) -> dict[str, Any]:
    """What statements bind, the last value of each name, as `bindings` has it."""
    values = {}
    for s in found:
        if isinstance(s, config_parser.BindingStatement):
            scope = f"{s.scope}/" if s.scope else ""
            values[f"{scope}{s.selector}" + (f".{s.arg_name}" if s.arg_name else "")] = s.value
    return values


def as_json(value: Any) -> Any:
    """Returns a value as JSON has it: lists for tuples, references and macros by their names."""
    if isinstance(value, Reference):
        return value.name.rpartition(".")[2].rpartition("/")[2]
    if isinstance(value, Macro):
        return repr(value)
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value


def resolved(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters of `bindings`, by `configurable.parameter`, with macros' values.

    Macros without a value stay. A configurable's name has neither scope nor module.
    """

    def follow(value, depth=0):
        if isinstance(value, Macro) and depth < _DEEPEST:
            return follow(values[value.name], depth + 1) if value.name in values else value
        if isinstance(value, list | tuple) and not isinstance(value, Reference | Macro):
            return type(value)(follow(item, depth) for item in value)
        return value

    parameters = {}
    for name, value in values.items():
        selector, dot, parameter = name.rpartition("/")[2].rpartition(".")
        if dot:
            parameters[f"{selector.rpartition('.')[2]}.{parameter}"] = follow(value)
    return parameters
