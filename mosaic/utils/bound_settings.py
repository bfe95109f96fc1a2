"""Checks of what gin has bound: each value by the annotation of the parameter that gets it."""

from __future__ import annotations

import graphlib
import typing
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import gin

from mosaic.utils import reference_types, settings
from mosaic.utils.errors import UserError

# Gin's modules of what acts only where a reference names it: a camvid.data_dir that an included
# file has set means nothing where `train.dataset` is another one.
_NAMED_ONLY = ("datasets", "losses", "optimizers", "schedules")
_REFERENCE = gin.config.ConfigurableReference


class Bound(NamedTuple):
    """A value that acts.

    Attributes:
      key: gin's key of what was set: a parameter, or the macro that it names.
      name: that key in a message.
      parameter: the parameter that gets the value, in a message.
      value: value without macros.
      hint: annotation of the parameter, None if it has none.
    """

    key: str
    name: str
    parameter: str
    value: Any
    hint: Any


def check(unset: Collection[str] = ()) -> None:
    """Checks the bound parameters of all configurables that act, by their annotations.

    Whole numbers that are written as floats (1e3) become integers where these are needed.

    Args:
      unset: macros without a value, which this command does not need.

    Raises:
      UserError: a value has another type or is out of range. The message names the macro that was
        set, if there is one, its value, and what is taken. Or macros name each other in a circle.
    """
    _check_circles()
    for key, name, parameter, value, hint in list(acting()):
        if hint is None or name in unset:
            continue
        place = "" if name == parameter else f" ({parameter})"
        for reference, wanted in reference_types.places(value, hint):
            if not reference.evaluate:
                raise UserError(f"{name} = {value}: it must be called: {reference}(){place}")
            if says := reference_types.problem(reference.configurable.selector, wanted):
                raise UserError(settings.told(name, value, says) + place)
        # The value that a reference gives is known when gin calls it.
        if any(True for _ in _references(value)):
            continue
        says = settings.problem(value, hint)
        if says and _is_whole(value) and not settings.problem(int(value), hint):
            with gin.unlock_config():
                gin.bind_parameter(key, int(value))
        elif says:
            raise UserError(settings.told(name, value, reference_types.suggest(says, hint)) + place)


def _check_circles() -> None:
    graph = {
        scope: [_macro(found) for found in _references(bound.get("value")) if _is_macro(found)]
        for (scope, selector), bound in gin.config._CONFIG.items()
        if selector == "gin.macro"
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle = " = %".join(reversed(error.args[1]))
        raise UserError(f"{circle}: macros that name each other; give one a value") from None


def find(parameter: str) -> Bound | None:
    """Returns what is bound to a parameter such as `train.steps`; None where nothing acts on it."""
    return next((bound for bound in acting() if bound.parameter == parameter), None)


def name_of(parameter: str) -> str:
    """Returns what sets a parameter such as `train.steps`: its macro's name, or its own."""
    bound = find(parameter)
    return bound.name if bound else parameter


def paths() -> list[tuple[str, str, str]]:
    """Returns the paths that are bound: (gin's key, path, suffix as in `settings.Path`)."""
    return [
        (bound.key, bound.value, suffix)
        for bound in acting()
        for suffix in _suffixes(bound.hint)
        if isinstance(bound.value, str)
    ]


def _suffixes(hint: Any) -> Iterator[str]:
    for part in typing.get_args(hint):
        if isinstance(suffix := getattr(part, "suffix", None), str):
            yield suffix
        else:
            yield from _suffixes(part)


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def acting_names() -> set[str]:
    """Returns the names of the configurables that act, also of those of which nothing is bound."""
    names = set()
    for bound in acting():
        names.add(bound.parameter.rpartition(".")[0])
        names.update(found.configurable.name for found in _references(bound.value))
    return names


def idle(names: Collection[str]) -> list[str]:
    """Returns those of parameters such as `adam.beta_1` whose configurable nothing uses here.

    Args:
      names: parameters that were set, in gin's syntax; macros are left out.
    """
    modules = (*_NAMED_ONLY, "networks")
    used = {bound.parameter.rpartition(".")[0] for bound in acting(modules)}
    found = []
    for name in names:
        owner = name.rpartition(".")[0].rpartition("/")[2]
        matches = gin.config._REGISTRY.matching_selectors(owner) if owner else []
        if matches and not {match.rpartition(".")[2] for match in matches} & used:
            found.append(name)
    return found


def acting(named_only: Sequence[str] = _NAMED_ONLY) -> Iterator[Bound]:
    """The bindings of configurables that act: those of training, and what a reference names.

    Args:
      named_only: gin's modules of what acts only where a reference names it.
    """
    bound: dict[str, list] = {}
    for (scope, selector), values in gin.config._CONFIG.items():
        if selector not in ("gin.macro", "gin.constant"):
            bound.setdefault(selector, []).append((scope, values))
    waiting = [selector for selector in bound if selector.split(".")[0] not in named_only]
    seen = set(waiting)
    while waiting:
        selector = waiting.pop()
        hints = settings.hints(gin.config._REGISTRY[selector].wrapped)
        for scope, values in bound.get(selector, ()):
            for parameter, value in values.items():
                key = f"{scope}/{selector}.{parameter}" if scope else f"{selector}.{parameter}"
                own = name = f"{selector.rpartition('.')[2]}.{parameter}"
                while _is_macro(value):
                    name = _macro(value)
                    key, value = f"%{name}", gin.query_parameter(f"%{name}")
                value = _without_macros(value)
                yield Bound(key, name, own, value, hints.get(parameter))
                named = {found.configurable.selector for found in _references(value)}
                waiting += named - seen
                seen |= named


def _is_macro(value: Any) -> bool:
    return isinstance(value, _REFERENCE) and value.configurable.selector == "gin.macro"


def _macro(value: gin.config.ConfigurableReference) -> str:
    return value.scoped_selector.rpartition("/")[0]


def _without_macros(value: Any) -> Any:
    """A value with macros replaced by their values."""
    while _is_macro(value):
        value = gin.query_parameter(f"%{_macro(value)}")
    if isinstance(value, list | tuple):
        return type(value)(map(_without_macros, value))
    if isinstance(value, dict):
        return {_without_macros(key): _without_macros(item) for key, item in value.items()}
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
