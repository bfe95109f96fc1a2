"""TFLite files loaded into networks, and what helps where one does not fit."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import tf_keras

from mosaic.checkpoints import tflite_diagnosis
from mosaic.models import quantization_aware
from mosaic.models.variables import Variables
from mosaic.tflite import weights
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.errors import UserError


def load(
    model: tf_keras.Model,
    path: str | TFLiteModel,
    prefixes: tuple[str, ...] = ("",),
    images: Iterable[np.ndarray] | None = None,
    optional: Collection[str] = (),
) -> tuple[Variables, frozenset[str]]:
    """Loads a TFLite file into a network, completely or not at all.

    Args:
      model: network of this project.
      path: path of a TFLite file, or the file, opened.
      prefixes: beginnings of the names of the layers to load.
      images: uint8 [height, width, 3] each, to measure batch norm's statistics on.
      optional: names of layers that are left out, all of them, where the file does not fit with
        them.

    Returns:
      (the variables that were read, names of the layers that were left out).

    Raises:
      UserError: the network is one of quantization-aware training; or the file does not fit: the
        message names the settings that fit, if they are found.
    """
    if quantization_aware.is_quantized(model):
        raise UserError(
            f"{path}: a TFLite file has no ranges for a network of quantization-aware training; "
            "load it into the float network's experiment"
        )
    file = path if isinstance(path, TFLiteModel) else TFLiteModel.open(path)
    images = images if images is None else list(images)
    tries = [(prefixes, frozenset())]
    if optional:
        names = [layer.name for layer in model.layers if layer.weights]
        rest = (n for n in names if n.startswith(prefixes) and n not in optional)
        tries.append((tuple(rest), frozenset(optional)))
    errors = []
    for wanted, left_out in tries:
        try:
            return weights.load(model, file, images, wanted), left_out
        except UserError as error:
            errors.append(error)
    raise UserError(_with_mend(str(errors[0]), file, bool(optional)))


def _with_mend(message: str, file: TFLiteModel, classes_apart: bool) -> str:
    """The message of a misfit with the settings that fit, if they are found."""
    start, misfit, rest = message.partition("does not fit this network")
    mend = tflite_diagnosis.fitting(file, classes_apart) if misfit else ""
    return f"{start}{misfit}; {mend}: {rest.removeprefix(', ')}" if mend else message
