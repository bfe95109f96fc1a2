"""DeepLabv3 (arXiv 1706.05587) and v3+ (arXiv 1802.02611) on MobileNets, ResNets and Xception."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Annotated

import gin
import tf_keras

from mosaic.models.inputs import image_input
from mosaic.models.layers import Dropout, Norm, conv_bn, depthwise_bn
from mosaic.models.mobilenet import mobilenet
from mosaic.models.pooling import PoolWindows
from mosaic.models.resizing import ResizeLike
from mosaic.models.resnet import DILATED_RESNETS, dilated_resnet
from mosaic.models.xception import XCEPTION, xception
from mosaic.utils.settings import (
    AT_LEAST_0,
    BELOW_1,
    CLASSES,
    FRACTION,
    POSITIVE,
    SIZE,
    WIDTH,
    Count,
    between,
)

# The Model Garden's initializer of ASPP (`official.vision.modeling.decoders.aspp`).
_ASPP_INITIALIZER = "VarianceScaling"


@gin.configurable(module="networks")
def deeplab(
    num_classes: Annotated[int, CLASSES],
    backbone: str = "MobileNetV2",
    width_multiplier: Annotated[float, WIDTH] = 1.0,
    width_divisor: Count = 8,
    last_conv: bool = False,
    output_stride: int = 16,
    first_atrous_dilation: Count = 2,
    atrous_rates: Sequence[Count] = (),
    separable_aspp: bool = False,
    image_pooling: bool = True,
    pooling_window: Annotated[Sequence[int], SIZE] | None = None,
    pooling_first: bool = False,
    pooling_limit: Annotated[float, POSITIVE] | None = None,
    aspp_filters: Count = 256,
    decoder: bool = False,
    low_level: str = "2/depthwise",
    low_level_filters: Count = 48,
    head_convs: Annotated[int, between(0, 64)] = 0,
    head_filters: Count = 256,
    separable_head: bool = True,
    activation: str = "relu",
    half_pixel_centers: bool = True,
    align_corners: bool = False,
    normalization: str = "imagenet",
    dropout: Annotated[float, BELOW_1] = 0.0,
    weight_decay: Annotated[float, AT_LEAST_0] = 0.0,
    norm_momentum: Annotated[float, FRACTION] = 0.99,
    norm_epsilon: Annotated[float, AT_LEAST_0] = 0.001,
    head_norm_momentum: Annotated[float, FRACTION] | None = None,
    head_norm_epsilon: Annotated[float, AT_LEAST_0] | None = None,
    synchronized_norm: bool = True,
) -> tf_keras.Model:
    """Builds DeepLab as plain layers in a functional model.

    The defaults are the Model Garden's `mnv2_deeplabv3_pascal` but for the class count, dropout
    and weight decay; its `mnv2_deeplabv3plus_cityscapes` adds `decoder=True, head_convs=2,
    pooling_window=(512, 1024)`, and its `seg_deeplabv3plus_pascal` has
    `backbone="DilatedResNet101", activation="swish", atrous_rates=(6, 12, 18), decoder=True,
    low_level="2", head_convs=2, separable_head=False, norm_momentum=0.9997`.
    MLPerf Mobile's "DeepLabv3" has `decoder=True, head_convs=2, pooling_first=True,
    half_pixel_centers=False, first_atrous_dilation=1, normalization="symmetric"` and 32 classes.
    DeepLab's first implementation, research/deeplab, has `pooling_first=True, align_corners=True,
    first_atrous_dilation=1, normalization="symmetric", head_norm_epsilon=1e-5`, and on Xception
    also `atrous_rates=(6, 12, 18), separable_aspp=True, decoder=True, low_level="2", head_convs=2`.

    No layer's name or shape depends on `output_stride`: the same weights serve every stride.

    Args:
      num_classes: number of logits per pixel.
      backbone: name of a MobileNet, as for `mosaic.models.mobilenet.mobilenet`, `Xception65`, or
        one of `mosaic.models.resnet.DILATED_RESNETS`, whose own settings are parameters of
        `mosaic.models.resnet.dilated_resnet`.
      width_multiplier: factor of a MobileNet's numbers of filters.
      width_divisor: number of which the multiplied numbers of filters are rounded to a multiple:
        the Garden has 8, DeepLab's first implementation 1 where the multiplier is not 1.
      last_conv: whether the 1x1 convolution after a MobileNet's last block belongs to its map.
      output_stride: stride of the backbone's last map: 8, 16 or 32.
      first_atrous_dilation: dilation of a MobileNet's first block whose stride is removed: the
        Garden has 2, MLPerf's files 1.
      atrous_rates: dilations of ASPP's 3x3 convolutions at output stride 16, such as (6, 12, 18),
        or none. They cover the same part of the image at every stride: doubled at 8 (v3, section
        4.1), halved at 32.
      separable_aspp: whether these convolutions are depthwise separable, with batch norm and
        activation after both halves.
      image_pooling: whether ASPP has image-level features: average pooling and a 1x1 convolution.
      pooling_window: (height, width), in pixels of the image, of the window that is averaged, or
        None for the whole image. The Garden has its training crop for Cityscapes, so that a frame
        four times as large is pooled into 2x2.
      pooling_first: whether the image-level features are concatenated before the other branches, as
        in DeepLab's first implementation, or after them, as in the Garden.
      pooling_limit: value that image-level features are cut at after their ReLU, or None: an 8-bit
        file's range may cut them, and is then part of what was trained.
      aspp_filters: number of filters of each branch and of the projection after their
        concatenation.
      decoder: whether there is v3+'s decoder, which resizes the projection and concatenates it with
        a low-level map before the head.
      low_level: endpoint of the backbone that the decoder takes, such as `2/depthwise` of a
        MobileNet or `2` of a ResNet.
      low_level_filters: number of channels to which a 1x1 convolution reduces it.
      head_convs: number of 3x3 convolutions before the classifier.
      head_filters: number of filters of each of them.
      separable_head: whether they are depthwise separable, with batch norm and activation after
        both halves.
      activation: activation of all convolutions but the last and a MobileNet's, whose table has its
        own.
      half_pixel_centers: rule of the bilinear resizes; False is TensorFlow 1's.
      align_corners: whether corners are aligned in the bilinear resizes instead, as in DeepLab's
        first implementation and TFLite's starter model.
      normalization: normalisation of the input, a key of `mosaic.models.inputs.NORMALIZATIONS`.
      dropout: dropout rate after ASPP's projection, 0 to 1.
      weight_decay: L2 weight decay as in `tf.nn.l2_loss`, for all kernels but the backbone's
        depthwise ones.
      norm_momentum: momentum of batch normalisation's moving averages, 0 to 1.
      norm_epsilon: number that batch normalisation adds to the variance.
      head_norm_momentum: the same momentum after the backbone; None for the backbone's.
      head_norm_epsilon: the same number after the backbone; None for the backbone's.
      synchronized_norm: whether replicas share their batch statistics.

    Returns:
      A model from RGB images [batch, height, width, 3] in 0..255 to logits [batch, height / s,
      width / s, num_classes], rounded up, float32: s is `output_stride`, or with `decoder` the
      low-level map's stride. Height and width may differ from call to call.

    Raises:
      ValueError: arguments that contradict each other, or an unknown name.
    """
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride {output_stride} is not 8, 16 or 32")
    norm = Norm(norm_momentum, norm_epsilon, synchronized_norm, weight_decay)
    images, x = image_input(normalization)
    mobile = (output_stride, first_atrous_dilation, width_multiplier, width_divisor, last_conv)
    features = _backbone(x, norm, backbone, activation, mobile)
    norm = Norm(
        norm_momentum if head_norm_momentum is None else head_norm_momentum,
        norm_epsilon if head_norm_epsilon is None else head_norm_epsilon,
        synchronized_norm,
        weight_decay,
    )
    rates = [max(1, round(rate * 16 / output_stride)) for rate in atrous_rates]
    x = features[str(round(math.log2(output_stride)))]
    window = pooling_window and tuple(size // output_stride for size in pooling_window)
    conv = functools.partial(conv_bn, norm, activation=activation)
    depthwise = functools.partial(depthwise_bn, norm, activation=activation)
    resize = functools.partial(ResizeLike, half_pixel_centers, align_corners)
    separable = depthwise if separable_aspp else None
    if pooling_limit is not None and activation != "relu":
        raise ValueError(f"pooling_limit is for activation 'relu', not {activation!r}")
    pool = functools.partial(_image_level, conv, aspp_filters, window, pooling_limit, resize)
    pool = pool if image_pooling else None
    x = _aspp(x, conv, separable, rates, pool, pooling_first, aspp_filters)
    if dropout:
        x = Dropout(dropout, name="aspp_dropout")(x)
    if decoder:
        if low_level not in features:
            raise ValueError(f"low_level {low_level!r} is not one of {', '.join(features)}")
        x = _decoder(x, features[low_level], conv, low_level_filters, resize)
    x = _head(x, conv, depthwise if separable_head else None, head_convs, head_filters)
    logits = tf_keras.layers.Conv2D(
        num_classes,
        1,
        kernel_initializer=_head_initializer(),
        kernel_regularizer=norm.regularizer(),
        name="logits",
    )(x)
    return tf_keras.Model(images, logits, name="deeplab")


def _backbone(x, norm, backbone, activation, mobile):
    """The maps of a backbone by their names; `mobile` are the settings of MobileNets."""
    output_stride, *others = mobile
    if backbone not in DILATED_RESNETS and backbone != XCEPTION:
        return mobilenet(x, norm, backbone, *mobile)
    if others[1:] != [1.0, 8, False] or (backbone != XCEPTION and others[0] != 2):
        raise ValueError(
            f"width, first_atrous_dilation and last_conv are MobileNets', not {backbone}'s"
        )
    if backbone == XCEPTION:
        return xception(x, norm, output_stride, activation)
    return dilated_resnet(x, norm, DILATED_RESNETS[backbone], output_stride, activation)


def _aspp(x, conv, separable, rates, pool, pooling_first, filters):
    """Atrous spatial pyramid pooling with image-level features (v3, section 3.3)."""
    conv = functools.partial(conv, initializer=_ASPP_INITIALIZER)
    branches = [conv("aspp0", filters)(x)]
    for index, rate in enumerate(rates, 1):
        if separable:
            branch = separable(
                f"aspp{index}_spatial", 3, dilation=rate, initializer=_ASPP_INITIALIZER
            )(x)
            branches.append(conv(f"aspp{index}_project", filters)(branch))
        else:
            branches.append(conv(f"aspp{index}", filters, 3, dilation=rate)(x))
    if pool:
        branches.insert(0 if pooling_first else len(branches), pool(x))
    if len(branches) > 1:
        x = tf_keras.layers.Concatenate(name="aspp_concat")(branches)
    else:
        x = branches[0]
    return conv("aspp_project", filters)(x)


def _image_level(conv, filters, window, limit, resize, x):
    """Image-level features of a map, at its size."""
    name = "aspp_pool"
    if window:
        pool = PoolWindows(window, name=name)
    else:
        pool = tf_keras.layers.GlobalAveragePooling2D(keepdims=True, name=name)
    activation = {} if limit is None else {"activation": None}
    pooled = conv("aspp_pooling", filters, initializer=_ASPP_INITIALIZER, **activation)(pool(x))
    if limit is not None:
        pooled = tf_keras.layers.ReLU(max_value=limit, name="aspp_pooling_relu")(pooled)
    return resize(name="aspp_resize")([pooled, x])


def _decoder(x, low, conv, filters, resize):
    """Concatenation with a low-level map (v3+, section 3.1)."""
    low = conv("decoder_low", filters, initializer=_head_initializer())(low)
    x = resize(name="decoder_resize")([x, low])
    return tf_keras.layers.Concatenate(name="decoder_concat")([x, low])


def _head(x, conv, depthwise, convs, filters):
    """The 3x3 convolutions before the classifier; separable ones where `depthwise` is not None."""
    for index in range(convs):
        name, kernel = f"head{index}", 3
        if depthwise:
            x = depthwise(f"{name}_spatial", 3, initializer=_head_initializer())(x)
            name, kernel = f"{name}_project", 1
        x = conv(name, filters, kernel, initializer=_head_initializer())(x)
    return x


def _head_initializer() -> tf_keras.initializers.Initializer:
    """The Garden's, for its segmentation head; one for each layer, or all would draw the same."""
    return tf_keras.initializers.RandomNormal(stddev=0.01)
