"""Which form a path to a model has, without loading it or anything heavy."""

from __future__ import annotations

import os


def form_of(path: str) -> str:
    """Returns what a path names: `tflite`, `saved_model`, or `network` for a checkpoint."""
    if path.endswith(".tflite"):
        return "tflite"
    is_saved = any(os.path.exists(os.path.join(path, f"saved_model.{e}")) for e in ("pb", "pbtxt"))
    return "saved_model" if is_saved else "network"


def is_there(path: str) -> bool:
    """Tells whether a path names a file or folder, or is the prefix of a checkpoint's files."""
    return os.path.exists(path) or os.path.exists(f"{path}.index")
