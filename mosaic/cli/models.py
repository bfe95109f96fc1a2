"""The model that a command works on, and the size that it takes."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mosaic.cli.configuration import experiment_files
from mosaic.cli.flags import Values, allows_code
from mosaic.utils.errors import UserError
from mosaic.utils.memory import check_size
from mosaic.utils.model_format import format_of, is_there, other_format
from mosaic.utils.run_layout import CONFIG, default_checkpoint


def model_and_files(values: Values) -> tuple[str, list[str]]:
    """Returns the model and the gin files of `predict.py`.

    Returns:
      (path of the model, gin files): the path of the best checkpoint for a run's folder; the files
      are those of --gin_file or the configuration that the run has saved, and none for a SavedModel
      or a .tflite file.

    Raises:
      UserError: there is nothing at the path, or a checkpoint without a configuration, or its
        configuration imports code that is not this project's and --allow_code is not given.
    """
    return find_model(values.model, values.gin_file, allows_code(values), "--model=")


def find_model(
    path: str, gin_files: Sequence[str], allow_code: bool = False, flag: str = ""
) -> tuple[str, list[str]]:
    """Returns what `model_and_files` does, without flags.

    Args:
      path: path of the model.
      gin_files: names or paths of gin files.
      allow_code: whether a configuration beside the model may import code that is not this
        project's.
      flag: beginning of messages about the path.
    """
    from mosaic import config

    named = [config.find(name) for name in gin_files]
    saved = os.path.join(path, CONFIG)
    if os.path.isfile(saved):
        return default_checkpoint(path), named or [config.saved(saved, allow_code)]
    if not is_there(path):
        raise UserError(f"{flag}{path}: no such file or folder")
    if format_of(path) != "network":
        return path, []
    if other := other_format(path):
        raise UserError(f"{flag}{path}: {other}")
    if named:
        return path, named
    folder = os.path.dirname(os.path.abspath(path))
    for candidate in (folder, os.path.dirname(folder)):
        saved = os.path.join(candidate, CONFIG)
        if os.path.isfile(saved):
            return path, [config.saved(saved, allow_code)]
    how = "--gin_file=EXPERIMENT" if flag else "its name"
    raise UserError(f"{flag}{path}: a checkpoint needs its experiment; give {how}")


def check_normalization(values: Values, path: str, as_network: bool = False) -> None:
    """Checks that --normalization is for a file that runs as it is.

    Raises:
      UserError: the model at the path is a checkpoint, or is loaded into a network, or is a file
        that is not read.
    """
    if values.normalization and (as_network or format_of(path) == "network"):
        if other := other_format(path):
            raise UserError(f"{path}: {other}")
        raise UserError(
            f"--normalization={values.normalization} is for .tflite files as they are; the network "
            f"that {path} is loaded into has its own: leave it out"
        )


def checkpoint_and_output(values: Values, subfolder: str = "") -> tuple[list[str], str, str]:
    """Returns the files and folders of a command that reads a checkpoint.

    Returns:
      (gin files, checkpoint, output folder); the run's own where only --model_dir is given.

    Raises:
      UserError: a flag or a file is missing.
    """
    files = experiment_files(values)
    if values.checkpoint is None and not values.model_dir:
        raise UserError("give --checkpoint=PATH or --model_dir=DIR")
    checkpoint = values.checkpoint or default_checkpoint(values.model_dir)
    if not is_there(checkpoint):
        raise UserError(f"--checkpoint={checkpoint}: no such file or folder")
    output_dir = getattr(values, "output_dir", None) if subfolder else None
    if not output_dir:
        if not values.model_dir and subfolder:
            raise UserError("give --output_dir=DIR, the folder for the report")
        output_dir = os.path.join(values.model_dir or "", subfolder)
    return files, checkpoint, output_dir


def parse_size(text: str | None, flag: str = "size") -> tuple[int, int] | None:
    """Parses the `HEIGHTxWIDTH` of a flag, in pixels.

    Raises:
      UserError: the text does not have that format, or the memory is too small for it.
    """
    if text is None:
        return None
    height, cross, width = text.partition("x")
    sides = [int(side) for side in (height, width) if cross and side.isdecimal()]
    if len(sides) < 2 or 0 in sides:
        raise UserError(f"--{flag}={text}: write HEIGHTxWIDTH, such as 512x512")
    # Before anything asks for it.
    check_size(f"--{flag}={text}", sides)
    return sides[0], sides[1]
