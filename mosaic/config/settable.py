"""What gin can set, told from source text alone: messages need it before any heavy import."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Collection

from mosaic.utils.habits import meant_settings

_ROOT = pathlib.Path(__file__).resolve().parents[2]
# Parameters that gin refuses to set.
_NO_SETTINGS = ("train.model_dir",)
# Configurables of any experiment. What another's parameter is called, such as ade20k's `classes`,
# may well be meant otherwise.
_COMMON = ("train", "runtime", "Evaluation", "Augment")


def settings_called(name: str) -> list[str]:
    """Returns the settings of a name: `patience` and `train.patience` are `train.patience`.

    Args:
      name: name of a parameter, with or without that of its configurable before it.
    """
    owner, _, parameter = name.rpartition(".")
    return [
        f"{configurable}.{parameter}"
        for configurable, parameters in _declared().items()
        if parameter in parameters and owner in ("", configurable)
    ]


def settings_meant(name: str, macros: Collection[str] | None = None) -> list[str]:
    """Returns the settings that a name may stand for: those called so, or so by other programs.

    Args:
      name: name of a parameter, as for `settings_called`, or of another program's flag.
      macros: macros that there are; None where any may be named.
    """
    called = [setting for setting in settings_called(name) if setting not in _NO_SETTINGS]
    if len(called) == 1 and called[0].partition(".")[0] in _COMMON:
        return called
    meant = meant_settings(name.lower())
    if macros is not None:
        meant = [setting for setting in meant if setting in macros or not setting.isupper()]
    return meant or called


def _declared() -> dict[str, set[str]]:
    """The parameters of each of this project's configurables."""
    found = {}
    for room in ("mosaic", "data"):
        for path in sorted((_ROOT / room).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if "@gin.configurable" in text:
                found |= {
                    node.name: _parameters(node)
                    for node in ast.parse(text).body
                    if any("gin.configurable" in ast.unparse(x) for x in _decorators(node))
                }
    return found


def _decorators(node: ast.stmt) -> list[ast.expr]:
    return getattr(node, "decorator_list", [])


def _parameters(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """The parameters of a function or a class; those of a dataclass are its fields."""
    if isinstance(node, ast.ClassDef):
        made = [x for x in node.body if isinstance(x, ast.FunctionDef) and x.name == "__init__"]
        if not made:
            return {x.target.id for x in node.body if isinstance(x, ast.AnnAssign)}
        node = made[0]
    names = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
    return names - {"self"}
