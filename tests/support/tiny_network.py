"""A network with every kind of step in a few layers."""

import numpy as np
import tensorflow as tf
import tf_keras

from mosaic.models.inputs import image_input
from mosaic.models.layers import ChannelSlice, Norm, conv_bn, depthwise_bn
from mosaic.models.pooling import PoolToBins
from mosaic.models.resizing import ResizeLike
from mosaic.models.variables import variable_name


def tiny(
    dilation=2,
    width=40,  # converters leave kernels of less than 1,024 values in float
    bins=2,
    activation="relu6",
    start=0,
    classes=3,
    half_pixel_centers=True,
    normalization="imagenet",
    shared=False,
    stride=2,
    map_first=True,
):
    """Every kind of step that the networks have, in a few layers."""
    norm = Norm()
    images, x = image_input(normalization)
    x = conv_bn(norm, "stem", 8, 3, stride, activation=activation)(x)
    high = x
    x = depthwise_bn(norm, "spatial", 3, 2, activation=activation)(x)
    x = shortcut = conv_bn(norm, "expand", width, activation=None)(x)
    x = depthwise_bn(norm, "atrous", 3, dilation=dilation)(x)
    x = conv_bn(norm, "project", width, activation=None)(x)
    x = tf_keras.layers.Add(name="residual")([x, shortcut])
    branches = [] if not map_first else [x]
    common = depthwise_bn(norm, "group", 3)
    for level in (bins, 2 * bins):
        pooled = PoolToBins(level, name=f"pool{level}")(x)
        part = ChannelSlice(start, width // 2, name=f"slice{level}")(pooled)
        part = (common if shared else depthwise_bn(norm, f"group{level}", 3))(part)
        branches.append(ResizeLike(half_pixel_centers, name=f"resize{level}")([part, x]))
    pooled = tf_keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    pooled = conv_bn(norm, "pooling", 4)(pooled)
    branches.append(ResizeLike(half_pixel_centers, name="resize")([pooled, x]))
    if not map_first:
        branches.append(x)
    x = tf_keras.layers.Concatenate(name="concat")(branches)
    x = ResizeLike(half_pixel_centers, name="resize_high")([x, high])
    x = conv_bn(norm, "low", 8)(x)
    x = tf_keras.layers.Add(name="merge")([high, x])
    logits = tf_keras.layers.Conv2D(classes, 1, name="logits")(x)
    return tf_keras.Model(images, logits, name="tiny")


def randomized(model, seed=0):
    """Gives batch norm and biases values that folding has to deal with."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        name = variable_name(variable).split("/")[-1]
        low, high = {"gamma": (0.5, 2), "moving_variance": (0.2, 2)}.get(name, (-0.5, 0.5))
        variable.assign(rng.uniform(low, high, variable.shape))
    return model


def answers(model, images, training=False):
    return model(tf.constant(np.stack(images), tf.float32), training=training).numpy()


def pictures():
    """Four images of blocks of noise, of 32x48 pixels."""
    blocks = np.random.default_rng(3).integers(0, 256, (4, 8, 12, 3))
    return list(np.kron(blocks, np.ones((1, 4, 4, 1))).astype(np.uint8))
