"""The names that a model gives its classes: inside its file, or in files beside it."""

from __future__ import annotations

import os

from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils import class_names
from mosaic.utils.class_names import Classes
from mosaic.utils.errors import check_regular


def find(model: str | TFLiteModel) -> Classes | None:
    """Returns the classes that a model names: inside a TFLite file, or else beside it.

    Args:
      model: path of a run's folder, of a checkpoint in it or of a SavedModel folder, or an opened
        TFLite file. Names in its own folder or in that of its run are used.

    Raises:
      UserError: the file that names them is there but cannot be read.
    """
    if isinstance(model, TFLiteModel) and (inside := tflite_metadata.read(model).classes):
        return inside
    path = os.fspath(model)
    parent = os.path.dirname(os.path.abspath(path))
    for folder in (path, os.path.join(path, "assets.extra"), parent, os.path.dirname(parent)):
        file = os.path.join(folder, class_names.FILE)
        check_regular(file)
        if os.path.isfile(file):
            with open(file, "rb") as text:
                return class_names.parse(text.read(), file)
    return None
