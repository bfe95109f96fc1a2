"""Settings of MOSAIC and DeepLab that the graph of a TFLite file shows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from official.vision.modeling.layers import nn_layers

from mosaic.checkpoints.diagnosis import WIDTHS, Settings, depthwise_sizes
from mosaic.models import resizing
from mosaic.models.inputs import NORMALIZATIONS
from mosaic.models.mobilenet import TABLES
from mosaic.tflite import graph
from mosaic.tflite.graph import Node, Pool

# MobileNets of published DeepLab files, and the filters of their first convolution, before the
# width is multiplied.
_MOBILENETS, _FIRST_FILTERS = ("MobileNetV2", "MobileNetV3EdgeTPU"), 32


def candidates(kind: str, outputs: tuple[Node, ...], here: Settings) -> Iterator[Settings]:
    """Settings that a file shows, with each way of those that it leaves open.

    Args:
      kind: name of a network; for those that are not in `KINDS` there are none.
      outputs: the file's outputs, as `mosaic.tflite.graph_from_file.read` returns them.
      here: the configured settings of the network.
    """
    nodes = graph.ancestors(outputs)
    read = KINDS.get(kind)
    try:
        found = list(read(nodes, here)) if read else ()
    except (LookupError, AttributeError, TypeError, ValueError):
        # The file is of another kind of network.
        return
    for settings in found:
        shown = {**settings, **_rule(nodes), **_normalization(nodes, here)}
        yield {name: value for name, value in shown.items() if name in here}


def pooling_limit(outputs: tuple[Node, ...]) -> float | None:
    """The value at which a file cuts DeepLab's image-level features; None where it has none.

    Args:
      outputs: the file's outputs, as for `candidates`.
    """
    nodes = graph.ancestors(outputs)
    features = (
        source.inputs[0]
        for node in nodes
        if node.kind == "concat"
        for source in node.inputs
        if _is_resize(source)
    )
    limits = [
        node.limit
        for node in features
        if node.kind == "conv" and node.inputs[0].kind == "pool" and node.limit
    ]
    return max(limits, default=None)


def _mosaic(nodes: Sequence[Node], here: Settings) -> Iterator[Settings]:
    concats = [n for n in nodes if n.kind == "concat" and any(_is_resize(i) for i in n.inputs)]
    encoder, decoder = concats
    branches = [node.inputs[0] for node in encoder.inputs if _is_resize(node)]
    levels = {branch: _bins(_before(branch, "pool").shape) for branch in branches}
    grouped = [branch for branch in branches if levels[branch] > 1]
    groups = grouped[0].inputs
    firsts = [branch.inputs[0].inputs[0].content.kernel for branch in grouped]
    merge, last = _after(decoder, nodes), nodes[-1]
    deep = _channels(_after(_after(merge, nodes), nodes))
    total = _before(last, "add")
    projected = (deep, max(map(_channels, total.inputs)))
    classes = _channels(last) if last.kind == "conv" else projected[1]
    settings: Settings = {
        "num_classes": classes,
        "branch_filters": tuple(map(_channels, groups)),
        "kernel_sizes": tuple(group.inputs[0].shape.kernel[0] for group in groups),
        # The global branch is concatenated last, and named first.
        "bins": tuple(sorted(levels.values(), key=lambda level: level > 1)),
        "backbone_map_first": not _is_resize(encoder.inputs[0]),
        "decoder_filters": _channels(merge),
        "projected_filters": None if projected == (classes, classes) else projected,
    }
    if len(firsts) > 1:
        settings["shared_group_convs"] = np.array_equal(*firsts[:2])
    for dilation in dict.fromkeys((here["first_atrous_dilation"], 1, 2)):
        yield settings | {"first_atrous_dilation": dilation}


def _is_resize(node: Node) -> bool:
    return node.kind == "resize"


def _bins(pool: Pool) -> int:
    """Number of windows along an axis."""
    return (pool.size[0] - pool.window[0]) // pool.stride[0] + 1


def _before(node: Node, kind: str) -> Node:
    """The next node of a kind on the way to the input."""
    while node.kind != kind:
        node = node.inputs[0]
    return node


def _after(node: Node, nodes: Sequence[Node]) -> Node:
    """The first node that a node is an input of."""
    found = [other for other in nodes if node in other.inputs]
    return found[0]


def _channels(node: Node) -> int:
    """Number of channels of the output of a convolution, or of its resize."""
    node = node.inputs[0] if _is_resize(node) else node
    first, second = node.shape.channels
    return first * second if node.kind == "depthwise" else second


def _deeplab(nodes: Sequence[Node], here: Settings) -> Iterator[Settings]:
    convolutions = [node for node in nodes if node.kind in ("conv", "depthwise")]
    settings: Settings = {
        "num_classes": convolutions[-1].shape.channels[1],
        "output_stride": math.prod(node.shape.stride[0] for node in convolutions),
        **_head(nodes),
    }
    if settings["output_stride"] not in (8, 16, 32):
        return
    widths = _widths(convolutions[0].shape.channels[1], here)
    firsts = dict.fromkeys((here["first_atrous_dilation"], 1, 2))
    for backbone, (width, divisor), first in itertools.product(
        _backbones(convolutions, here["backbone"]), widths, firsts
    ):
        multiplied = {"width_multiplier": width, "width_divisor": divisor}
        yield settings | {"backbone": backbone} | multiplied | {"first_atrous_dilation": first}


def _backbones(convolutions: Sequence[Node], configured: str) -> list[str]:
    """The MobileNets whose depthwise convolutions have the sizes of a file's first ones."""
    sizes = [node.shape.kernel[0] for node in convolutions if node.kind == "depthwise"]
    found = []
    for name in dict.fromkeys((configured, *_MOBILENETS)):
        own = depthwise_sizes(name) if name in TABLES else None
        if own and own == sizes[: len(own)]:
            found.append(name)
    return found


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
    (aspp0,) = [node for node in concats[0].inputs if node.kind == "conv"]
    features, decoder = aspp0.inputs[0], len(concats) > 1
    return {
        "pooling_first": _is_resize(concats[0].inputs[0]),
        "last_conv": features.kind == "conv" and "linear" not in features.options,
        "aspp_filters": _channels(_after(concats[0], nodes)),
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


# Networks whose settings are read.
KINDS = {"deeplab": _deeplab, "mosaic": _mosaic}
