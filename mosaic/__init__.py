"""Networks, training, evaluation and export for mobile semantic segmentation.

`load`, `build`, `train`, `score` and `export_model` are for use from Python: those of
`mosaic.api`, imported when one of them is first asked for, since TensorFlow takes seconds.
"""

import functools
import importlib
import os

# TensorFlow's log (such as: no GPU found) does not help users; its errors are raised.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_OF_API = ("Segmenter", "UserError", "build", "export_model", "load", "score", "train")


def __getattr__(name: str):
    if name not in _OF_API:
        raise AttributeError(f"module 'mosaic' has no attribute {name!r}")
    return getattr(_api(), name)


@functools.cache
def _api():
    """The module `mosaic.api`, imported without a change of matplotlib's backend.

    A module of the Model Garden switches it, and a notebook would show no pictures from then on.
    """
    import matplotlib

    before = dict.__getitem__(matplotlib.rcParams, "backend")  # without choosing one
    api = importlib.import_module("mosaic.api")
    if isinstance(before, str):
        matplotlib.use(before)
    else:
        dict.__setitem__(matplotlib.rcParams, "backend", before)
    return api


def __dir__() -> list[str]:
    return sorted([*globals(), *_OF_API])
