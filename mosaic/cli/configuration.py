"""The configuration of a command: its gin files, checked and parsed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mosaic.cli.flags import Values, allows_code
from mosaic.utils.errors import UserError
from mosaic.utils.run_layout import CONFIG
from mosaic.utils.storage_paths import is_remote

# Required macros that are not needed by commands that do not train or read no data set.
NOT_TRAINING = ("INIT_CHECKPOINT",)

# Nor by what shows a run without reading any file of it.
NO_FILES = (*NOT_TRAINING, "DATA_DIR", "LABEL_MAP")
NO_DATA = (*NO_FILES, "CROP_SIZE")

# Where a run was trained says nothing about the machine on which it is scored or exported.
_ANY_DEVICE = (
    *("runtime.strategy = 'auto'", "runtime.devices = None", "runtime.tpu = None"),
    "runtime.threads = None",
)


def experiment_files(values: Values, saved: bool = True) -> list[str]:
    """Returns the gin files of a command: those given, or the one that a run has saved.

    Raises:
      UserError: neither is given, or a file is missing, or the saved one imports code that is not
        this project's and --allow_code is not given.
    """
    from mosaic import config

    if values.gin_file:
        return [config.find(name) for name in values.gin_file]
    if saved and values.model_dir:
        path = os.path.join(values.model_dir, CONFIG)
        if not os.path.exists(path):
            raise UserError(
                f"{values.model_dir}: no {CONFIG} in it; is it a run's folder? If not yet, give "
                "--gin_file=EXPERIMENT too"
            )
        return [config.saved(path, allows_code(values))]
    raise UserError("give --gin_file=EXPERIMENT" + (" or --model_dir=DIR" if saved else ""))


def configure(
    files: Sequence[str],
    bindings: Sequence[str],
    data_dir: str | None,
    unneeded: Sequence[str] = (),
) -> None:
    """Checks and parses the configuration; imports what it configures.

    Args:
      files: paths of gin files.
      bindings: bindings from the command line.
      data_dir: value of the macro DATA_DIR, or None.
      unneeded: required macros that this command does not need.

    Raises:
      UserError: see `mosaic.config`; or `data_dir` is not a folder.
    """
    from mosaic import config

    bindings = list(bindings)
    if unneeded and [os.path.basename(path) for path in files] == [CONFIG]:
        bindings = [*_ANY_DEVICE, *bindings]
    if data_dir is not None:
        if not is_remote(data_dir):
            if not os.path.isdir(data_dir):
                raise UserError(f"--data_dir={data_dir}: no such folder")
            data_dir = os.path.abspath(data_dir)
        bindings.append(f"DATA_DIR = {data_dir!r}")
    unset = config.missing(files, bindings, unneeded)
    bindings = [
        f"{name} = {config.UNKNOWN if name in NOT_TRAINING else None!r}" for name in unset
    ] + bindings
    config.check_macros(files, bindings)
    import tensorflow as tf
    from absl import logging

    import mosaic.training.train_loop  # noqa: F401 - registers the names that gin files bind

    logging.set_verbosity(logging.ERROR)
    tf.get_logger().setLevel("ERROR")
    config.parse(files, bindings, unset)
