"""Shapes of a checkpoint's kernels by this project's names of their layers, whatever its format."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set

from mosaic.checkpoints import model_garden, research_deeplab

Shape = tuple[int, ...]

MOST = 70  # Largest number of blocks, branches or convolutions of one kind in a network.
# Layers whose kernels show the settings.
_MOBILENET = ("backbone_{:02}_spatial_depthwise", "backbone_{:02}_project_conv")
_RESNET = (
    *("backbone_stem{}_conv", "backbone_block{:02}_spatial_conv"),
    *("backbone_block{:02}_expand_conv", "backbone_block{:02}_se_reduce"),
)
_XCEPTION = (
    *("backbone_entry{}_conv", "backbone_block{:02}_sep2_project_conv"),
    "backbone_block{:02}_sep3_project_conv",
)
_MOSAIC = (
    *("encoder_group{}_spatial_depthwise", "encoder_group{}_project_conv", "encoder_bins1_conv"),
    *("encoder_project_conv", "decoder1_merge_conv", "decoder1_project_conv"),
    *("decoder2_low_conv", "decoder2_high_conv"),
)
_DEEPLAB = (
    *("aspp{}_conv", "aspp_pooling_conv", "aspp_project_conv", "decoder_low_conv", "logits"),
    *("head{}_conv", "head{}_spatial_depthwise", "head{}_project_conv"),
)
_SEPARABLE_ASPP = ("aspp{}_spatial_depthwise",)
_LRASPP = ("aspp0_conv", "gate_conv", "logits_high", "logits_low")


def ours(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Returns the shape of each layer's kernel, by this project's name of the layer."""
    return {
        name.rpartition("/")[0]: shape
        for name, shape in shapes.items()
        if name.endswith(("/kernel", "/depthwise_kernel"))
    }


def of_garden(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Returns as `ours` the layers of a Garden checkpoint that this project has a name for."""
    is_deeplab = any(name.startswith("decoder/aspp/") for name in shapes)
    # A MobileNet's first convolution is in a block.
    is_resnet = "backbone/layer_with_weights-0/kernel" in shapes
    backbone = _RESNET if is_resnet else ("backbone_{:02}_conv", *_MOBILENET)
    templates = backbone + (_DEEPLAB if is_deeplab else _MOSAIC)
    candidates = {t.format(k): None for k in range(MOST) for t in templates}
    found: dict[str, Shape] = {}
    # Twice, since the Garden's name of a layer may depend on which other layers there are.
    for _ in range(2):
        known: Collection[str] = found or list(candidates)
        found = {}
        for layer in candidates:
            attribute = "depthwise_kernel" if layer.endswith("depthwise") else "kernel"
            shape = shapes.get(f"{model_garden.layer_name(layer, known)}/{attribute}")
            if shape is not None:
                found[layer] = shape
    return found


def of_research(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Returns as `ours` the layers of a checkpoint of research/deeplab."""
    is_lraspp = "image_pooling/biases" in shapes
    head = _LRASPP if is_lraspp else _DEEPLAB + _SEPARABLE_ASPP
    templates = ("backbone_00_conv", *_MOBILENET, *_XCEPTION, *head)
    found: dict[str, Shape] = {}
    for layer in dict.fromkeys(t.format(k) for k in range(MOST) for t in templates):
        attribute = "depthwise_weights" if layer.endswith("depthwise") else "weights"
        shape = shapes.get(f"{research_deeplab.layer_name(layer)}/{attribute}")
        # The first block is the one after the first convolution.
        is_block = not layer.startswith("backbone_00_") or layer == "backbone_00_conv"
        if shape is not None and is_block:
            found[layer] = shape
    if last := shapes.get("backbone/Conv_1/weights"):
        blocks = sum(layer.startswith("backbone_") and "project" in layer for layer in found)
        found[f"backbone_{blocks + 1:02}_conv"] = last
    return found


def of_backbone(kernels: Mapping[str, Shape]) -> Set[tuple[str, Shape]]:
    """Returns the layers of the backbone that show the settings, with their shapes."""
    # Without `backbone_{:02}_conv`: the Garden keeps other blocks' expansion under the same name.
    templates = _MOBILENET + _RESNET + _XCEPTION
    names = {t.format(k) for k in range(MOST) for t in templates}
    return {item for item in kernels.items() if item[0] in names}
