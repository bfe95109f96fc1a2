"""Which form a path to a model has, without loading it or anything heavy."""

from __future__ import annotations

import os


def form_of(path: str) -> str:
    """Returns what a path names: `tflite`, `saved_model`, or `network` for a checkpoint."""
    if path.endswith(".tflite"):
        return "tflite"
    is_saved = any(os.path.exists(os.path.join(path, f"saved_model.{e}")) for e in ("pb", "pbtxt"))
    return "saved_model" if is_saved else "network"
