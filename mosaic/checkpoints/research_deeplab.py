"""The checkpoint format of research/deeplab (TensorFlow 1): its names of this project's variables.

Variables are kept by name there, without an object graph. The names are those of TF-Slim's scopes:
those of the backbone begin with the backbone's own name, for which `backbone` stands here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping

import tf_keras

from mosaic.models.inputs import NORMALIZATIONS
from mosaic.models.layers import Normalize
from mosaic.models.resizing import ALIGNED, rule_of

# Scopes of backbones, and what follows a variable's name where it is not the variable itself.
_BACKBONES = r"(?:Mobilenet(?:V2|V3|EdgeTPU)|xception_\d+|resnet_v1_\d+)"
_NOT_WEIGHTS = re.compile(
    r"/(?:Momentum|Adam(?:_1)?|RMSProp(?:_1)?|ExponentialMovingAverage|biased"
    r"|local_step)$|(?:^|/)(?:global_step|learning_rate)$"
)
_ATTRIBUTES = {
    "kernel": "weights",
    "depthwise_kernel": "depthwise_weights",
    "bias": "biases",
    **{name: f"BatchNorm/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")},
}

# This project's layer names (regular expressions) and the scope of the same layer, a format string
# for the numbers in the expression or a function of them.
Table = tuple[tuple[str, str | Callable[..., str]], ...]


def _block(part: str) -> Callable[[int], str]:
    """Names a block of a MobileNet: the first has no number. The first convolution is no block."""
    return lambda index: f"backbone/expanded_conv{f'_{index - 1}' if index > 1 else ''}/{part}"


MOBILENET: Table = (
    (r"backbone_00_(?:conv|bn)", "backbone/Conv"),
    (r"backbone_\d+_(?:conv|bn)", "backbone/Conv_1"),
    (r"backbone_(\d+)_expand_(?:conv|bn)", _block("expand")),
    (r"backbone_(\d+)_spatial_(?:depthwise|bn)", _block("depthwise")),
    (r"backbone_(\d+)_se_reduce", _block("squeeze_excite/Conv")),
    (r"backbone_(\d+)_se_expand", _block("squeeze_excite/Conv_1")),
    (r"backbone_(\d+)_project_(?:conv|bn)", _block("project")),
)


def _unit(part: str) -> Callable[..., str]:
    """Names a unit of Xception, which counts by flow and block: 3 blocks, 16 units, 2 blocks."""

    def name(index: int, *numbers: int) -> str:
        if index < 3:
            place = f"entry_flow/block{index + 1}/unit_1"
        elif index < 19:
            place = f"middle_flow/block1/unit_{index - 2}"
        else:
            place = f"exit_flow/block{index - 18}/unit_1"
        return f"backbone/{place}/xception_module/{part.format(*numbers)}"

    return name


XCEPTION: Table = (
    (r"backbone_entry(\d)_(?:conv|bn)", lambda index: f"backbone/entry_flow/conv1_{index + 1}"),
    (
        r"backbone_block(\d+)_sep(\d)_spatial_(?:depthwise|bn)",
        _unit("separable_conv{}_depthwise"),
    ),
    (r"backbone_block(\d+)_sep(\d)_project_(?:conv|bn)", _unit("separable_conv{}_pointwise")),
    (r"backbone_block(\d+)_shortcut_(?:conv|bn)", _unit("shortcut")),
)
DEEPLAB: Table = (
    (r"aspp_pooling_(?:conv|bn)", "image_pooling"),
    (r"aspp(\d+)_(?:conv|bn)", "aspp{}"),
    (r"aspp(\d+)_spatial_(?:depthwise|bn)", "aspp{}_depthwise"),
    (r"aspp(\d+)_project_(?:conv|bn)", "aspp{}_pointwise"),
    (r"aspp_project_(?:conv|bn)", "concat_projection"),
    (r"decoder_low_(?:conv|bn)", "decoder/feature_projection0"),
    (r"head(\d+)_spatial_(?:depthwise|bn)", "decoder/decoder_conv{}_depthwise"),
    (r"head(\d+)_project_(?:conv|bn)", "decoder/decoder_conv{}_pointwise"),
    (r"logits", "logits/semantic"),
)
LRASPP: Table = (
    (r"gate_conv", "image_pooling"),
    (r"logits_high", "decoder/decoder_conv0"),
    (r"logits_low", "decoder/feature_projection0"),
)
TABLES = MOBILENET + XCEPTION + DEEPLAB + LRASPP


def layer_name(layer: str) -> str | None:
    """Returns research/deeplab's scope of a layer, or None where it has no such layer."""
    for pattern, place in TABLES:
        match = re.fullmatch(pattern, layer)
        if match:
            numbers = map(int, match.groups())
            return place(*numbers) if callable(place) else place.format(*numbers)
    return None


def names(variables: Iterable[str]) -> dict[str, str]:
    """Returns research/deeplab's name of each variable of a network, as far as it has one.

    Args:
      variables: names of all variables of the network, such as `layer/kernel`.
    """
    found = {}
    for variable in variables:
        layer, _, attribute = variable.rpartition("/")
        scope = layer_name(layer)
        if scope and attribute in _ATTRIBUTES:
            found[variable] = f"{scope}/{_ATTRIBUTES[attribute]}"
    return found


def variables(keys: Collection[str]) -> dict[str, str]:
    """Finds the network in a checkpoint of TensorFlow 1.

    Args:
      keys: names of all its tensors.

    Returns:
      The checkpoint's names by those used here, in which `backbone` stands for the backbone's own
      scope; empty where it has none of research/deeplab's backbones.
    """
    found = {
        re.sub(rf"^{_BACKBONES}/", "backbone/", key): key
        for key in keys
        if not _NOT_WEIGHTS.search(key)
    }
    return found if any(name.startswith("backbone/") for name in found) else {}


def is_unread(name: str, known: Collection[str]) -> bool:
    """Whether a variable belongs to the head of a classification network.

    Args:
      name: name of the variable, as `variables` gives it.
      known: names of the network's variables.
    """
    classifier = re.match(r"backbone/(?:Logits|logits|Conv_\d)/", name)
    return bool(classifier) and not any(other.startswith(classifier[0]) for other in known)


def told(settings: Collection[str]) -> str:
    """Returns what a user is told about the settings that `unlike` lists."""
    return f"research/deeplab trains its networks with {', '.join(settings)}; set them"


def unlike(model: tf_keras.Model) -> list[str]:
    """Lists the settings that make a network compute something else than research/deeplab's.

    A checkpoint does not show them. Of the dilations only a MobileNet's first one is checked:
    output strides may differ.
    """
    layers: Mapping[str, tf_keras.layers.Layer] = {layer.name: layer for layer in model.layers}
    differences = []
    for layer in layers.values():
        if isinstance(layer, Normalize) and (layer.mean, layer.std) != NORMALIZATIONS["symmetric"]:
            differences.append("normalization = 'symmetric'")
    if rule_of(model) != ALIGNED:
        differences.append("align_corners = True")
    if "aspp0_bn" in layers and round(layers["aspp0_bn"].epsilon, 9) != 1e-5:
        differences.append("head_norm_epsilon = 1e-5")
    dilated = [
        match[1]
        for name, layer in layers.items()
        if (match := re.fullmatch(r"(backbone_\d+)_spatial_depthwise", name))
        and max(layer.dilation_rate) > 1
    ]
    # The first block whose stride is removed is the one that changes the number of channels.
    if dilated and f"{dilated[0]}_add" not in layers:
        differences.append("first_atrous_dilation = 1")
    first = layers["aspp_concat"].input[0].node.layer.name if "aspp_concat" in layers else ""
    if first == "aspp0_relu":
        differences.append("pooling_first = True")
    return differences
