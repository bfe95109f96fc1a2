"""The names of the files in a run's folder."""

from __future__ import annotations

import os

from mosaic.utils.errors import UserError

# What the run was, step by step (`mosaic.checkpoints.run_record`); exports have it too.
RECORD = "record.jsonl"
# The operative configuration, which is enough to repeat the run.
CONFIG = "config.gin"
# The best network by `METRIC` on the validation split.
BEST_FOLDER = "best_ckpt"
METRIC = "mean_iou"
SAVED_MODEL = "saved_model"


def default_checkpoint(model_dir: str) -> str:
    """Returns the checkpoint of a run to evaluate or export: the best, or else the latest.

    Raises:
      UserError: there is no checkpoint yet.
    """
    for folder in (os.path.join(model_dir, BEST_FOLDER), model_dir):
        if os.path.exists(os.path.join(folder, "checkpoint")):
            return folder
    raise UserError(f"{model_dir}: no checkpoint in it yet")
