"""The names of the files in a run's folder."""

from __future__ import annotations

import fnmatch
import os

from mosaic.utils.errors import UserError, check_regular

# What the run was, step by step (`mosaic.checkpoints.run_record`); exports have it too.
RECORD = "record.jsonl"
# The operative configuration, which is enough to repeat the run.
CONFIG = "config.gin"
# The best network by `METRIC` on the validation split.
BEST_FOLDER = "best_ckpt"
METRIC = "mean_iou"
SAVED_MODEL = "saved_model"
# All that is read again, as patterns; checkpoints are TensorFlow's.
_READ = ("*.gin", "*.json", "*.jsonl", "checkpoint", "ckpt-*")


def check_files(model_dir: str) -> None:
    """Checks that nothing that is read in a run's folder is a pipe or a device.

    Raises:
      UserError: it is one.
    """
    for folder in (model_dir, os.path.join(model_dir, BEST_FOLDER)):
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in _READ):
                check_regular(os.path.join(folder, name))


def default_checkpoint(model_dir: str) -> str:
    """Returns the checkpoint of a run to evaluate or export: the best, or else the latest.

    Raises:
      UserError: there is no checkpoint yet, or a file of the run is a pipe or a device.
    """
    check_files(model_dir)
    for folder in (os.path.join(model_dir, BEST_FOLDER), model_dir):
        if os.path.exists(os.path.join(folder, "checkpoint")):
            return folder
    raise UserError(f"{model_dir}: no checkpoint in it yet")
