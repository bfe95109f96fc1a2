"""Checks of what gin has bound: each value by the annotation of the parameter that gets it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import gin

from mosaic.utils import settings
from mosaic.utils.errors import UserError

# Gin's modules of what acts only where a reference names it: a camvid.data_dir that an included
# file has set means nothing where `train.dataset` is another one.
_NAMED_ONLY = ("datasets", "losses", "optimizers", "schedules")
_REFERENCE = gin.config.ConfigurableReference


def check(unset: Collection[str] = ()) -> None:
    """Checks the bound parameters of all configurables that act, by their annotations.

    Args:
      unset: macros without a value, which this command does not need.

    Raises:
      UserError: a value has another type or is out of range. The message names the macro that was
        set, if there is one, its value, and what is taken.
    """
    for scope, selector, parameter, bound in list(_acting()):
        configurable = gin.config._REGISTRY[selector].wrapped
        hint = settings.hints(configurable).get(parameter)
        key = f"{scope}/{selector}.{parameter}" if scope else f"{selector}.{parameter}"
        own = f"{selector.rpartition('.')[2]}.{parameter}"
        name, value, place = own, bound, ""
        while _is_macro(value):
            macro = value.scoped_selector.rpartition("/")[0]
            key = f"%{macro}"
            name, value, place = macro, gin.query_parameter(key), f" ({own})"
        if hint is None or name in unset:
            continue
        value = _without_macros(value)
        if isinstance(value, _REFERENCE) and not value.evaluate and not _takes_functions(hint):
            raise UserError(f"{name} = {value}: it must be called: {value}(){place}")
        # What a reference gives is known when gin calls it.
        if any(True for _ in _references(value)):
            continue
        says = settings.problem(value, hint)
        if says and _is_whole(value) and not settings.problem(int(value), hint):
            # 1e3 is a float in Python.
            with gin.unlock_config():
                gin.bind_parameter(key, int(value))
        elif says:
            raise UserError(settings.told(name, value, says) + place)


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _takes_functions(hint: Any) -> bool:
    return "Callable" in str(hint) or hint is Any


def _acting() -> Iterator[tuple[str, str, str, Any]]:
    """The bindings of configurables that act: (scope, selector, parameter, value as bound)."""
    bound: dict[str, list] = {}
    for (scope, selector), values in gin.config._CONFIG.items():
        if selector not in ("gin.macro", "gin.constant"):
            bound.setdefault(selector, []).append((scope, values))
    waiting = [selector for selector in bound if selector.split(".")[0] not in _NAMED_ONLY]
    seen = set(waiting)
    while waiting:
        selector = waiting.pop()
        for scope, values in bound.get(selector, ()):
            for parameter, value in values.items():
                yield scope, selector, parameter, value
                named = {found.configurable.selector for found in _references(_deep(value))}
                waiting += named - seen
                seen |= named


def _is_macro(value: Any) -> bool:
    return isinstance(value, _REFERENCE) and value.configurable.selector == "gin.macro"


def _deep(value: Any) -> Any:
    """A value with its macros replaced, also where it is a macro itself."""
    while _is_macro(value):
        value = gin.query_parameter("%" + value.scoped_selector.rpartition("/")[0])
    return _without_macros(value)


def _without_macros(value: Any) -> Any:
    """A value with the macros inside it replaced by their values."""
    if isinstance(value, list | tuple):
        return type(value)(map(_deep, value))
    if isinstance(value, dict):
        return {_deep(key): _deep(item) for key, item in value.items()}
    return value


def _references(value: Any) -> Iterator[gin.config.ConfigurableReference]:
    if isinstance(value, _REFERENCE):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _references(pair)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _references(item)
