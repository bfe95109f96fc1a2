"""What gin has bound: values of parameters, references called, defaults where nothing is bound."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import gin

from mosaic.utils import gin_text
from mosaic.utils.errors import UserError


def parameters(name: str) -> Mapping[str, inspect.Parameter]:
    """Returns the parameters of a configurable; none where there is no such, or no signature."""
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
    return {name: value(f"{selector}.{name}") for name in parameters(selector)}


def default(parameter: str):
    """Returns the default of a parameter such as `Augment.flip`; None where it has none."""
    found = _declared(parameter)
    return None if found is gin.REQUIRED else found


def _declared(parameter: str):
    """The default of a parameter as its configurable declares it; None where it has none."""
    selector, _, name = parameter.rpartition(".")
    declared = parameters(selector).get(name)
    return None if declared is None or declared.default is declared.empty else declared.default


def current_parameters() -> dict:
    """Returns what is bound now, by `configurable.parameter`, macros replaced by their values."""
    return gin_text.resolved(gin_text.bindings(gin.config_str()))


def operative_parameters() -> dict:
    """Returns what has been used so far, defaults too, as `current_parameters` has it."""
    return gin_text.resolved(gin_text.bindings(gin.operative_config_str()))


def value(parameter: str) -> Any:
    """Returns the value bound to a parameter such as `Augment.flip`, or its default, or None."""
    try:
        return resolve(gin.query_parameter(parameter))
    except ValueError:
        return _declared(parameter)


def is_unset(parameter: str) -> bool:
    """Whether a parameter such as `train.steps` has no value; references and macros count."""
    try:
        found = gin.query_parameter(parameter)
    except ValueError:
        found = _declared(parameter)
    return found is None or found is gin.REQUIRED


def resolve(value: Any) -> Any:
    """Calls a gin reference with parentheses (`@mosaic()`); returns other values unchanged."""
    reference = gin.config.ConfigurableReference
    if isinstance(value, reference):
        return value.scoped_configurable_fn() if value.evaluate else value.scoped_configurable_fn
    return value
