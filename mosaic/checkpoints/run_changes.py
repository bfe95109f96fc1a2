"""Changes of configuration with which a run cannot go on."""

from __future__ import annotations

import os
from collections.abc import Sequence

import tf_keras

from mosaic import config
from mosaic.models.variables import Variables, variable_name
from mosaic.utils import class_names
from mosaic.utils.errors import UserError


def check_network(folder: str, model: tf_keras.Model, saved: Variables) -> None:
    """Raises a UserError where a network is not the one that a run's checkpoint is from.

    TensorFlow would restore what fits, and training would go on with new weights in the rest.
    """
    ours = {variable_name(variable): tuple(variable.shape) for variable in model.variables}
    theirs = {name: array.shape for name, array in saved.arrays.items()}
    if saved.format != "mosaic" or ours == theirs:
        return
    changed = said(config.network_changes(folder))
    if not changed:
        names = sorted(k for k in ours.keys() | theirs if ours.get(k) != theirs.get(k))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        changed = f"they differ in {', '.join(names[:3])}{more}"
    raise UserError(
        f"{folder}: its checkpoints are from another network: {changed}; set it back, or take "
        "another --model_dir"
    )


def check_optimizer(folder: str) -> None:
    """Raises a UserError where the optimizer is not the one that a run's checkpoint is from.

    Momentum and averages of one optimizer mean nothing to another, which would begin without any.
    """
    if changed := said(config.optimizer_changes(folder)):
        raise UserError(
            f"{folder}: its checkpoints are from another optimizer: {changed}; what it keeps of "
            "the steps before does not fit: set it back, or take another --model_dir, with "
            "INIT_CHECKPOINT to start from this network"
        )


def check_classes(folder: str, names: Sequence[str]) -> None:
    """Raises a UserError where a class of the network now is another one than in its run so far."""
    file = os.path.join(folder, class_names.FILE)
    if not names or not os.path.isfile(file):
        return
    with open(file, "rb") as text:
        before = class_names.parse(text.read(), file).class_names
    for index, (one, other) in enumerate(zip(before, names)):
        if one != other:
            raise UserError(
                f"{folder}: class {index} of its network is {one!r}, and {other!r} in the data; "
                "take the label map of the steps before, or another --model_dir"
            )


def said(changes: Sequence[tuple[str, str, str]]) -> str:
    """Returns changes of settings as text: name, and the values before and now."""
    return "; ".join(f"{name} was {before}, and is {now}" for name, before, now in changes)
