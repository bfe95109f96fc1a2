"""The model that a command works on, and the size that it takes."""

from __future__ import annotations

import os

from mosaic.cli.configuration import experiment_files
from mosaic.cli.flags import Values, allows_code
from mosaic.utils.errors import UserError
from mosaic.utils.memory import BYTES_PER_PIXEL, check_fits
from mosaic.utils.model_format import format_of, is_there
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
    from mosaic import config

    path = values.model
    named = [config.find(name) for name in values.gin_file]
    saved = os.path.join(path, CONFIG)
    if os.path.isfile(saved):
        checkpoint = default_checkpoint(path)
        return checkpoint, named or [config.saved(saved, allows_code(values))]
    if not is_there(path):
        raise UserError(f"--model={path}: no such file or folder")
    if format_of(path) != "network":
        return path, []
    if named:
        return path, named
    folder = os.path.dirname(os.path.abspath(path))
    for candidate in (folder, os.path.dirname(folder)):
        saved = os.path.join(candidate, CONFIG)
        if os.path.isfile(saved):
            return path, [config.saved(saved, allows_code(values))]
    raise UserError(
        f"--model={path}: a checkpoint needs its experiment; give --gin_file=EXPERIMENT"
    )


def check_normalization(values: Values, path: str, as_network: bool = False) -> None:
    """Checks that --normalization is for a file that runs as it is.

    Raises:
      UserError: the model at the path is a checkpoint, or is loaded into a network.
    """
    if values.normalization and (as_network or format_of(path) == "network"):
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


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Parses `HEIGHTxWIDTH`, in pixels.

    Raises:
      UserError: the text does not have that format, or the memory is too small for it.
    """
    if text is None:
        return None
    height, cross, width = text.partition("x")
    sides = [int(side) for side in (height, width) if cross and side.isdecimal()]
    if len(sides) < 2 or 0 in sides:
        raise UserError(f"--size={text}: write HEIGHTxWIDTH, such as 512x512")
    # Before anything asks for it.
    num_bytes = sides[0] * sides[1] * BYTES_PER_PIXEL
    check_fits(f"--size={text}", num_bytes, "take a smaller size")
    return sides[0], sides[1]
