"""MOSAIC, the mobile segmentation network of arXiv 2112.11623, in all its published variants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import gin
import tf_keras

from mosaic.models.inputs import image_input
from mosaic.models.layers import ChannelSlice, Dropout, Norm, conv_bn, depthwise_bn
from mosaic.models.mobilenet import mobilenet
from mosaic.models.pooling import PoolToBins
from mosaic.models.resizing import ResizeLike
from mosaic.utils.settings import AT_LEAST_0, BELOW_1, BINS, CLASSES, FRACTION, Count


@gin.configurable(module="networks")
def mosaic(
    num_classes: Annotated[int, CLASSES],
    backbone: str = "MobileNetMultiAVGSeg",
    branch_filters: Sequence[Count] = (64, 64),
    kernel_sizes: Sequence[Count] = (3, 5),
    bins: Annotated[Sequence[Count], BINS] = (1, 4, 8, 16),
    shared_group_convs: bool = True,
    backbone_map_first: bool = True,
    half_pixel_centers: bool = True,
    first_atrous_dilation: Count = 2,
    decoder_filters: Count = 64,
    projected_filters: Sequence[Count] | None = None,
    normalization: str = "imagenet",
    dropout: Annotated[float, BELOW_1] = 0.0,
    weight_decay: Annotated[float, AT_LEAST_0] = 0.0,
    norm_momentum: Annotated[float, FRACTION] = 0.99,
    norm_epsilon: Annotated[float, AT_LEAST_0] = 0.001,
    synchronized_norm: bool = True,
) -> tf_keras.Model:
    """Builds MOSAIC as plain layers in a functional model.

    The defaults are the Model Garden's variant with 77.24 % mIoU on Cityscapes; the paper's own
    configuration (75.98 %) has `branch_filters=(32, 32), bins=(4, 8, 16)`, and MLPerf Mobile's R4
    `branch_filters=(64, 64), bins=(4, 8, 16), shared_group_convs=False, backbone_map_first=False,
    half_pixel_centers=False, first_atrous_dilation=1, projected_filters=(32, 32),
    normalization="symmetric"`.

    Args:
      num_classes: number of logits per pixel.
      backbone: model id of a MobileNet in the Garden's table.
      branch_filters: number of filters of each channel group's 1x1 convolution after pooling.
      kernel_sizes: size of each channel group's depthwise kernel, in pixels of the map.
      bins: number of pooling bins per axis of each pyramid level; 1 is the global branch.
      shared_group_convs: whether all levels share one set of group convolutions (Garden) or have
        one each (R4).
      backbone_map_first: order of the concatenation before the encoder's projection: the backbone's
        map, the pooled branches, the global branch if True (Garden); the branches, then the map if
        False (R4).
      half_pixel_centers: rule of the bilinear resizes: True for TensorFlow 2's (Garden), False for
        the legacy one (R4).
      first_atrous_dilation: dilation of the first backbone block whose stride is removed: 2
        (Garden) or 1 (R4).
      decoder_filters: number of filters of the concat-merge stage.
      projected_filters: number of channels after each of the two decoder stages; None for the
        number of classes after both. If the last differs from it, a 1x1 convolution with bias makes
        the logits.
      normalization: normalisation of the input, `imagenet` or `symmetric`; it is part of the
        network, which takes pixels in 0..255.
      dropout: dropout rate after the encoder's projection, 0 to 1.
      weight_decay: L2 weight decay as in `tf.nn.l2_loss`, for the kernels of all convolutions
        but the backbone's depthwise ones.
      norm_momentum: momentum of batch normalisation's moving averages, 0 to 1.
      norm_epsilon: number that batch normalisation adds to the variance.
      synchronized_norm: whether replicas share their batch statistics.

    Returns:
      A model from RGB images [batch, height, width, 3] in 0..255 to logits
      [batch, ceil(height / 4), ceil(width / 4), num_classes], float32. Height and width may differ
      from call to call; at stride 16 each must cover the largest number of bins.

    Raises:
      ValueError: arguments that contradict each other.
    """
    if len(branch_filters) != len(kernel_sizes):
        raise ValueError("branch_filters and kernel_sizes must have one value per channel group")
    projected = tuple(projected_filters or (num_classes, num_classes))
    if len(projected) != 2:
        raise ValueError(f"projected_filters {projected} must be two depths")
    norm = Norm(norm_momentum, norm_epsilon, synchronized_norm, weight_decay)
    images, x = image_input(normalization)
    features = mobilenet(x, norm, backbone, 16, first_atrous_dilation)
    x = _encoder(
        features["4"],
        norm,
        branch_filters,
        kernel_sizes,
        bins,
        shared_group_convs,
        backbone_map_first,
        half_pixel_centers,
    )
    if dropout:
        x = Dropout(dropout, name="encoder_dropout")(x)
    is_last = projected[-1] == num_classes
    logits = _decoder(
        x,
        features["3/depthwise"],
        features["2/depthwise"],
        norm,
        decoder_filters,
        projected,
        half_pixel_centers,
        "logits" if is_last else "decoder2_sum",
    )
    if not is_last:
        classifier = tf_keras.layers.Conv2D(
            num_classes, 1, kernel_regularizer=norm.regularizer(), name="logits"
        )
        logits = classifier(logits)
    return tf_keras.Model(images, logits, name="mosaic")


def _encoder(
    x, norm, branch_filters, kernel_sizes, bins, shared_group_convs, map_first, half_pixel_centers
):
    """Spatial pyramid pooling with multi-kernel group convolutions (paper, section 3.1)."""
    channels = x.shape[-1] // len(kernel_sizes)
    if channels * len(kernel_sizes) != x.shape[-1]:
        raise ValueError(f"{x.shape[-1]} channels do not split into {len(kernel_sizes)} groups")

    def group_convs(name):
        return [
            (
                depthwise_bn(norm, f"{name}_group{index}_spatial", kernel),
                conv_bn(norm, f"{name}_group{index}_project", filters),
            )
            for index, (kernel, filters) in enumerate(zip(kernel_sizes, branch_filters))
        ]

    shared = group_convs("encoder") if shared_group_convs else None
    branches, global_branch = [], []
    for level in bins:
        name = f"encoder_bins{level}"
        if level == 1:
            pooled = tf_keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_pool")(x)
            branch = conv_bn(norm, name, max(branch_filters))(pooled)
            target = global_branch
        else:
            pooled = PoolToBins(level, name=f"{name}_pool")(x)
            groups = []
            for index, (spatial, project) in enumerate(shared or group_convs(name)):
                start = index * channels
                part = ChannelSlice(start, channels, name=f"{name}_slice{index}")(pooled)
                groups.append(project(spatial(part)))
            branch = tf_keras.layers.Concatenate(name=f"{name}_concat")(groups)
            target = branches
        target.append(ResizeLike(half_pixel_centers, name=f"{name}_resize")([branch, x]))
    branches += global_branch
    merged = [x, *branches] if map_first else [*branches, x]
    x = tf_keras.layers.Concatenate(name="encoder_concat")(merged)
    return conv_bn(norm, "encoder_project", sum(branch_filters))(x)


def _decoder(x, middle, high, norm, filters, projected, half_pixel_centers, name):
    """Concat-merge with the stride-8 map, then sum-merge with the stride-4 map (section 3.2)."""
    x = ResizeLike(half_pixel_centers, name="decoder1_resize")([x, middle])
    x = tf_keras.layers.Concatenate(name="decoder1_concat")([x, middle])
    x = conv_bn(norm, "decoder1_merge", filters)(x)
    x = depthwise_bn(norm, "decoder1_spatial", 3)(x)
    x = conv_bn(norm, "decoder1_project", projected[0])(x)
    if projected[0] != projected[1]:
        x = conv_bn(norm, "decoder2_low", projected[1])(x)
    if high.shape[-1] != projected[1]:
        high = conv_bn(norm, "decoder2_high", projected[1])(high)
    x = ResizeLike(half_pixel_centers, name="decoder2_resize")([x, high])
    return tf_keras.layers.Add(name=name)([x, high])
