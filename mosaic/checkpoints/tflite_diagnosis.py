"""Which settings of DeepLab fit a TFLite file: read from its graph, and tried before told."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import gin
import numpy as np
from official.vision.modeling.layers import nn_layers

from mosaic import config
from mosaic.checkpoints.diagnosis import WIDTHS, Settings
from mosaic.models import resizing
from mosaic.models.inputs import NORMALIZATIONS
from mosaic.tflite import graph, graph_from_file, graph_from_keras, graph_matching
from mosaic.tflite.graph import Node
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.errors import UserError

_SELECTOR = "networks.deeplab"
_FIRST_FILTERS = 32  # of MobileNetV2, before its width is multiplied


def fitting(file: TFLiteModel, classes_apart: bool = False) -> str:
    """Says which settings the configured DeepLab must have for a file to fit it.

    Args:
      file: TFLite file that does not fit it.
      classes_apart: whether the classifier may be of other classes.

    Returns:
      A text such as "it fits `deeplab.output_stride = 16`", with the settings that differ from the
      configured ones; empty where no DeepLab is configured or none was found.
    """
    try:
        name = config.network()
        if gin.query_parameter(name).selector not in (_SELECTOR, "deeplab"):
            return ""
        here = config.arguments(name)
        outputs = graph_from_file.read(file)
    except (UserError, ValueError):
        return ""
    build = gin.get_configurable(_SELECTOR)
    for there in _candidates(outputs, here):
        different = {k: v for k, v in there.items() if not _equal(here[k], v)}
        if classes_apart:
            different.pop("num_classes", None)
        if different and _fits(build, {**different, "num_classes": there["num_classes"]}, outputs):
            told = [
                f"`NUM_CLASSES = {v}`" if k == "num_classes" else f"`deeplab.{k} = {v!r}`"
                for k, v in different.items()
            ]
            return f"it fits {', '.join(told)}"
    return ""


def _equal(one, other) -> bool:
    return list(one) == list(other) if isinstance(other, tuple) else one == other


def _fits(build, settings: Settings, outputs: tuple[Node, ...]) -> bool:
    """Whether a file's graph is that of the configured network with other settings."""
    try:
        network = graph_from_keras.of_model(build(**settings))
        graph_matching.paired(network, outputs, "", ("",))
    except (UserError, ValueError):
        return False
    return True


def _candidates(outputs: tuple[Node, ...], here: Settings) -> Iterator[Settings]:
    """Settings that a file shows, with each way of those that it leaves open."""
    nodes = graph.ancestors(outputs)
    convolutions = [node for node in nodes if node.kind in ("conv", "depthwise")]
    if not convolutions:
        return
    settings: Settings = {
        "num_classes": convolutions[-1].shape.channels[1],
        "output_stride": math.prod(node.shape.stride[0] for node in convolutions),
        **_rule(nodes),
        **_head(nodes),
        **_normalization(nodes, here),
    }
    if settings["output_stride"] not in (8, 16, 32):
        return
    widths = _widths(convolutions[0].shape.channels[1], here)
    firsts = dict.fromkeys((here["first_atrous_dilation"], 1, 2))
    for (width, divisor), first in itertools.product(widths, firsts):
        multiplied = {"width_multiplier": width, "width_divisor": divisor}
        yield settings | multiplied | {"first_atrous_dilation": first}


def _widths(filters: int, here: Settings) -> list[tuple[float, int]]:
    """Width multipliers and divisors with that many filters in the first convolution."""
    configured = (here["width_multiplier"], here["width_divisor"])
    every = [configured, (1.0, 8), *((w, divisor) for w in WIDTHS[1:] for divisor in (8, 1))]
    return [
        (width, divisor)
        for width, divisor in dict.fromkeys(every)
        if nn_layers.round_filters(_FIRST_FILTERS, width, divisor, 8) == filters
    ]


def _rule(nodes: Sequence[Node]) -> Settings:
    """The rule of the resizes, if all show one."""
    resizes = [node.options for node in nodes if node.kind == "resize"]
    rules = {rule for options in resizes if options != resizing.RULES for rule in options}
    if len(rules) != 1:
        return {}
    aligned = rules == {resizing.ALIGNED}
    half = {} if aligned else {"half_pixel_centers": rules == {resizing.HALF_PIXEL}}
    return {"align_corners": aligned} | half


def _head(nodes: Sequence[Node]) -> Settings:
    """ASPP's order and filters, and whether there is a decoder."""
    concats = [node for node in nodes if node.kind == "concat"]
    if not concats:
        return {}
    after = next(node for node in nodes if concats[0] in node.inputs)
    decoder = len(concats) > 1
    return {
        "pooling_first": concats[0].inputs[0].kind == "resize",
        "aspp_filters": after.shape.channels[1] if after.kind == "conv" else None,
        "decoder": decoder,
        "head_convs": 2 if decoder else 0,
    }


def _normalization(nodes: Sequence[Node], here: Settings) -> Settings:
    """The normalisation of the input, if the file shows one that is known here."""
    inputs = [node.content for node in nodes if node.kind == "input"]
    if not inputs or not inputs[0].known:
        return {}
    for name, (mean, std) in NORMALIZATIONS.items():
        scale, offset = 1 / np.array(std), -np.array(mean) / np.array(std)
        white = np.abs(255 * (inputs[0].scale - scale) + inputs[0].offset - offset)
        if np.max(white) < 0.1 and np.max(np.abs(inputs[0].offset - offset)) < 0.1:
            return {"normalization": name}
    return {}
