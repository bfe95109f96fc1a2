"""What of a checkpoint belongs into a network: the value of each variable, or why none fits."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.checkpoints import diagnosis, model_garden, model_garden_qat, research_deeplab
from mosaic.models import quantization_aware
from mosaic.models.variables import Variables, variable_name
from mosaic.utils.errors import UserError

# Number of variables of each kind that a message names.
_TOLD = 8
# Tables of names of formats that are not this project's.
TABLES = {
    "garden": model_garden,
    "garden_qat": model_garden_qat,
    "research": research_deeplab,
}


def pairs(
    model: tf_keras.Model,
    checkpoint: Variables,
    prefixes: tuple[str, ...],
    optional: Collection[str] = (),
) -> tuple[list[tuple[tf.Variable, np.ndarray]], frozenset[str]]:
    """Finds the value of each variable of a network in a checkpoint.

    Args:
      model: network of this project.
      checkpoint: variables of a checkpoint.
      prefixes: beginnings of the names of the variables that are wanted.
      optional: names of layers that are left out, all of them, where one of them has another shape
        there or is missing.

    Returns:
      (pairs of variables and values, names of the layers that were left out).

    Raises:
      UserError: other variables have no counterpart or differ in shape.
    """
    path = checkpoint.path
    names = [variable_name(variable) for variable in model.variables]
    table = TABLES.get(checkpoint.format)
    theirs = table.names(names) if table else {name: name for name in names}
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            raise UserError(f"init_prefixes: no variable of the network begins with {prefix!r}")
    found, missing, wrong, left_out = [], [], [], []
    for ours, variable in zip(names, model.variables):
        if not ours.startswith(prefixes):
            continue
        array = checkpoint.arrays.get(theirs.get(ours))
        layer = _layer(variable)
        if layer in optional and (array is None or array.shape != tuple(variable.shape)):
            left_out.append(layer)
        elif array is None:
            missing.append(f"{ours} {tuple(variable.shape)}")
        elif array.shape != tuple(variable.shape):
            wrong.append(f"{ours} is {tuple(variable.shape)} here and {array.shape} there")
        else:
            found.append((variable, array))
    known = set(theirs.values())
    unused = [
        f"{name} {array.shape}"
        for name, array in sorted(checkpoint.arrays.items())
        if "" in prefixes and name not in known and not (table and table.is_unread(name, known))
    ]
    if missing or wrong or unused:
        raise UserError(f"{path}: {_difference(model, checkpoint, missing, wrong, unused)}")
    network = quantization_aware.float_network(model)
    if table and "" in prefixes and (settings := table.unlike(network)):
        raise UserError(f"{path}: {table.told(settings)}")
    if left_out:
        found = [pair for pair in found if _layer(pair[0]) not in optional]
    return found, frozenset(optional if left_out else ())


def _some(items: list[str]) -> str:
    """The first of the items, and how many more there are."""
    more = len(items) - _TOLD
    return ", ".join(items[:_TOLD]) + (f" and {more} more" if more > 0 else "")


def _layer(variable: tf.Variable) -> str:
    return variable_name(variable).rpartition("/")[0]


def _difference(
    model: tf_keras.Model,
    checkpoint: Variables,
    missing: list[str],
    wrong: list[str],
    unused: list[str],
) -> str:
    """Says why a checkpoint does not fit a network, and which network it would fit."""
    lists = (
        ("of another shape", wrong),
        ("not in the checkpoint", missing),
        ("only in the checkpoint", unused),
    )
    is_backbone = all(name.startswith("backbone/") for name in checkpoint.arrays)
    if is_backbone and not (wrong or unused or any(m.startswith("backbone_") for m in missing)):
        return (
            "a backbone alone, without the rest of a network; to start training from it, set "
            "`train.init_prefixes = ('backbone_',)`"
        )
    shapes = {name: array.shape for name, array in checkpoint.arrays.items()}
    fitting = diagnosis.fitting(model, shapes, checkpoint.format)
    detail = "; ".join(f"{len(items)} {what}: {_some(items)}" for what, items in lists if items)
    return f"the checkpoint does not fit this network{fitting and '; ' + fitting}: {detail}"
