"""Variables by name: those of a model, and what a checkpoint or a file has for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Variables:
    """What a checkpoint holds.

    Attributes:
      path: the checkpoint as the user named it.
      format: `mosaic` (this project's), `garden` or `tflite` (`mosaic.tflite.weights`).
      step: the training step it was saved at, or None where it does not say.
      arrays: variable names, such as `encoder_project_conv/kernel`, and values. Those of the format
        `garden` have the Garden's names, from `backbone`, `neck`, `decoder` or `head` on.
    """

    path: str
    format: str
    step: int | None
    arrays: Mapping[str, np.ndarray]


def variable_name(variable: tf.Variable) -> str:
    """Returns a model variable's name without the output index: `layer/kernel`."""
    return variable.name.removesuffix(":0")
