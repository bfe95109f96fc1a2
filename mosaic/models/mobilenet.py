"""MobileNet backbones as plain layers, laid out from the Model Garden's own block tables.

These are MobileNetV2 (arXiv 1801.04381), V3 (arXiv 1905.02244) with squeeze and excitation, the
EdgeTPU form of V3 with its fused convolutions, and MobileNetMultiAVG.

The Garden's `MobileNet` class nests custom blocks, which quantization-aware training, pruning and a
readable summary cannot look into, and it has no option that keeps dilation 1 in the first block
whose stride is removed, as in MLPerf's files. So only its tables are used
(`official.vision.modeling.backbones.mobilenet.SUPPORTED_SPECS_MAP`); the layers are made here. A
test compares the two networks number by number.
"""

from __future__ import annotations

import tf_keras
from official.vision.modeling.backbones import mobilenet as garden
from official.vision.modeling.layers import nn_layers

from mosaic.models.layers import Norm, conv_bn, depthwise_bn, squeeze_excitation
from mosaic.utils.errors import nearest

INITIALIZER = "VarianceScaling"


def _with_half_the_last_filters(table: dict) -> dict:
    """MobileNetV3-Large for segmentation: half the filters from the last stride on (section 6.4).

    The Garden has this table of V3-Small only. The first of the blocks keeps three times its input
    in the middle instead of six times, as research/deeplab's `mobilenet_v3_large_seg` does.
    """
    schema = table["block_spec_schema"]
    filters, expansion, strides = map(schema.index, ("filters", "expand_ratio", "strides"))
    rows = [list(row) for row in table["block_specs"]]
    start = max(k for k, row in enumerate(rows) if row[strides] == 2)
    end = next(k for k, row in enumerate(rows) if row[0] == "gpooling")
    for row in rows[start:end]:
        row[filters] //= 2
    rows[start][expansion] /= 2
    return {**table, "block_specs": [tuple(row) for row in rows]}


TABLES = {
    **garden.SUPPORTED_SPECS_MAP,
    "MobileNetV3LargeReducedFilters": _with_half_the_last_filters(garden.MNV3Large_BLOCK_SPECS),
}


def mobilenet(
    x,
    norm: Norm,
    model_id: str = "MobileNetMultiAVGSeg",
    output_stride: int = 16,
    first_atrous_dilation: int = 2,
    width_multiplier: float = 1.0,
    width_divisor: int = 8,
    last_conv: bool = False,
    name: str = "backbone",
) -> dict[str, object]:
    """Applies a MobileNet to a tensor of normalised images.

    The classification head after the last endpoint is left out.

    Args:
      x: Keras tensor [batch, height, width, 3].
      norm: batch normalisation and weight decay. Depthwise kernels are not decayed.
      model_id: key of `TABLES`, of a model of convolutions and inverted bottlenecks.
      output_stride: largest stride of the maps; after it is reached, strides become dilations.
      first_atrous_dilation: dilation of the first block whose stride is removed: the Garden uses
        what the later blocks use (2), MLPerf's files 1.
      width_multiplier: factor of every block's number of filters.
      width_divisor: number of which the multiplied numbers of filters are rounded to a multiple.
      last_conv: whether the 1x1 convolution that follows the last block belongs to the last map, as
        in research/deeplab's networks on MobileNetV3 and MobileNet-EdgeTPU.
      name: prefix of the layers' names; block k is `{name}_{k:02}`.

    Returns:
      Endpoints by name: `"2"` to `"5"` are the last feature maps with stride 2**2 to 2**5 (at
      output stride 16, `"4"` is the last of all), as in the Garden; `"{level}/depthwise"` is the
      activation after the depthwise convolution of the same block, before squeeze and excitation.

    Raises:
      ValueError: the table has no such id, or holds a block of another kind.
    """
    blocks = _blocks(model_id, width_multiplier, width_divisor, last_conv)
    endpoints: dict[str, object] = {}
    stride, rate, level = 1, 1, 2
    for index, block in enumerate(blocks):
        block_name = f"{name}_{index:02}"
        block_stride, dilation = block.strides, rate
        if stride == output_stride and block.strides > 1:
            # Later blocks whose stride is removed keep the dilation reached so far.
            block_stride, dilation = 1, first_atrous_dilation if rate == 1 else rate
            rate *= block.strides
        stride *= block_stride
        depthwise = None
        if block.block_fn == "convbn":
            x = conv_bn(
                norm,
                block_name,
                block.filters,
                block.kernel_size,
                block_stride,
                activation=block.activation,
                initializer=INITIALIZER,
            )(x)
        elif block.block_fn == "invertedbottleneck":
            x, depthwise = _inverted_bottleneck(x, norm, block, block_stride, dilation, block_name)
        else:
            raise ValueError(f"{model_id}: block {index} ({block.block_fn}) is not supported")
        if block.is_output:
            endpoints[str(level)] = x
            if depthwise is not None:
                endpoints[f"{level}/depthwise"] = depthwise
            if stride != output_stride:
                level += 1
    # The convolution after the last block is no output in the Garden's tables.
    endpoints[max(name for name in endpoints if "/" not in name)] = x
    return endpoints


def _blocks(model_id: str, width: float, divisor: int, last_conv: bool) -> list:
    """The blocks in use, as the Garden reads its tables."""
    if model_id not in TABLES:
        raise ValueError(f"unknown backbone {model_id!r}{nearest(model_id, TABLES)}")
    blocks = garden.block_spec_decoder(
        specs=TABLES[model_id],
        filter_size_scale=width,
        divisible_by=divisor,
        finegrain_classification_mode=False,
    )
    used = max(k for k, block in enumerate(blocks, 1) if block.is_output)
    if last_conv and blocks[used].block_fn != "convbn":
        raise ValueError(f"{model_id}: no convolution follows the last block (last_conv)")
    return blocks[: used + last_conv]


def _inverted_bottleneck(x, norm: Norm, block, strides: int, dilation: int, name: str):
    """Expansion, depthwise convolution, projection, residual; also returns the depthwise output."""
    shortcut = x
    # MobileNet-EdgeTPU's first blocks have one ordinary convolution for the first two.
    fused = not block.use_depthwise
    if block.expand_ratio > 1:
        expanded = nn_layers.make_divisible(x.shape[-1] * block.expand_ratio, 8)
        x = conv_bn(
            norm,
            f"{name}_expand",
            expanded,
            block.kernel_size if fused else 1,
            strides if fused else 1,
            activation=block.activation,
            initializer=INITIALIZER,
        )(x)
    if not fused:
        x = depthwise_bn(
            norm,
            f"{name}_spatial",
            block.kernel_size,
            strides,
            dilation,
            activation=block.activation,
            initializer=INITIALIZER,
            decay=False,
        )(x)
    spatial = x
    if block.se_ratio:
        squeezed = nn_layers.make_divisible(x.shape[-1] * block.se_ratio, 8)
        x = squeeze_excitation(x, norm, f"{name}_se", squeezed, "hard_sigmoid", INITIALIZER)
    x = conv_bn(norm, f"{name}_project", block.filters, activation=None, initializer=INITIALIZER)(x)
    if block.use_residual and strides == 1 and shortcut.shape[-1] == block.filters:
        x = tf_keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return x, spatial
