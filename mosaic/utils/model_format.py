"""The format of the model at a path, without loading it or anything heavy."""

from __future__ import annotations

import os

from mosaic.utils import archives

_CONVERT = "which is not read; convert it to a SavedModel or a TFLite file, which run as they are"
# Other files with networks, by their suffix, and what to do about each.
_OTHERS = {
    ".pb": "a graph alone; give the checkpoint that it is from, or the whole SavedModel folder",
    ".onnx": f"a network in ONNX, {_CONVERT}",
    ".zip": "a zip archive; unpack it",
    **dict.fromkeys((".h5", ".hdf5", ".keras"), f"a network of Keras, {_CONVERT}"),
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".safetensors"), f"PyTorch's weights, {_CONVERT}"),
}


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


def other_format(path: str) -> str | None:
    """Returns what a file is whose format is not read, and what to do; None where that is open."""
    suffix = os.path.splitext(path)[1].lower()
    return _OTHERS.get(suffix) if os.path.isfile(path) else None
