"""What gin can set, told from source text alone: messages need it before any heavy import."""

from __future__ import annotations

import ast
import pathlib

_ROOT = pathlib.Path(__file__).resolve().parents[2]


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
