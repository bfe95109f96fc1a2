"""Networks, training, evaluation and export for mobile semantic segmentation.

`load`, `build`, `train`, `score` and `export_model` are for use from Python: those of
`mosaic.api`, imported when one of them is first asked for, since TensorFlow takes seconds.
"""

import importlib
import os

# TensorFlow's log (such as: no GPU found) does not help users; its errors are raised.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_OF_API = ("Segmenter", "UserError", "build", "export_model", "load", "score", "train")


def __getattr__(name: str):
    if name not in _OF_API:
        raise AttributeError(f"module 'mosaic' has no attribute {name!r}")
    return getattr(importlib.import_module("mosaic.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_OF_API])
