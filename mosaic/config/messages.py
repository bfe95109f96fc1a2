"""Errors of gin as one line that names the place and the nearest valid name."""

from __future__ import annotations

import re

import gin

from mosaic.config.values import parameters
from mosaic.utils.errors import nearest


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
        return f"gin: {where}{name!r} has no parameter {given!r}{nearest(given, parameters(name))}"
    if lacking := re.match(
        r"(\w+)\(\) missing \d+ required positional arguments?: (.*?) No val", text
    ):
        name, names = lacking[1], re.findall(r"'(\w+)'", lacking[2])
        given = " ".join(f"--gin.{name}.{one}=VALUE" for one in names)
        return f"gin: {name} needs values for {names}; set them: {given}"
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
    own = [name for name in registered._selector_map if not name.startswith("official.")]
    return [selector.rpartition(".")[2] for selector in own]
