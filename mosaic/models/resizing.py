"""Bilinear resizes: TensorFlow 2's rule, the older one of MLPerf's files, or corners aligned."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf
import tf_keras

from mosaic.models.layers import PACKAGE

# TensorFlow 2's rule; that of `tf.compat.v1.image.resize_bilinear`; and that of research/deeplab,
# in which the centres of the corner pixels stay where they are.
HALF_PIXEL, LEGACY, ALIGNED = "half-pixel centres", "legacy", "corners aligned"
RULES = frozenset((HALF_PIXEL, LEGACY, ALIGNED))


def named(half_pixel_centers: bool, align_corners: bool) -> str:
    """Returns the rule of `RULES` that two settings of a resize stand for.

    Args:
      half_pixel_centers: whether pixels have their centres at half-integer coordinates; without
        effect where corners are aligned.
      align_corners: whether the centres of the corner pixels are aligned.
    """
    return ALIGNED if align_corners else HALF_PIXEL if half_pixel_centers else LEGACY


@tf_keras.utils.register_keras_serializable(PACKAGE)
class ResizeLike(tf_keras.layers.Layer):
    """Bilinear resize of the first tensor to the height and width of the second.

    Args:
      half_pixel_centers: True for TensorFlow 2's rule; False for the legacy rule of
        `tf.compat.v1.image.resize_bilinear` (corners not aligned), which MLPerf's files use.
      align_corners: whether the corners are aligned instead, as in research/deeplab and in TFLite's
        starter model.
    """

    def __init__(self, half_pixel_centers: bool = True, align_corners: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.half_pixel_centers = half_pixel_centers
        self.align_corners = align_corners

    @property
    def rule(self) -> str:
        """The rule of the resize, of `RULES`."""
        return named(self.half_pixel_centers, self.align_corners)

    def call(self, inputs) -> tf.Tensor:
        x, reference = inputs
        # The resize's own result is float32 in any precision.
        return tf.cast(resize_bilinear(x, size_of(reference), self.rule), x.dtype)

    def compute_output_shape(self, input_shape) -> tf.TensorShape:
        x, reference = input_shape
        return tf.TensorShape([x[0], reference[1], reference[2], x[-1]])

    def get_config(self) -> dict:
        rule = {"half_pixel_centers": self.half_pixel_centers, "align_corners": self.align_corners}
        return {**super().get_config(), **rule}


@tf_keras.utils.register_keras_serializable(PACKAGE)
class ResizeAlways(ResizeLike):
    """`ResizeLike` that resizes maps of 1x1 too, instead of repeating them, for int8 files.

    TensorFlow Lite's converter may give a repeated map another scale than the map itself, while its
    operator (BROADCAST_TO) copies the integers as they are.
    """

    def call(self, inputs) -> tf.Tensor:
        x, reference = inputs
        return resize_bilinear(x, size_of(reference), self.rule, repeats=False)


def size_of(x: tf.Tensor):
    """Returns (height, width) of [batch, height, width, ...], as integers where they are known."""
    height, width = x.shape[1:3]
    return tf.shape(x)[1:3] if height is None or width is None else (height, width)


def resize_bilinear(x: tf.Tensor, size, rule: str = HALF_PIXEL, repeats: bool = True) -> tf.Tensor:
    """Bilinear resize of [batch, height, width, channels] to `size` by a rule of `RULES`.

    A map that already has that size passes unchanged, and one of 1x1 is repeated (unless `repeats`
    is False), which is the same under every rule and far cheaper.
    """
    if not tf.is_tensor(size) and tuple(x.shape[1:3]) == tuple(size):
        return x
    if x.shape[1] == 1 and x.shape[2] == 1 and repeats:
        shape = tf.stack([tf.shape(x)[0], size[0], size[1], x.shape[-1]])
        return tf.broadcast_to(x, shape)
    return tf.raw_ops.ResizeBilinear(
        images=x,
        size=size,
        align_corners=rule == ALIGNED,
        half_pixel_centers=rule == HALF_PIXEL,
    )


def resized_rows(
    x: tf.Tensor, size: tuple[int, int], top: int, rows: int, rule: str = HALF_PIXEL
) -> tf.Tensor:
    """Some rows of what `resize_bilinear` returns, but for the last bits of float32.

    Args:
      x: float32 [batch, height, width, channels].
      size: (height, width) of the whole result.
      top: first of the rows.
      rows: number of rows.
      rule: rule of `RULES`.

    Returns:
      float32 [batch, rows, size[1], channels].
    """
    sides = list(zip(size, map(int, x.shape[1:3])))
    if rule == ALIGNED:
        scale = [(to - 1) / (of - 1) if min(to, of) > 1 else to / of for to, of in sides]
    else:
        scale = [to / of for to, of in sides]
    # The operation takes half-pixel centres; other rules are moved by half a pixel of x.
    move = [0.0 if rule == HALF_PIXEL else (1.0 - factor) / 2 for factor in scale]
    # It gives 0 for what is more than half a pixel beyond the edge.
    x = x if rule == HALF_PIXEL else tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]], "SYMMETRIC")
    return tf.raw_ops.ScaleAndTranslate(
        images=x,
        size=[rows, size[1]],
        scale=scale,
        translation=[move[0] - top, move[1]],
        kernel_type="triangle",
        antialias=False,
    )


def predictions(logits: tf.Tensor, size, rule: str = HALF_PIXEL) -> tf.Tensor:
    """Class indices [batch, height, width], int32, of logits resized bilinearly to `size`."""
    return tf.argmax(resize_bilinear(logits, size, rule), -1, output_type=tf.int32)


def common(rules: Iterable[str]) -> str:
    """Returns the rule of several resizes: the first that is not TensorFlow 2's, if any is."""
    return next((rule for rule in rules if rule != HALF_PIXEL), HALF_PIXEL)


def rule_of(model: tf_keras.Model) -> str:
    """Returns the rule of a network's resizes, which its logits' resize shares.

    Under another rule, MLPerf's networks differ from their files on a hundredth of all pixels.
    """
    layers = getattr(model, "layers", ())
    return common(layer.rule for layer in layers if isinstance(layer, ResizeLike))
