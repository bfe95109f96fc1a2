"""Checkpoints of this project, from weights of any form."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.checkpoints import loading
from mosaic.models.variables import Variables, variable_name
from mosaic.utils import class_names
from mosaic.utils.atomic_io import replacing, write_text
from mosaic.utils.errors import RunError
from mosaic.utils.run_layout import CONFIG, RECORD
from mosaic.utils.segmentation_dataset import SegmentationDataset


def save(
    model: tf_keras.Model,
    folder: str,
    loaded: Variables | None = None,
    dataset: SegmentationDataset | None = None,
    configuration: str | None = None,
    record: str | None = None,
) -> str:
    """Writes a network as a checkpoint like a run's best, and reads it back to check it.

    Args:
      model: network to write.
      folder: folder for ckpt-{step}, 0 where no step is known, and a state file that names it.
      loaded: variables that the network was loaded from, which tell the step.
      dataset: data set whose class names and colours are written beside the checkpoint.
      configuration: path of the run's config.gin, which is copied; None for none.
      record: text of the record of its run, written beside it; None for none.

    Returns:
      The checkpoint's prefix.

    Raises:
      RunError: the checkpoint reads differently from what was written; nothing is left under
        `folder`.
    """
    step = (loaded and loaded.step) or 0
    with replacing(folder) as aside:
        steps = tf.Variable(step, dtype=tf.int64)
        checkpoint = tf.train.Checkpoint(model=model, global_step=steps)
        manager = tf.train.CheckpointManager(checkpoint, str(aside), 1, checkpoint_name="ckpt")
        manager.save(checkpoint_number=step)
        # TensorFlow's own function wrote the name of the temporary folder.
        (aside / "checkpoint").write_text(f'model_checkpoint_path: "ckpt-{step}"\n')
        found = loading.read(str(aside)).arrays
        for variable in model.variables:
            value = found.get(variable_name(variable))
            if value is None or not np.array_equal(value, variable.numpy(), equal_nan=True):
                raise RunError(f"{folder}: the checkpoint reads otherwise than it was written")
        if dataset is not None:
            class_names.save(str(aside), dataset)
        if configuration:
            write_text(aside / CONFIG, pathlib.Path(configuration).read_text("utf-8"))
        if record:
            write_text(aside / RECORD, record)
    return os.path.join(folder, f"ckpt-{step}")
