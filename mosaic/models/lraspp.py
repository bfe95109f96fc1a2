"""LR-ASPP, the segmentation head of MobileNetV3 (arXiv 1905.02244, section 6.4 and figure 10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import gin
import tf_keras

from mosaic.models.inputs import image_input
from mosaic.models.layers import Dropout, HardSigmoid, Norm, conv_bn
from mosaic.models.mobilenet import INITIALIZER, mobilenet
from mosaic.models.pooling import PoolWindows
from mosaic.models.resizing import ResizeLike
from mosaic.utils.settings import AT_LEAST_0, BELOW_1, CLASSES, FRACTION, SIZE, WIDTH, Count


@gin.configurable(module="networks")
def lraspp(
    num_classes: Annotated[int, CLASSES],
    backbone: str = "MobileNetV3LargeReducedFilters",
    width_multiplier: Annotated[float, WIDTH] = 1.0,
    output_stride: int = 32,
    first_atrous_dilation: Count = 1,
    filters: Count = 128,
    low_level: str = "3/depthwise",
    pooling_window: Annotated[Sequence[int], SIZE] = (769, 769),
    pooling_strides: Annotated[Sequence[int], SIZE] = (4, 5),
    half_pixel_centers: bool = False,
    align_corners: bool = True,
    normalization: str = "symmetric",
    dropout: Annotated[float, BELOW_1] = 0.0,
    weight_decay: Annotated[float, AT_LEAST_0] = 0.0,
    norm_momentum: Annotated[float, FRACTION] = 0.997,
    norm_epsilon: Annotated[float, AT_LEAST_0] = 0.001,
    head_norm_momentum: Annotated[float, FRACTION] = 0.9997,
    head_norm_epsilon: Annotated[float, AT_LEAST_0] = 1e-5,
    synchronized_norm: bool = True,
) -> tf_keras.Model:
    """Builds a MobileNetV3 with LR-ASPP as plain layers in a functional model.

    The backbone's last map goes through a 1x1 convolution, which is gated by averages over large
    windows; of that and of a map of stride 8, 1x1 convolutions make logits, which are added. The
    defaults are those of research/deeplab's networks for Cityscapes. No layer's name or shape
    depends on `output_stride`.

    Args:
      num_classes: number of logits per pixel.
      backbone: name of a MobileNet, as for `mosaic.models.mobilenet.mobilenet`; its table's last
        1x1 convolution belongs to it.
      width_multiplier: factor of the backbone's numbers of filters.
      output_stride: stride of the backbone's last map: 8, 16 or 32.
      first_atrous_dilation: dilation of the first block whose stride is removed.
      filters: number of filters of the gated 1x1 convolution, 128 in the paper.
      low_level: endpoint of the backbone whose logits are added.
      pooling_window: (height, width), in pixels of the image, of the windows that are averaged; a
        smaller image is averaged as a whole. 769x769 makes 25x25 cells of stride 32.
      pooling_strides: (vertical, horizontal) distance from one window to the next, in cells of the
        backbone's last map.
      half_pixel_centers: rule of the bilinear resizes; False is TensorFlow 1's.
      align_corners: whether corners are aligned in the bilinear resizes instead.
      normalization: normalisation of the input, a key of `mosaic.models.inputs.NORMALIZATIONS`.
      dropout: dropout rate of the gated features, 0 to 1.
      weight_decay: L2 weight decay as in `tf.nn.l2_loss`, for all kernels but depthwise ones.
      norm_momentum: momentum of batch normalisation's moving averages in the backbone, 0 to 1.
      norm_epsilon: number that batch normalisation adds to the variance in the backbone.
      head_norm_momentum: the same momentum after the backbone.
      head_norm_epsilon: the same number after the backbone.
      synchronized_norm: whether replicas share their batch statistics.

    Returns:
      A model from RGB images [batch, height, width, 3] in 0..255 to logits [batch, height / 8,
      width / 8, num_classes], rounded up, float32. Height and width may differ from call to call.

    Raises:
      ValueError: an unknown name, or a stride that is none of these.
    """
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride {output_stride} is not 8, 16 or 32")
    norm = Norm(norm_momentum, norm_epsilon, synchronized_norm, weight_decay)
    images, x = image_input(normalization)
    maps = mobilenet(
        x,
        norm,
        backbone,
        output_stride,
        first_atrous_dilation,
        width_multiplier,
        last_conv=True,
    )
    if low_level not in maps:
        raise ValueError(f"low_level {low_level!r} is not one of {', '.join(maps)}")
    x, low = maps[str(output_stride.bit_length() - 1)], maps[low_level]

    def conv(name, filters):
        return tf_keras.layers.Conv2D(
            filters,
            1,
            kernel_initializer=INITIALIZER,
            kernel_regularizer=norm.regularizer(),
            name=name,
        )

    def resize(name, x, like):
        return ResizeLike(half_pixel_centers, align_corners, name=name)([x, like])

    window = [(size - 1) // output_stride + 1 for size in pooling_window]
    gate = PoolWindows(window, pooling_strides, name="gate_pool")(x)
    gate = HardSigmoid(name="gate")(conv("gate_conv", filters)(gate))
    head_norm = Norm(head_norm_momentum, head_norm_epsilon, synchronized_norm, weight_decay)
    features = conv_bn(head_norm, "aspp0", filters, initializer=INITIALIZER)(x)
    features = tf_keras.layers.Multiply(name="gated")([features, resize("gate_resize", gate, x)])
    if dropout:
        features = Dropout(dropout, name="dropout")(features)
    # A 1x1 convolution before the resize is the same as after it, at a sixteenth of the cost.
    high = resize("logits_resize", conv("logits_high", num_classes)(features), low)
    logits = tf_keras.layers.Add(name="logits")([high, conv("logits_low", num_classes)(low)])
    return tf_keras.Model(images, logits, name="lraspp")
