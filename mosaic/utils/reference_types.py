"""What gin's references give, by annotations: whether settings can take it, before any call."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from typing import Any

import gin

from mosaic.utils import settings

_ANY_NAME = "@NAME()"


def places(value: Any, hint: Any) -> Iterator[tuple[gin.config.ConfigurableReference, Any]]:
    """Yields the references of a setting's value, or in its brackets, and what is taken there."""
    if isinstance(value, gin.config.ConfigurableReference):
        yield value, hint
    elif isinstance(value, list | tuple):
        for wanted in map(typing.get_args, filter(settings.is_sequence, _alternatives(hint))):
            for part in value if wanted else ():
                yield from places(part, wanted[0])


def problem(selector: str, hint: Any) -> str | None:
    """Returns what a setting takes if it never takes what a called reference gives.

    Args:
      selector: gin's complete selector of the configurable that the reference names.
      hint: annotation of the setting.
    """
    made = _gives(selector)
    if not made or any(_fits(kind, hint) or _may_fit(kind, hint) for kind in made):
        return None
    return suggest(settings.describe(hint), hint)


def suggest(says: str, hint: Any) -> str:
    """Returns a text about a setting with the references that it takes in the place of @NAME()."""
    fitting = [
        f"@{selector.rpartition('.')[2]}()"
        for selector, _ in gin.config._REGISTRY.items()
        if not selector.startswith("official.")  # the Model Garden's own, which are of no use here
        and any(_fits(kind, hint) for kind in _gives(selector))
    ]
    return says.replace(_ANY_NAME, " or ".join(fitting)) if fitting else says


def _gives(selector: str) -> list[type]:
    """The classes of what a configurable gives; none where that is not known."""
    configurable = gin.config._REGISTRY[selector].wrapped
    if inspect.isclass(configurable):
        return [configurable]
    try:
        hint = typing.get_type_hints(inspect.unwrap(configurable)).get("return")
    except (NameError, TypeError, AttributeError):
        return []
    kinds = [typing.get_origin(part) or part for part in _alternatives(hint)]
    is_known = all(inspect.isclass(kind) and kind not in (Any, object) for kind in kinds)
    return kinds if is_known else []


def _alternatives(hint: Any) -> Iterator[Any]:
    """The parts of a union, without their ranges; an annotation itself where it is none."""
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    parts = typing.get_args(hint) if settings.is_union(hint) else ()
    for part in parts:
        yield from _alternatives(part)
    if not parts:
        yield hint


def _fits(kind: type, hint: Any) -> bool:
    return any(_is_one(kind, part) for part in _alternatives(hint))


def _is_one(kind: type, part: Any) -> bool:
    if settings.is_sequence(part):
        return issubclass(kind, list | tuple)
    if not inspect.isclass(part):
        return True  # what no class says
    if part is float:
        return issubclass(kind, float | int)
    if getattr(part, "_is_protocol", False):
        return all(_has(kind, name, method) for name, method in _methods(part))
    return issubclass(kind, part)


def _may_fit(kind: type, hint: Any) -> bool:
    """Whether what a function says that it gives is a base of what is taken."""
    parts = [typing.get_origin(part) or part for part in _alternatives(hint)]
    return any(_is_base(kind, part) for part in filter(inspect.isclass, parts))


def _is_base(kind: type, part: type) -> bool:
    if getattr(kind, "_is_protocol", False):  # Python does not say which classes are below those
        return kind in part.__mro__
    return issubclass(part, kind) and part is not bool  # whole numbers do not stand for those


def _methods(protocol: type) -> list[tuple[str, Any]]:
    return [
        (name, method)
        for name, method in vars(protocol).items()
        if inspect.isfunction(method) and (name == "__call__" or not name.startswith("_"))
    ]


def _has(kind: type, name: str, method: Any) -> bool:
    """Whether a class has a method of a protocol's; a call must take as many arguments."""
    # Of the class itself: every class can be called, to make its objects.
    found = next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)
    if name != "__call__" or found is None:
        return found is not None
    try:
        inspect.signature(found).bind(*inspect.signature(method).parameters)
    except TypeError:
        return False
    return not hasattr(kind, "train_step")  # Keras' models, whose call takes anything
