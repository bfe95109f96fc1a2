"""MobileNet backbones as plain layers, laid out from the Model Garden's own block tables.

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

from mosaic.models.layers import Norm, conv_bn, depthwise_bn
from mosaic.utils.errors import nearest

INITIALIZER = "VarianceScaling"


def mobilenet(
    x,
    norm: Norm,
    model_id: str = "MobileNetMultiAVGSeg",
    output_stride: int = 16,
    first_atrous_dilation: int = 2,
    width_multiplier: float = 1.0,
    width_divisor: int = 8,
    name: str = "backbone",
) -> dict[str, object]:
    """Applies a MobileNet to a tensor of normalised images.

    The classification head (the last 1x1 convolution after the last endpoint) is left out: no
    segmentation network uses it.

    Args:
      x: Keras tensor [batch, height, width, 3].
      norm: batch normalisation and weight decay. Depthwise kernels are not decayed.
      model_id: key of the Garden's table, of a model of convolutions and inverted bottlenecks.
      output_stride: largest stride of the maps; after it is reached, strides become dilations.
      first_atrous_dilation: dilation of the first block whose stride is removed: the Garden uses
        what the later blocks use (2), MLPerf's files 1.
      width_multiplier: factor of every block's number of filters.
      width_divisor: number of which the multiplied numbers of filters are rounded to a multiple.
      name: prefix of the layers' names; block k is `{name}_{k:02}`.

    Returns:
      Endpoints by name: `"2"` to `"5"` are the last feature maps with stride 2**2 to 2**5 (at
      output stride 16, `"4"` is the last of all), as in the Garden; `"{level}/depthwise"` is the
      activation after the depthwise convolution of the same block.

    Raises:
      ValueError: the table has no such id, or holds a block of another kind.
    """
    if model_id not in garden.SUPPORTED_SPECS_MAP:
        raise ValueError(
            f"unknown backbone {model_id!r}{nearest(model_id, garden.SUPPORTED_SPECS_MAP)}"
        )
    blocks = garden.block_spec_decoder(
        specs=garden.SUPPORTED_SPECS_MAP[model_id],
        filter_size_scale=width_multiplier,
        divisible_by=width_divisor,
    )
    while not blocks[-1].is_output:
        blocks.pop()
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
        elif block.block_fn == "invertedbottleneck" and not block.se_ratio:
            x, depthwise = _inverted_bottleneck(x, norm, block, block_stride, dilation, block_name)
        else:
            raise ValueError(f"{model_id}: block {index} ({block.block_fn}) is not supported")
        if block.is_output:
            endpoints[str(level)] = x
            if depthwise is not None:
                endpoints[f"{level}/depthwise"] = depthwise
            if stride != output_stride:
                level += 1
    return endpoints


def _inverted_bottleneck(x, norm: Norm, block, strides: int, dilation: int, name: str):
    """Expansion, depthwise convolution, projection, residual; also returns the depthwise output."""
    shortcut = x
    if block.expand_ratio > 1:
        expanded = nn_layers.make_divisible(x.shape[-1] * block.expand_ratio, 8)
        x = conv_bn(
            norm,
            f"{name}_expand",
            expanded,
            activation=block.activation,
            initializer=INITIALIZER,
        )(x)
    x = depthwise = depthwise_bn(
        norm,
        f"{name}_spatial",
        block.kernel_size,
        strides,
        dilation,
        activation=block.activation,
        initializer=INITIALIZER,
        decay=False,
    )(x)
    x = conv_bn(norm, f"{name}_project", block.filters, activation=None, initializer=INITIALIZER)(x)
    if block.use_residual and strides == 1 and shortcut.shape[-1] == block.filters:
        x = tf_keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return x, depthwise
