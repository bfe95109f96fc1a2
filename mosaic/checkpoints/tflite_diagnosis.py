"""Which settings of a network fit a TFLite file: read from its graph, and tried before told."""

from __future__ import annotations

import gin

from mosaic import config
from mosaic.checkpoints import alike, tflite_settings
from mosaic.checkpoints.diagnosis import TITLES, Settings
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
      configured ones, and the experiments that have them; empty where none were found.
    """
    try:
        own = gin.query_parameter(config.network()).selector.rpartition(".")[2]
        outputs = graph_from_file.read(file)
    except (UserError, ValueError):
        return ""
    here = config.arguments(config.network())
    for there in tflite_settings.candidates(own, outputs, here):
        different = {k: v for k, v in there.items() if not _equal(here[k], v)}
        if classes_apart:
            different.pop("num_classes", None)
        if different and _fits(own, {**here, **there}, outputs):
            are_classes_alone = list(different) == ["num_classes"]
            as_in = alike.told(own, _named(own, there), are_classes_alone)
            return f"it fits {', '.join([*_said(own, different), *filter(None, [as_in])])}"
    return _of_another(outputs)


def _of_another(outputs: tuple[Node, ...]) -> str:
    """Says which network a file fits that no settings of the configured one fit."""
    for kind in tflite_settings.KINDS:
        declared = config.parameters(f"networks.{kind}")
        defaults = {name: parameter.default for name, parameter in declared.items()}
        for there in tflite_settings.candidates(kind, outputs, defaults):
            if _fits(kind, {**defaults, **there}, outputs):
                if as_in := alike.told(kind, _named(kind, there)):
                    return f"it is of {TITLES[kind]}, {as_in}"
                different = {k: v for k, v in there.items() if not _equal(defaults[k], v)}
                start = f"it is of {TITLES[kind]} and fits `train.model = @{kind}()`"
                return ", ".join([start, *_said(kind, different)])
    return ""


def _said(kind: str, settings: Settings) -> list[str]:
    return [f"`{name} = {value!r}`" for name, value in _named(kind, settings).items()]


def _named(kind: str, settings: Settings) -> Settings:
    """Settings by the names that gin has for them."""
    return {
        alike.CLASSES if name == "num_classes" else f"{kind}.{name}": value
        for name, value in settings.items()
    }


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
