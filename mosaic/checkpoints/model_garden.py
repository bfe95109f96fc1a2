"""The Model Garden's checkpoint format: its names of this project's variables.

The names are those of the Garden's object graph: attributes of its classes, `layer_with_weights-N`
in Keras models, and numbers in lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

import numpy as np
import tf_keras
from official.vision.modeling.backbones import mobilenet

from mosaic.models.inputs import NORMALIZATIONS
from mosaic.models.layers import Normalize
from mosaic.models.resizing import ALIGNED, HALF_PIXEL, rule_of

_VALUE = "VARIABLE_VALUE"
_ROOTS = ("backbone", "neck", "decoder", "head")
# Whole classification models have their backbone under the second name.
_ALIASES = {**{root: root for root in _ROOTS}, "_backbone": "backbone"}

# This project's layer names (regular expressions) and the Garden's name of the same layer: a format
# string for the numbers in the expression, or a function of all layer names of the network and
# these numbers, where the name needs arithmetic or depends on other layers.
Table = tuple[tuple[str, str | Callable[..., str]], ...]

# The blocks of the Garden's MobileNet number their layers.
MOBILENET: Table = (
    (r"backbone_(\d+)_(?:expand_)?conv", "backbone/layer_with_weights-{}/_conv0"),
    (r"backbone_(\d+)_(?:expand_)?bn", "backbone/layer_with_weights-{}/_norm0"),
    (r"backbone_(\d+)_spatial_depthwise", "backbone/layer_with_weights-{}/_conv1"),
    (r"backbone_(\d+)_spatial_bn", "backbone/layer_with_weights-{}/_norm1"),
    (r"backbone_(\d+)_project_conv", "backbone/layer_with_weights-{}/_conv2"),
    (r"backbone_(\d+)_project_bn", "backbone/layer_with_weights-{}/_norm2"),
)


def _resnet(place: str) -> Callable[..., str]:
    """Names blocks of a ResNet, numbered after each convolution and batch norm of the stem."""

    def name(layers: Collection[str], block: int) -> str:
        stem = sum(bool(re.fullmatch(r"backbone_stem\d_conv", layer)) for layer in layers)
        return f"backbone/layer_with_weights-{2 * stem + block}/{place}"

    return name


RESNET: Table = (
    (r"backbone_stem(\d)_conv", lambda layers, k: f"backbone/layer_with_weights-{2 * k}"),
    (r"backbone_stem(\d)_bn", lambda layers, k: f"backbone/layer_with_weights-{2 * k + 1}"),
    (r"backbone_block(\d+)_shortcut_conv", _resnet("_shortcut")),
    (r"backbone_block(\d+)_shortcut_bn", _resnet("_norm0")),
    (r"backbone_block(\d+)_reduce_conv", _resnet("_conv1")),
    (r"backbone_block(\d+)_reduce_bn", _resnet("_norm1")),
    (r"backbone_block(\d+)_spatial_conv", _resnet("_conv2")),
    (r"backbone_block(\d+)_spatial_bn", _resnet("_norm2")),
    (r"backbone_block(\d+)_expand_conv", _resnet("_conv3")),
    (r"backbone_block(\d+)_expand_bn", _resnet("_norm3")),
    (r"backbone_block(\d+)_se_reduce", _resnet("_squeeze_excitation/_se_reduce")),
    (r"backbone_block(\d+)_se_expand", _resnet("_squeeze_excitation/_se_expand")),
)

BACKBONE = MOBILENET + RESNET
# Lists in the encoder and decoder also number their activations: hence the gaps. The Garden's
# optional classifier ends with an activation: this project has no such layer.
_GROUP = "neck/_multi_kernel_group_conv/_conv_branches/{}"
MOSAIC: Table = (
    (r"encoder_group(\d)_spatial_depthwise", f"{_GROUP}/0"),
    (r"encoder_group(\d)_spatial_bn", f"{_GROUP}/1"),
    (r"encoder_group(\d)_project_conv", f"{_GROUP}/3"),
    (r"encoder_group(\d)_project_bn", f"{_GROUP}/4"),
    (r"encoder_bins1_conv", "neck/_global_pool_branch/1"),
    (r"encoder_bins1_bn", "neck/_global_pool_branch/2"),
    (r"encoder_project_conv", "neck/_encoder_projection/0"),
    (r"encoder_project_bn", "neck/_encoder_projection/1"),
    (r"decoder1_merge_conv", "head/_merge_stages/0/_feature_fusion_block/0"),
    (r"decoder1_merge_bn", "head/_merge_stages/0/_feature_fusion_block/1"),
    (r"decoder1_spatial_depthwise", "head/_merge_stages/0/_feature_fusion_block/3"),
    (r"decoder1_spatial_bn", "head/_merge_stages/0/_feature_fusion_block/4"),
    (r"decoder1_project_conv", "head/_merge_stages/0/_feature_fusion_block/6"),
    (r"decoder1_project_bn", "head/_merge_stages/0/_feature_fusion_block/7"),
    (r"decoder2_low_conv", "head/_merge_stages/1/_low_res_branch/0"),
    (r"decoder2_low_bn", "head/_merge_stages/1/_low_res_branch/1"),
    (r"decoder2_high_conv", "head/_merge_stages/1/_high_res_branch/0"),
    (r"decoder2_high_bn", "head/_merge_stages/1/_high_res_branch/1"),
)


def _pooling(layers: Collection[str]) -> str:
    """Names the image-level features: a model within a model, at the end of ASPP's list."""
    branches = sum(bool(re.fullmatch(r"aspp\d+_conv", layer)) for layer in layers)
    return f"decoder/aspp/aspp_layers/{branches}/layer_with_weights-0"


# The head's two lists have both halves of each depthwise separable convolution.
DEEPLAB: Table = (
    (r"aspp(\d+)_conv", "decoder/aspp/aspp_layers/{}/layer_with_weights-0"),
    (r"aspp(\d+)_bn", "decoder/aspp/aspp_layers/{}/layer_with_weights-1"),
    (r"aspp_pooling_conv", lambda layers: f"{_pooling(layers)}/layer_with_weights-0"),
    (r"aspp_pooling_bn", lambda layers: f"{_pooling(layers)}/layer_with_weights-1"),
    (r"aspp_project_conv", "decoder/aspp/projection/layer_with_weights-0"),
    (r"aspp_project_bn", "decoder/aspp/projection/layer_with_weights-1"),
    (r"decoder_low_conv", "head/_dlv3p_conv"),
    (r"decoder_low_bn", "head/_dlv3p_norm"),
    (r"head(\d+)_conv", "head/_convs/{}"),
    (r"head(\d+)_bn", "head/_norms/{}"),
    (r"head(\d+)_spatial_depthwise", lambda layers, k: f"head/_convs/{2 * k}"),
    (r"head(\d+)_spatial_bn", lambda layers, k: f"head/_norms/{2 * k}"),
    (r"head(\d+)_project_conv", lambda layers, k: f"head/_convs/{2 * k + 1}"),
    (r"head(\d+)_project_bn", lambda layers, k: f"head/_norms/{2 * k + 1}"),
    (r"logits", "head/_classifier"),
)


def layer_name(layer: str, layers: Collection[str]) -> str | None:
    """Returns the Garden's name of a layer, or None where it has no such layer.

    Args:
      layer: name of the layer in this project.
      layers: names of all layers of the network.
    """
    is_deeplab = any(name.startswith("aspp") for name in layers)
    for pattern, place in BACKBONE + (DEEPLAB if is_deeplab else MOSAIC):
        match = re.fullmatch(pattern, layer)
        if match:
            numbers = map(int, match.groups())
            return place(layers, *numbers) if callable(place) else place.format(*numbers)
    return None


def names(variables: Iterable[str]) -> dict[str, str]:
    """Returns the Garden's name of each variable of a network, as far as it has one.

    Args:
      variables: names of all variables of the network, such as `layer/kernel`.
    """
    split = {variable: variable.rpartition("/") for variable in variables}
    layers = {layer for layer, _, _ in split.values()}
    places = {layer: layer_name(layer, layers) for layer in layers}
    return {
        variable: f"{places[layer]}/{attribute}"
        for variable, (layer, _, attribute) in split.items()
        if places[layer]
    }


def is_unread(name: str, known: Collection[str]) -> bool:
    """Whether a Garden variable belongs to a MobileNet's classification head.

    That head is one or two 1x1 convolutions after the last block that a segmentation network uses;
    the Garden's segmentation networks have it although they do not use it.

    Args:
      name: name of the variable in the Garden.
      known: names of the network's variables in the Garden.
    """
    block = re.compile(r"backbone/layer_with_weights-(\d+)/_(?:conv|norm)\d/")
    match = re.match(r"backbone/layer_with_weights-(\d+)/_(?:conv|norm)0/", name)
    if not match:
        return False
    blocks = [int(found[1]) for found in map(block.match, known) if found]
    return bool(blocks) and int(match[1]) > max(blocks)


def blank_head(model_id: str, width_multiplier: float) -> dict[str, np.ndarray]:
    """Returns blank values for the variables of `is_unread`, by the Garden's names.

    The Garden's segmentation networks have these variables and require them in a checkpoint.

    Args:
      model_id: id of a MobileNet in the Garden's table.
      width_multiplier: factor of its numbers of filters.
    """
    specs = mobilenet.block_spec_decoder(
        specs=mobilenet.SUPPORTED_SPECS_MAP[model_id], filter_size_scale=width_multiplier
    )
    specs = [spec for spec in specs if spec.filters]
    read = max(index for index, spec in enumerate(specs) if spec.is_output) + 1
    arrays = {}
    for index, spec in enumerate(specs[read:], read):
        block, size = f"backbone/layer_with_weights-{index}", spec.kernel_size
        shape = (size, size, specs[index - 1].filters, spec.filters)
        arrays[f"{block}/_conv0/kernel"] = np.zeros(shape, np.float32)
        if spec.use_bias:
            arrays[f"{block}/_conv0/bias"] = np.zeros(spec.filters, np.float32)
        if spec.use_normalization:
            for name in ("gamma", "beta", "moving_mean", "moving_variance"):
                value = 1.0 if name in ("gamma", "moving_variance") else 0.0
                arrays[f"{block}/_norm0/{name}"] = np.full(spec.filters, value, np.float32)
    return arrays


def variables(graph) -> dict[str, str]:
    """Finds the network in the object graph of a Garden checkpoint.

    The keys of a checkpoint do not help: each is the shortest path to a variable, which may lead
    through a classification model, an optimizer or a moving average.

    Args:
      graph: `TrackableObjectGraph` of the network's parts alone, of a trainer, or of a whole model.

    Returns:
      The checkpoint's keys by the Garden's names, from `backbone`, `neck`, `decoder` or `head` on;
      empty where the graph has none of these parts.
    """
    starts = {0: graph.nodes[0]}
    starts.update((c.node_id, graph.nodes[c.node_id]) for c in starts[0].children)
    for start in starts.values():
        parts = {child.local_name: child.node_id for child in start.children}
        found = {_ALIASES[name]: node for name, node in parts.items() if name in _ALIASES}
        if found:
            return {
                name: key
                for root, node in found.items()
                for name, key in _below(graph, node, root).items()
            }
    return {}


def _below(graph, start: int, root: str) -> dict[str, str]:
    """Keys of all variables below a node of the object graph, by the shortest name of each."""
    paths, queue, found = {start: root}, [start], {}
    for node in queue:
        for attribute in graph.nodes[node].attributes:
            if attribute.name == _VALUE:
                found[paths[node]] = attribute.checkpoint_key
        for child in graph.nodes[node].children:
            if child.node_id not in paths:
                paths[child.node_id] = f"{paths[node]}/{child.local_name}"
                queue.append(child.node_id)
    return found


def told(settings: Collection[str]) -> str:
    """Returns what a user is told about the settings that `unlike` lists."""
    return (
        f"the Model Garden trains its networks with other settings of {', '.join(settings)} than "
        "this network's; leave them at their defaults"
    )


def unlike(model: tf_keras.Model) -> list[str]:
    """Lists the settings that make a network compute something else than the Garden's.

    A checkpoint does not show them. Of the dilations only a MobileNet's first one is checked:
    output strides may differ.
    """
    layers = {layer.name: layer for layer in model.layers}
    differences = []
    for layer in layers.values():
        if isinstance(layer, Normalize) and (layer.mean, layer.std) != NORMALIZATIONS["imagenet"]:
            differences.append("normalization")
    if (rule := rule_of(model)) != HALF_PIXEL:
        differences.append("align_corners" if rule == ALIGNED else "half_pixel_centers")
    dilated = [
        name
        for name, layer in layers.items()
        if re.fullmatch(r"backbone_\d+_spatial_depthwise", name) and max(layer.dilation_rate) > 1
    ]
    # The Garden dilates 4 blocks at output stride 16 and 11 at 8, counting the first one.
    if len(dilated) in (3, 10):
        differences.append("first_atrous_dilation")
    for name, setting in (
        ("encoder_concat", "backbone_map_first"),
        ("aspp_concat", "pooling_first"),
    ):
        first = layers[name].input[0].node.layer.name if name in layers else ""
        if first.endswith("_resize"):
            differences.append(setting)
    return differences
