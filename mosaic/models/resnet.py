"""Dilated ResNet backbones as plain layers, made from the Model Garden's own table.

The Garden's `DilatedResNet` nests custom blocks, as its `MobileNet` does (see
`mosaic.models.mobilenet`); only its table of stages is used, from
`official.vision.modeling.backbones.resnet_deeplab`. A test compares the two networks number by
number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import gin
import tf_keras
from official.vision.modeling.backbones import resnet_deeplab as garden

from mosaic.models.layers import Dropout, Norm, conv_bn, squeeze_excitation
from mosaic.models.mobilenet import INITIALIZER
from mosaic.utils.settings import AT_LEAST_0, BELOW_1, Count

# Names of the backbones, and the Garden's model ids, which are numbers of layers.
DILATED_RESNETS = {f"DilatedResNet{depth}": depth for depth in garden.RESNET_SPECS}

# (filters, kernel, strides) of the convolutions before the first pooling.
STEMS = {"v0": ((64, 7, 2),), "v1": ((64, 3, 2), (64, 3, 1), (128, 3, 1))}


@gin.configurable(module="networks")
def dilated_resnet(
    x,
    norm: Norm,
    depth: int,
    output_stride: int = 16,
    activation: str = "relu",
    stem: str = "v1",
    multigrid: Sequence[Count] = (1, 2, 4),
    se_ratio: Annotated[float, AT_LEAST_0] = 0.0,
    stochastic_depth: Annotated[float, BELOW_1] = 0.0,
    name: str = "backbone",
) -> dict[str, object]:
    """Applies a ResNet whose last stages keep the resolution to a tensor of normalised images.

    The defaults are those of the Model Garden's registered experiments. No layer's name or shape
    depends on `output_stride`.

    Args:
      x: Keras tensor [batch, height, width, 3].
      norm: batch normalisation and weight decay, which all kernels have.
      depth: number of layers, a value of `DILATED_RESNETS`.
      output_stride: largest stride of the maps, 8, 16 or 32; later stages have dilation 2, 4 and so
        on instead of a stride.
      activation: activation of all convolutions but those of squeeze and excitation.
      stem: key of `STEMS`: `v0`, one convolution of 7x7, or `v1`, three of 3x3.
      multigrid: factor of the dilation of each block of the last stage (DeepLabv3, section 3.2.1),
        where that stage is dilated.
      se_ratio: number of filters of squeeze and excitation, as a fraction of the block's; 0 for
        none.
      stochastic_depth: fraction of examples for which training leaves out a residual of the last
        stage; earlier stages have less, in proportion. 0 for none.
      name: prefix of the layers' names: `{name}_stem{i}` and `{name}_block{k:02}`, where k counts
        the blocks of all stages.

    Returns:
      Endpoints by name: `"2"` to `"5"` are the last feature maps with stride 2**2 to 2**5.

    Raises:
      ValueError: unknown stem, or a multigrid that does not fit the last stage.
    """
    stages = garden.RESNET_SPECS[depth]
    if stem not in STEMS:
        raise ValueError(f"stem {stem!r} is not one of {', '.join(STEMS)}")
    if len(multigrid) != stages[-1][-1]:
        raise ValueError(f"multigrid {tuple(multigrid)} must have {stages[-1][-1]} values")
    for index, (filters, kernel, strides) in enumerate(STEMS[stem]):
        x = conv_bn(
            norm,
            f"{name}_stem{index}",
            filters,
            kernel,
            strides,
            activation=activation,
            initializer=INITIALIZER,
        )(x)
    x = tf_keras.layers.MaxPool2D(3, 2, padding="same", name=f"{name}_stem_pool")(x)
    endpoints: dict[str, object] = {}
    number, level, rate = 0, 2, 1
    for stage, (_, filters, repeats) in enumerate(stages):
        strides = 2 if stage else 1
        if strides == 2 and 2**level == output_stride:
            strides, rate = 1, 2 * rate
        elif strides == 2:
            level += 1
        last = stage == len(stages) - 1
        for index in range(repeats):
            x = _bottleneck(
                x,
                norm,
                f"{name}_block{number:02}",
                filters,
                strides if index == 0 else 1,
                rate * multigrid[index] if last and rate > 1 else rate,
                index == 0,
                activation,
                se_ratio,
                # The Garden counts the stem and the first pooling as two stages.
                stochastic_depth * (stage + 2) / (len(stages) + 1),
            )
            number += 1
        endpoints[str(level)] = x
    return endpoints


def _bottleneck(
    x, norm, name, filters, strides, dilation, projection, activation, se_ratio, drop_rate
):
    """1x1 convolution, 3x3, 1x1 to four times the filters, and the shortcut."""

    def conv(unit, filters, kernel=1, strides=1, dilation=1, activation=activation):
        return conv_bn(
            norm, f"{name}_{unit}", filters, kernel, strides, dilation, activation, INITIALIZER
        )

    shortcut = x
    if projection:
        shortcut = conv("shortcut", 4 * filters, strides=strides, activation=None)(x)
    x = conv("reduce", filters)(x)
    x = conv("spatial", filters, 3, strides, dilation)(x)
    x = conv("expand", 4 * filters, activation=None)(x)
    if se_ratio:
        squeezed = max(1, int(4 * filters * se_ratio))
        x = squeeze_excitation(x, norm, f"{name}_se", squeezed, "sigmoid", INITIALIZER)
    if drop_rate:
        x = Dropout(drop_rate, per_example=True, name=f"{name}_drop")(x)
    x = tf_keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return tf_keras.layers.Activation(activation, name=f"{name}_{activation}")(x)
