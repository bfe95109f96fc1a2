"""Shared parts of all commands: flags, gin bindings, and errors as one line with an exit code.

Only light modules are imported here, so that `--help` and errors in flags appear at once.
"""

from mosaic.cli.bindings import split_bindings
from mosaic.cli.configuration import (
    NO_DATA,
    NO_FILES,
    NOT_TRAINING,
    configure,
    experiment_files,
)
from mosaic.cli.devices import inference_devices
from mosaic.cli.experiments import OF_TRAINING
from mosaic.cli.flags import PATH_FLAGS, Values, allows_code, common_flags
from mosaic.cli.missing import check_complete, lacking, lacking_model, takes_photographs
from mosaic.cli.models import (
    check_normalization,
    checkpoint_and_output,
    find_model,
    model_and_files,
    parse_size,
)
from mosaic.cli.remote import check_writable, original
from mosaic.cli.running import explain, run
from mosaic.utils.errors import UserError

__all__ = [
    "NOT_TRAINING",
    "NO_DATA",
    "NO_FILES",
    "OF_TRAINING",
    "PATH_FLAGS",
    "UserError",
    "Values",
    "allows_code",
    "check_complete",
    "check_normalization",
    "check_writable",
    "checkpoint_and_output",
    "common_flags",
    "configure",
    "experiment_files",
    "explain",
    "find_model",
    "inference_devices",
    "lacking",
    "lacking_model",
    "model_and_files",
    "original",
    "parse_size",
    "run",
    "split_bindings",
    "takes_photographs",
]
