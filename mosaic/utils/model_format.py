"""The format of the model at a path, without loading it or anything heavy."""

from __future__ import annotations

import os

from mosaic.utils import archives

_CONVERT = "which is not read; convert it to a SavedModel or a TFLite file, which run as they are"
# Bytes 4 to 8 of a TFLite file.
TFLITE_MARK = b"TFL3"
# Beginnings of files that stand in the place of models, in small letters.
_STARTS = (
    (b"version https://git-lfs", "it is a pointer of Git LFS; fetch the file with `git lfs pull`"),
    (b"<", "it is a web page or XML; download the file itself"),
    (b"pk\x03\x04", "it is a zip archive; unpack it"),
    (b"\x1f\x8b", "it is a gzip archive; unpack it"),
    (b"\x89hdf", "it is a file of Keras (HDF5); convert it"),
)
# Other files with networks, by their suffix, and what to do about each.
_OTHERS = {
    ".pb": "a graph alone; give the checkpoint that it is from, or the whole SavedModel folder",
    ".task": "a bundle of MediaPipe; unzip it and give the .tflite file in it",
    ".npz": "arrays of NumPy, which are no checkpoint",
    ".onnx": f"a network in ONNX, {_CONVERT}",
    ".zip": "a zip archive; unpack it",
    **dict.fromkeys((".mlmodel", ".mlpackage"), f"a network of Core ML, {_CONVERT}"),
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
    if not os.path.isfile(path):
        return None
    if not path.endswith(".tflite") and _start(path)[4:8] == TFLITE_MARK:
        return "a TFLite file under another name; let its name end in .tflite"
    return _OTHERS.get(os.path.splitext(path)[1].lower())


def kind_of(start: bytes) -> str:
    """Returns what a file is, by its first bytes, that should be a model, and what to do."""
    found = (told for mark, told in _STARTS if start.lstrip()[:64].lower().startswith(mark))
    return next(found, "") if start else "it is empty; copy it again"


def _start(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(8)
    except OSError:
        return b""  # whoever reads it tells why it cannot be read
