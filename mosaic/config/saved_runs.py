"""The configuration that a run has saved, and what differs from it."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable

import gin

from mosaic.utils import gin_text
from mosaic.utils.atomic_io import write_text
from mosaic.utils.run_layout import CONFIG


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
    return _changes_of(model_dir, _is_of_network)


def optimizer_changes(model_dir: str) -> list[tuple[str, str, str]]:
    """Lists those of `changes` that make an optimizer which keeps other things of the steps."""
    found = _changes_of(model_dir, lambda name: name in _OF_OPTIMIZER)
    # Another decay goes on with the same average; only with or without one there is another.
    return [c for c in found if "None" in c[1:] or "@" in "".join(c[1:])]


_OF_OPTIMIZER = ("train.optimizer", "train.average_decay")


def _changes_of(model_dir: str, chosen: Callable[[str], bool]) -> list[tuple[str, str, str]]:
    """Those of `changes` that are of chosen parameters, or of macros that these name."""
    now = gin_text.bindings(gin.operative_config_str())
    own = {name: value for name, value in now.items() if chosen(name)}
    names = own.keys() | {value.name for value in own.values() if isinstance(value, gin_text.Macro)}
    return [change for change in changes(model_dir) if change[0] in names]


def _is_of_network(name: str) -> bool:
    selector = name.rpartition(".")[0].rpartition("/")[2]
    found = gin.config._REGISTRY.matching_selectors(selector)
    return name == "train.model" or any(match.startswith("networks.") for match in found)


def save(model_dir: str) -> None:
    """Writes the operative configuration of a run, which is enough to repeat it."""
    write_text(os.path.join(model_dir, CONFIG), gin.operative_config_str())
