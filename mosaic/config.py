"""Gin configuration: finding files, checking them, and saving the settings of a run."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import os
import pathlib
import re
import tokenize
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import gin

from mosaic.utils import bound_settings, gin_imports, gin_text
from mosaic.utils.atomic_io import write_text
from mosaic.utils.errors import UserError, nearest
from mosaic.utils.model_format import is_there
from mosaic.utils.run_layout import CONFIG

CONFIGS = pathlib.Path(__file__).resolve().parent.parent / "configs"
# Value of INIT_CHECKPOINT where an experiment requires one and a command does not need it: None
# would mean that training started from scratch.
UNKNOWN = "unknown"

_SYNTAX_ERRORS = (SyntaxError, ValueError, tokenize.TokenError)
_GIN_ERRORS = (*_SYNTAX_ERRORS, TypeError, AttributeError, OSError, ImportError)
# Files with this prefix are read with current names (`mosaic.utils.gin_text`).
_SCHEME = "current:"


def find(name: str, included_by: str | None = None) -> str:
    """Returns the path of a gin file: as given, or looked up in configs/, `.gin` added if absent.

    Args:
      name: name of the file.
      included_by: path of the file that includes it, in whose folder it may also be.

    Raises:
      UserError: there is none; the message gives the nearest name in configs/.
    """
    name = os.path.expanduser(name)
    folders = [pathlib.Path(), CONFIGS]
    if included_by:
        folders.insert(0, pathlib.Path(included_by).parent)
    for candidate in (name, f"{name}.gin"):
        for path in (folder / candidate for folder in folders):
            if path.is_file():
                return str(path)
    known = [path.stem for path in CONFIGS.glob("*.gin")]
    where = f"{included_by}: include {name!r}" if included_by else f"--gin_file={name}"
    raise UserError(
        f"{where}: no such file, here or in configs/{nearest(pathlib.Path(name).stem, known)}"
    )


def _text(path: str) -> str:
    """The text of a gin file with current names and with the paths of its includes."""
    text = gin_text.current(gin_text.read(path))
    try:
        return gin_text.including(text, lambda name: _SCHEME + find(name, path))
    except UserError:
        raise
    except _SYNTAX_ERRORS:
        return text  # gin reports what is wrong with it


@contextlib.contextmanager
def _open(name: str) -> Iterator[io.StringIO]:
    path = name.removeprefix(_SCHEME)
    yield gin_text.named(_text(path), path)


gin.config.register_file_reader(_open, lambda name: name.startswith(_SCHEME))
# Gin logs an error for every reader that does not know a path, even if the next one does.
logging.getLogger().addFilter(lambda record: "Path not found" not in record.getMessage())


def statements(files: Sequence[str], including: Sequence[str] = ()) -> list[tuple]:
    """The statements of gin files in the order in which gin applies them, includes in their place.

    Args:
      files: paths of gin files.
      including: paths of the files that include them, the innermost last.

    Raises:
      UserError: one of them cannot be parsed, or includes itself or a file that does not exist.
    """
    found = []
    for path in files:
        place = f" (included by {including[-1]})" if including else ""
        if any(pathlib.Path(path).samefile(outer) for outer in including):
            raise UserError(f"{including[-1]}: include {path!r} never ends; leave it out")
        try:
            own = list(gin_text.statements(_text(path), path))
        except UserError as error:
            raise UserError(f"{error}{place}") from None
        except tokenize.TokenError as error:  # such as a bracket that nothing closes
            raise UserError(f"gin: {path}: {error.args[0]}{place}") from None
        except _SYNTAX_ERRORS as error:
            raise UserError(explain(error) + place) from None
        for statement in own:
            included = gin_text.included(statement)
            if included is None:
                found.append(statement)
            else:
                found += statements([included.removeprefix(_SCHEME)], [*including, path])
    return found


def saved(path: str, allow_code: bool = False) -> str:
    """Returns the path of a configuration that lies beside a checkpoint or in a run's folder.

    Args:
      path: path of the file, which its user did not name.
      allow_code: whether it may import modules that are not this project's.

    Raises:
      UserError: it imports such modules; see also `statements`.
    """
    if not allow_code:
        gin_imports.check_own(statements([path]), path)
    return path


def check_macros(files: Sequence[str], bindings: Sequence[str]) -> None:
    """Checks the macros of a configuration by its text alone, before anything heavy is imported.

    Raises:
      UserError: a macro on the command line is neither used nor set in any file, or a required
        macro is not set.
    """
    found = statements(files)
    known = gin_text.macros_set(found).keys() | gin_text.macros_used(found)
    for name in sorted(_given(bindings) - known):
        raise UserError(f"--gin.{name}: no such macro in {', '.join(files)}{nearest(name, known)}")
    for name in missing(files, bindings):
        flag = "--data_dir=DIR" if name == "DATA_DIR" else f"--gin.{name}=VALUE"
        raise UserError(f"{files[-1]} needs a value for {name}; give {flag}")


def missing(
    files: Sequence[str], bindings: Sequence[str], among: Sequence[str] | None = None
) -> list[str]:
    """Returns the required macros, of all or of those `among`, that have no value."""
    values = gin_text.macros_set(statements(files))
    required = {name for name, value in values.items() if value == gin_text.REQUIRED}
    kept = required if among is None else required & set(among)
    return sorted(kept - _given(bindings))


def _given(bindings: Sequence[str]) -> set[str]:
    """The macros that single bindings set."""
    names = (binding.partition("=")[0].strip() for binding in bindings)
    return {name for name in names if name.isupper() and name.isidentifier()}


def parse(files: Sequence[str], bindings: Sequence[str], unset: Collection[str] = ()) -> None:
    """Parses gin files and then single bindings, which override the files; checks all values.

    All modules with configurables must have been imported before.

    Args:
      files: paths of gin files.
      bindings: bindings from the command line.
      unset: macros without a value, which are not needed.

    Raises:
      UserError: a syntax error, an unknown name, or a value that cannot be bound; in one line,
        with the nearest valid name.
    """
    named = [_SCHEME + find(path) for path in files]
    statements([name.removeprefix(_SCHEME) for name in named])
    try:
        current = gin_text.current("\n".join(bindings))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of backslashes in paths
            gin.parse_config_files_and_bindings(named, current, finalize_config=False)
        gin.finalize()
        bound_settings.check(unset)
        with gin.unlock_config():
            _make_paths_absolute()
    except UserError:
        raise
    except _GIN_ERRORS as error:
        raise UserError(explain(error)) from None


def _make_paths_absolute() -> None:
    """Makes paths absolute, so that what `save` writes is valid in any working directory."""
    for key, path, suffix in bound_settings.paths():
        expanded = os.path.expanduser(path)
        # A label map without a suffix is one of this project's, even if there is a file of that
        # name.
        if expanded.endswith(suffix) and is_there(expanded):
            expanded = os.path.abspath(expanded)
        if expanded != path:
            gin.bind_parameter(key, expanded)


def explain(error: BaseException) -> str:
    """One line for an error of gin, with the nearest valid name where one is unknown."""
    text = " ".join(str(error).split())
    if isinstance(error, SyntaxError) and error.filename and error.text:
        line = " ".join(error.text.split())
        return f"gin: {error.filename}, line {error.lineno}: {line}: not gin; text needs quotes"
    place = re.search(r'In file "(?:current:)?([^"]+)", line (\d+)', text)
    where = f"{place[1]}, line {place[2]}: " if place else ""
    unknown = re.search(r"No configurable matching (?:reference )?'@?([^'()]+)", text)
    if unknown:
        return f"gin: {where}nothing is called {unknown[1]!r}{nearest(unknown[1], _selectors())}"
    parameter = re.search(r"Configurable '([^']+)' doesn't have a parameter named '([^']+)'", text)
    if not parameter:
        parameter = re.search(r"No parameter named '([^']+)' in .*configurable '([^']+)'", text)
        if parameter:
            parameter = (None, parameter[2], parameter[1])
    if parameter:
        name, given = parameter[1], parameter[2]
        return f"gin: {where}{name!r} has no parameter {given!r}{nearest(given, _parameters(name))}"
    if macro := re.search(r"No bindings specified for '([^']+)/gin\.macro'", text):
        return f"gin: %{macro[1]} is used and has no value; set {macro[1]} in the gin file"
    missing = re.search(
        r"Required bindings for `([^`]+)` not provided in config: (\[[^\]]*\])", text
    )
    if missing:
        return f"gin: {missing[1]} needs values for {missing[2]}; set them in the gin file"
    return f"gin: {text}"


def _selectors() -> list[str]:
    registered = gin.config._REGISTRY
    return [selector.rpartition(".")[2] for selector in registered._selector_map]


def _parameters(name: str) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(gin.get_configurable(name)).parameters
    except (ValueError, TypeError):
        return {}


def build(parameter: str) -> Any:
    """Builds the value of a binding such as `train.model`, without calling `train`.

    Raises:
      UserError: there is no such binding.
    """
    try:
        value = gin.query_parameter(parameter)
    except ValueError:
        raise UserError(f"the configuration does not set {parameter}") from None
    return resolve(value)


def network() -> str:
    """Returns the binding of the network itself, also where `train.model` wraps it."""
    inner = f"{gin.query_parameter('train.model').selector}.model"
    try:
        gin.query_parameter(inner)
    except ValueError:
        return "train.model"
    return inner


def arguments(parameter: str) -> dict:
    """Returns the arguments for the configurable of a binding such as `train.model`."""
    selector = gin.query_parameter(parameter).selector
    return {name: value(f"{selector}.{name}") for name in _parameters(selector)}


def default(parameter: str):
    """Returns the default of a parameter such as `Augment.flip`; None where it has none."""
    found = _declared(parameter)
    return None if found is gin.REQUIRED else found


def _declared(parameter: str):
    """The default of a parameter as its configurable declares it; None where it has none."""
    selector, _, name = parameter.rpartition(".")
    declared = _parameters(selector).get(name)
    return None if declared is None or declared.default is declared.empty else declared.default


def current_parameters() -> dict:
    """Returns what is bound now, by `configurable.parameter`, macros replaced by their values."""
    return gin_text.resolved(gin_text.bindings(gin.config_str()))


def value(parameter: str) -> Any:
    """Returns the value bound to a parameter such as `Augment.flip`, or its default, or None."""
    try:
        return resolve(gin.query_parameter(parameter))
    except ValueError:
        return _declared(parameter)


def resolve(value: Any) -> Any:
    """Calls a gin reference with parentheses (`@mosaic()`); returns other values unchanged."""
    reference = gin.config.ConfigurableReference
    if isinstance(value, reference):
        return value.scoped_configurable_fn() if value.evaluate else value.scoped_configurable_fn
    return value


def literals(path: str, selector: str) -> dict:
    """Returns the values of a configurable's parameters in a saved configuration.

    Macros are replaced by their values; values that are not literals, such as references, are left
    out.
    """
    bound = gin_text.saved_bindings(path)
    found = {}
    for name, value in bound.items():
        place, _, parameter = name.rpartition(".")
        value = bound.get(value.name, value) if isinstance(value, gin_text.Macro) else value
        if place.rpartition(".")[2] == selector and gin_text.is_literal(value):
            found[parameter] = value
    return found


def changes(model_dir: str) -> list[tuple[str, str, str]]:
    """Lists differences from a run's saved configuration: name, and both values in gin's syntax."""
    path = pathlib.Path(model_dir) / CONFIG
    before = gin_text.saved_bindings(path) if path.is_file() else {}
    now = gin_text.bindings(gin.operative_config_str())
    return [
        (k, repr(before[k]), repr(now[k]))
        for k in sorted(before.keys() & now.keys())
        if before[k] != now[k]
    ]


def network_changes(model_dir: str) -> list[tuple[str, str, str]]:
    """Lists those of `changes` that make another network."""
    now = gin_text.bindings(gin.operative_config_str())
    own = {name: value for name, value in now.items() if _is_of_network(name)}
    names = own.keys() | {value.name for value in own.values() if isinstance(value, gin_text.Macro)}
    return [change for change in changes(model_dir) if change[0] in names]


def _is_of_network(name: str) -> bool:
    selector = name.rpartition(".")[0].rpartition("/")[2]
    found = gin.config._REGISTRY.matching_selectors(selector)
    return name == "train.model" or any(match.startswith("networks.") for match in found)


def save(model_dir: str) -> None:
    """Writes the operative configuration of a run, which is enough to repeat it."""
    write_text(os.path.join(model_dir, CONFIG), gin.operative_config_str())
