"""The forms that outputs of foreign files have, read as logits or as class indices."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from mosaic.utils.errors import UserError

# Each axis of an output: batch, height, width, both in one, or classes.
_LAST, _FIRST, _NO_BATCH = "nhwc", "nchw", "hwc"
_FLAT_LAST, _FLAT_FIRST = "npc", "ncp"
_LABELS, _LABELS_NO_BATCH, _FLAT_LABELS = "nhw", "hw", "np"
_KNOWN = "[batch, height, width, classes] or [batch, height, width]"


@dataclasses.dataclass(frozen=True)
class Output:
    """How an output is read.

    Attributes:
      path: path of the file, for messages.
      axes: one letter for each axis: n batch, h height, w width, p all pixels, c classes.
      num_classes: number of classes of logits; None for class indices, and for one channel, which
        are class indices or the probability of the second of two classes.
      quantization: (scale, zero point); the scale is 0 if there is none.
    """

    path: str
    axes: str
    num_classes: int | None
    quantization: tuple[float, int]

    def read(self, values: np.ndarray, input_size: Sequence[int]) -> np.ndarray:
        """Returns logits [height, width, classes] or class indices [height, width].

        Args:
          values: values of the output, of batch 1.
          input_size: (height, width) of the file's input, in pixels.

        Raises:
          UserError: some are NaN, or one channel is neither class indices nor probabilities.
        """
        if values.dtype.kind == "f" and values.size and np.isnan(np.min(values)):
            raise UserError(f"{self.path}: its output of {list(values.shape)} holds NaN")
        values = values[0] if self.axes[0] == "n" else values
        axes = self.axes.lstrip("n")
        if "c" in axes:
            values = np.moveaxis(values, axes.index("c"), -1)
        if "p" in axes:
            values = values.reshape(*input_size, *values.shape[1:])
        if self.num_classes is not None:
            return self._real(values)
        return self._indices(values.reshape(values.shape[:2]))

    def is_usual(self, is_integer: bool) -> bool:
        """Whether values are [batch, height, width, classes], or integers that are class indices.

        Args:
          is_integer: whether the output's type is one of integers.
        """
        is_labels = is_integer and self.axes in (_LABELS, _LAST)
        return self.axes == _LAST if self.num_classes is not None else is_labels

    def is_of_size(self, shape: Sequence[int], size: Sequence[int] | None) -> bool:
        """Whether the output of a shape has the fixed size (height, width) of the input."""
        return _is_of_size(self.axes, shape, size)

    def _real(self, values: np.ndarray) -> np.ndarray:
        scale, zero = self.quantization
        return (values.astype(np.float32) - zero) * scale if scale else values

    def _indices(self, values: np.ndarray) -> np.ndarray:
        """Class indices from one channel: those themselves, or a probability cut at a half."""
        if values.dtype.kind != "f" and self.quantization[0] in (0.0, 1.0):
            return values
        real = self._real(values)
        low, high = (float(end(real)) for end in (np.min, np.max))
        if low >= 0.0 and high <= 1.0:
            return (real > 0.5).astype(np.int32)
        if low >= 0.0 and np.array_equal(real, np.round(real)):
            return real.astype(np.int32)
        raise UserError(
            f"{self.path}: its output of one channel goes from {low:.3g} to {high:.3g}: neither "
            "class indices nor probabilities in 0..1"
        )


def form(
    path: str,
    shape: Sequence[int],
    input_size: tuple[int, int] | None,
    quantization: tuple[float, int],
) -> Output:
    """Finds the form of an output from its shape.

    Args:
      path: path of the file, for messages.
      shape: shape of the output, -1 where it is not fixed.
      input_size: (height, width) of the file's input, in pixels; None if it takes any.
      quantization: (scale, zero point) of the output.

    Raises:
      UserError: no form of a segmentation fits.
    """
    shape = [int(side) for side in shape]
    fitting = [axes for axes in _BY_RANK.get(len(shape), ()) if _fits(axes, shape, input_size)]
    # Where several fit, the one with the image's own size; else the first.
    fitting.sort(key=lambda axes: not _is_of_size(axes, shape, input_size))
    if fitting:
        axes = fitting[0]
        classes = shape[axes.index("c")] if "c" in axes else 1
        return Output(path, axes, classes if classes > 1 else None, quantization)
    size = f" for images of {input_size[0]}x{input_size[1]}" if input_size else ""
    raise UserError(
        f"{path}: its output of {shape}{size} is not a segmentation, {_KNOWN}; it may be a "
        "network for classification or detection"
    )


# Ratio of an image's height to that of its class indices.
_COARSEST = 32
# In the order of preference where several fit.
_BY_RANK = {
    4: (_LAST, _FIRST),
    3: (_LABELS, _FLAT_LAST, _FLAT_FIRST, _NO_BATCH),
    2: (_LABELS_NO_BATCH, _FLAT_LABELS),
}


def _is_of_size(axes: str, shape: Sequence[int], size: Sequence[int] | None) -> bool:
    sides = dict(zip(axes, shape))
    return "p" in sides or (size is not None and (sides["h"], sides["w"]) == tuple(size))


def _fits(axes: str, shape: Sequence[int], input_size: tuple[int, int] | None) -> bool:
    sides = dict(zip(axes, shape))
    if sides.get("n", 1) not in (1, -1) or sides.get("c", 1) < 1:
        return False
    if "p" in sides:
        if input_size is None:
            return sides["p"] == -1 and "c" in sides
        return sides["p"] == input_size[0] * input_size[1] > 1
    size = sides["h"], sides["w"]
    if -1 in size or input_size is None:
        # Of a file for any size, both sides change with the image, unless it resizes all to one.
        return size == (-1, -1) or (axes == _LAST and min(size) > 1)
    if "n" not in sides:
        return size == tuple(input_size)
    # A few rows of numbers, such as boxes, are no labels of an image.
    if "c" not in sides and size[0] * _COARSEST < input_size[0]:
        return False
    return _has_aspect(size, input_size)


def _has_aspect(size: tuple[int, int], of: tuple[int, int]) -> bool:
    """Whether a map may be that of an image: of its aspect, but for two pixels of rounding."""
    if size == (1, 1) and of != (1, 1):
        return False
    return abs(size[0] * of[1] - size[1] * of[0]) <= 2 * max(of)
