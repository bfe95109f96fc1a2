"""Gin configuration: finding files, checking them, and saving the settings of a run."""

from mosaic.config.files import CONFIGS, find, saved, statements
from mosaic.config.macros import UNKNOWN, as_flags, check_macros, missing, note_of_deduced
from mosaic.config.messages import explain
from mosaic.config.parsing import parse
from mosaic.config.saved_runs import (
    changes,
    literals,
    network_changes,
    optimizer_changes,
    save,
)
from mosaic.config.settable import settings_called, settings_meant
from mosaic.config.values import (
    arguments,
    build,
    current_parameters,
    default,
    is_unset,
    network,
    operative_parameters,
    parameters,
    resolve,
    value,
)

__all__ = [
    "CONFIGS",
    "UNKNOWN",
    "arguments",
    "as_flags",
    "build",
    "changes",
    "check_macros",
    "current_parameters",
    "default",
    "explain",
    "find",
    "is_unset",
    "literals",
    "missing",
    "network",
    "network_changes",
    "note_of_deduced",
    "operative_parameters",
    "optimizer_changes",
    "parameters",
    "parse",
    "resolve",
    "save",
    "saved",
    "settings_called",
    "settings_meant",
    "statements",
    "value",
]
