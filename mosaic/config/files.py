"""Gin files: found, read with current names, and their statements in order."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pathlib
import tokenize
from collections.abc import Iterator, Sequence

import gin

from mosaic.config.messages import explain
from mosaic.utils import gin_imports, gin_text
from mosaic.utils.errors import UserError, nearest

_ROOT = pathlib.Path(__file__).resolve().parents[2]
# In the repository, and in an installed wheel, where `configs` would be a name of many others.
CONFIGS = next(p for p in (_ROOT / "configs", _ROOT / "mosaic_configs") if p.is_dir())

SYNTAX_ERRORS = (SyntaxError, ValueError, tokenize.TokenError)

# Files with this prefix are read with current names (`mosaic.utils.gin_text`).
SCHEME = "current:"


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
        return gin_text.including(text, lambda name: SCHEME + find(name, path))
    except UserError:
        raise
    except SYNTAX_ERRORS:
        return text  # gin reports what is wrong with it


@contextlib.contextmanager
def _open(name: str) -> Iterator[io.StringIO]:
    path = name.removeprefix(SCHEME)
    yield gin_text.named(_text(path), path)


gin.config.register_file_reader(_open, lambda name: name.startswith(SCHEME))

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
        except RecursionError:
            raise UserError(f"gin: {path}: brackets nested too deep{place}") from None
        except tokenize.TokenError as error:  # such as a bracket that nothing closes
            raise UserError(f"gin: {path}: {error.args[0]}{place}") from None
        except SYNTAX_ERRORS as error:
            raise UserError(explain(error) + place) from None
        for statement in own:
            included = gin_text.included(statement)
            if included is None:
                found.append(statement)
            else:
                found += statements([included.removeprefix(SCHEME)], [*including, path])
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
