"""Xception-65 as DeepLabv3+ has it (arXiv 1802.02611, section 3.2 and figure 4), as plain layers.

The Model Garden has no Xception. The arithmetic is that of research/deeplab's `xception_65`.
"""

from __future__ import annotations

import tf_keras

from mosaic.models.layers import Norm, activation_layer, conv_bn, depthwise_bn
from mosaic.models.mobilenet import INITIALIZER

XCEPTION = "Xception65"

# (filters of the three separable convolutions, stride, shortcut, activations) of each unit, in
# which activations stand before each separable convolution, or inside, after both of its halves.
_UNITS = (
    ((128, 128, 128), 2, "conv", "before"),
    ((256, 256, 256), 2, "conv", "before"),
    ((728, 728, 728), 2, "conv", "before"),
    *[((728, 728, 728), 1, "sum", "before")] * 16,
    ((728, 1024, 1024), 2, "conv", "before"),
    ((1536, 1536, 2048), 1, None, "inside"),
)


def xception(
    x, norm: Norm, output_stride: int = 16, activation: str = "relu", name: str = "backbone"
) -> dict[str, object]:
    """Applies Xception-65 to a tensor of normalised images.

    No layer's name or shape depends on `output_stride`.

    Args:
      x: Keras tensor [batch, height, width, 3].
      norm: batch normalisation and weight decay. Depthwise kernels are not decayed.
      output_stride: largest stride of the maps, 8, 16 or 32. The first unit whose stride is removed
        keeps its dilation; the dilation of those after it doubles.
      activation: activation of all convolutions.
      name: prefix of the layers' names; unit k of all flows is `{name}_block{k:02}`.

    Returns:
      Endpoints by name: the last map as `"3"`, `"4"` or `"5"` by its stride of 2**3 to 2**5, and
      `"2"`, the output of the second separable convolution of the unit that begins with stride 4,
      which DeepLabv3+'s decoder takes.
    """
    x = conv_bn(norm, f"{name}_entry0", 32, 3, 2, 1, activation, INITIALIZER, "centred")(x)
    x = conv_bn(norm, f"{name}_entry1", 64, 3, 1, 1, activation, INITIALIZER)(x)
    endpoints: dict[str, object] = {}
    stride, rate = 2, 1
    for index, (filters, strides, shortcut, place) in enumerate(_UNITS):
        dilation = rate
        if stride == output_stride:
            strides, rate = 1, rate * strides
        stride *= strides
        unit = f"{name}_block{index:02}"
        x, second = _unit(x, norm, unit, filters, strides, dilation, shortcut, place, activation)
        if index == 1:
            endpoints["2"] = second
    endpoints[str(stride.bit_length() - 1)] = x
    return endpoints


def _unit(x, norm, name, filters, strides, dilation, shortcut, place, activation):
    """Three separable convolutions and their shortcut; also returns the output of the second."""
    source, outputs = x, []
    inside = activation if place == "inside" else None
    for index, depth in enumerate(filters, 1):
        part = f"{name}_sep{index}"
        if place == "before":
            x = activation_layer(activation, f"{part}_{activation}")(x)
        step = strides if index == len(filters) else 1
        padding = "centred" if step > 1 else "same"
        x = depthwise_bn(
            norm,
            f"{part}_spatial",
            3,
            step,
            dilation,
            inside,
            INITIALIZER,
            decay=False,
            padding=padding,
        )(x)
        x = conv_bn(norm, f"{part}_project", depth, 1, 1, 1, inside, INITIALIZER)(x)
        outputs.append(x)
    if shortcut == "conv":
        source = conv_bn(norm, f"{name}_shortcut", filters[-1], 1, strides, 1, None, INITIALIZER)(
            source
        )
    if shortcut:
        x = tf_keras.layers.Add(name=f"{name}_add")([x, source])
    return x, outputs[1]
