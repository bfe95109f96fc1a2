"""The format of the model at a path, without loading it or anything heavy."""

from __future__ import annotations

import os

from mosaic.utils import archives


def format_of(path: str) -> str:
    """Returns the format of a model: `tflite`, `saved_model`, or `network` for a checkpoint.

    SavedModels and checkpoints may be in archives; an archive of a whole run, which has both,
    counts as a checkpoint.
    """
    if path.endswith(".tflite"):
        return "tflite"
    if archives.is_archive(path):
        inside = archives.names(path)
        files = [] if any(map(archives.is_index, inside)) else map(os.path.basename, inside)
        files = list(files)
    else:
        files = os.listdir(path) if os.path.isdir(path) else []
    return "saved_model" if archives.is_saved_model(files) else "network"


def is_there(path: str) -> bool:
    """Whether a path names a file or folder, or is the prefix of a checkpoint's files."""
    return os.path.exists(path) or os.path.exists(f"{path}.index")
