"""Which settings of a network fit a TFLite file: read from its graph, and tried before told."""

from __future__ import annotations

import gin

from mosaic import config
from mosaic.checkpoints import tflite_settings
from mosaic.checkpoints.diagnosis import Settings
from mosaic.tflite import graph_from_file, graph_from_keras, graph_matching
from mosaic.tflite.graph import Node
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.errors import UserError


def fitting(file: TFLiteModel, classes_apart: bool = False) -> str:
    """Says which settings the configured MOSAIC or DeepLab must have for a file to fit it.

    Args:
      file: TFLite file that does not fit it.
      classes_apart: whether the classifier may be of other classes.

    Returns:
      A text such as "it fits `deeplab.output_stride = 16`", with the settings that differ from the
      configured ones; empty where another network is configured or none were found.
    """
    try:
        name = config.network()
        kind = gin.query_parameter(name).selector.removeprefix("networks.")
        here = config.arguments(name)
        outputs = graph_from_file.read(file)
    except (UserError, ValueError):
        return ""
    for there in tflite_settings.candidates(kind, outputs, here):
        different = {k: v for k, v in there.items() if not _equal(here[k], v)}
        if classes_apart:
            different.pop("num_classes", None)
        if different and _fits(kind, {**different, "num_classes": there["num_classes"]}, outputs):
            told = [
                f"`NUM_CLASSES = {v}`" if k == "num_classes" else f"`{kind}.{k} = {v!r}`"
                for k, v in different.items()
            ]
            return f"it fits {', '.join(told)}"
    return ""


def _equal(one, other) -> bool:
    both = (list, tuple)
    if isinstance(one, both) and isinstance(other, both):
        return list(one) == list(other)
    return one == other


def _fits(kind: str, settings: Settings, outputs: tuple[Node, ...]) -> bool:
    """Whether a file's graph is that of the configured network with other settings."""
    try:
        model = gin.get_configurable(f"networks.{kind}")(**settings)
        network = graph_from_keras.of_model(model)
        graph_matching.paired(network, outputs, "", ("",))
    except (UserError, ValueError):
        return False
    return True
