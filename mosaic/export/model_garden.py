"""Checkpoints that the Model Garden's own code can restore."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.checkpoints import diagnosis, loading, model_garden, model_garden_qat
from mosaic.models.variables import Variables, variable_name
from mosaic.utils import class_names
from mosaic.utils.atomic_io import replacing, write_text
from mosaic.utils.errors import RunError, UserError
from mosaic.utils.run_layout import RECORD
from mosaic.utils.segmentation_dataset import SegmentationDataset


def save(
    model: tf_keras.Model,
    folder: str,
    loaded: Variables | None = None,
    dataset: SegmentationDataset | None = None,
    record: str | None = None,
) -> str:
    """Writes a network as a checkpoint of the Model Garden's format, and reads it back to check it.

    The Garden restores it by `tf.train.Checkpoint(**model.checkpoint_items).read(prefix)`.

    Args:
      model: network of this project with the Garden's arithmetic
        (`mosaic.checkpoints.model_garden.unlike`).
      folder: folder for ckpt-{step}, 0 where no step is known, and a state file that names it.
      loaded: variables that the network was loaded from. The classification head of a Garden
        checkpoint, which no network here uses, is kept; without one it is blank. The Garden's own
        networks have it, and require it.
      dataset: data set whose class names and colours are written beside the checkpoint; they also
        mark it as this project's.
      record: text of the record of its run (`mosaic.checkpoints.run_record`), written beside it;
        None for none.

    Returns:
      The checkpoint's prefix.

    Raises:
      UserError: the Garden has no such network.
      RunError: the checkpoint reads differently from what was written; nothing is left under
        `folder`.
    """
    theirs = check(model, folder)
    values = {variable_name(variable): variable.numpy() for variable in model.variables}
    arrays = {theirs[name]: value for name, value in values.items()}
    if backbone := diagnosis.mobilenet(model):
        arrays.update(model_garden.blank_head(*backbone))
    if loaded and loaded.format.startswith("garden"):
        unread = (
            name
            for name in loaded.arrays
            if model_garden.is_unread(name, theirs.values())
            and not model_garden_qat.has_rounding([name])
        )
        arrays.update((name, loaded.arrays[name]) for name in unread)
    name = f"ckpt-{(loaded and loaded.step) or 0}"
    with replacing(folder) as aside:
        write(arrays, aside / name)
        # TensorFlow's own function would write the name of the temporary folder.
        (aside / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\n')
        found = loading.read(str(aside)).arrays
        if found.keys() != arrays.keys() or any(
            not np.array_equal(found[key], arrays[key], equal_nan=True) for key in arrays
        ):
            raise RunError(f"{folder}: the checkpoint reads otherwise than it was written")
        if dataset is not None:
            class_names.save(str(aside), dataset)
        if record:
            write_text(aside / RECORD, record)
    return os.path.join(folder, name)


def check(model: tf_keras.Model, folder: str) -> dict[str, str]:
    """Checks that the Model Garden has a network's form.

    Args:
      model: network of this project.
      folder: folder of the checkpoint, for the message.

    Returns:
      The Garden's name of each variable, by its name here.

    Raises:
      UserError: the Garden has no such network.
    """
    names = [variable_name(variable) for variable in model.variables]
    theirs = model_garden.names(names)
    lacking = sorted({name.rpartition("/")[0] for name in set(names) - theirs.keys()})
    reasons = [*(f"layers such as {name}" for name in lacking[:1]), *model_garden.unlike(model)]
    if reasons:
        raise UserError(
            f"{folder}: the Model Garden has no network like this one ({', '.join(reasons)})"
        )
    return theirs


def write(arrays: Mapping[str, np.ndarray], prefix: str | os.PathLike) -> None:
    """Writes an object checkpoint.

    Args:
      arrays: value of each variable, by the Garden's name.
      prefix: prefix of its files.
    """
    tree: dict = {}
    for name, array in arrays.items():
        *parents, last = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = tf.Variable(array)
    _checkpoint(tree).write(str(prefix))


def _checkpoint(tree: dict) -> tf.train.Checkpoint:
    children = {k: _checkpoint(v) if isinstance(v, dict) else v for k, v in tree.items()}
    return tf.train.Checkpoint(**children)
