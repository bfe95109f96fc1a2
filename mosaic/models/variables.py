"""Variables by name: those of a model, and those of a checkpoint or a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Variables:
    """Variables of a checkpoint or of a TFLite file.

    Attributes:
      path: path of the checkpoint, as the user named it.
      format: `mosaic` (this project's), `garden` (the Model Garden's), `garden_qat` (the same after
        quantization-aware training), `research` (research/deeplab's) or `tflite`
        (`mosaic.tflite.weights`).
      step: training step at which it was saved, or None where it does not say.
      arrays: value of each variable, by a name such as `encoder_project_conv/kernel`. Those of the
        formats `garden` and `garden_qat` have the Garden's names, from `backbone`, `neck`,
        `decoder` or `head` on, and those of `research` the names of
        `mosaic.checkpoints.research_deeplab`.
    """

    path: str
    format: str
    step: int | None
    arrays: Mapping[str, np.ndarray]


def variable_name(variable: tf.Variable) -> str:
    """Returns a model variable's name without the output index: `layer/kernel`."""
    return variable.name.removesuffix(":0")
