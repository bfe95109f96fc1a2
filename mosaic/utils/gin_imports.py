"""What a gin file that its user did not name may import: this project's own modules.

Gin imports, and so runs, any module that a file names. A configuration beside a checkpoint comes
from wherever the checkpoint does.
"""

from __future__ import annotations

import importlib.util
import pathlib
from collections.abc import Iterable

from gin import config_parser

from mosaic.utils.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[2]
_PACKAGES = ("mosaic", "data")


def check_own(statements: Iterable[tuple], path: str) -> None:
    """Checks that a saved configuration imports this project's own modules alone.

    Nothing is imported.

    Args:
      statements: statements of the file and of those that it includes.
      path: path of the file.

    Raises:
      UserError: it imports another module, or uses gin's dynamic registration, which calls any
        function by its path.
    """
    for statement in statements:
        if isinstance(statement, config_parser.ImportStatement) and not _is_own(statement.module):
            place = statement.location.filename or path
            raise UserError(
                f"{place}: imports {statement.module}, which is not part of this project and would "
                f"be run; if you trust it, give --allow_code or name the file: --gin_file={path}"
            )


def _is_own(module: str) -> bool:
    """Whether a module's name stands for a file of this installation."""
    package, *inner = module.split(".")
    if package not in _PACKAGES or not all(part.isidentifier() for part in inner):
        return False
    place = ROOT.joinpath(package, *inner)
    if not (place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()):
        return False
    # A folder of the same name may come first on Python's path. Looking for a package of the top
    # level runs nothing.
    spec = importlib.util.find_spec(package)
    found = [pathlib.Path(p).resolve() for p in (spec and spec.submodule_search_locations) or ()]
    return found == [ROOT / package]
