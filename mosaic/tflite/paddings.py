"""What convolutions add around a map, by name and by number of pixels.

TensorFlow's `same` padding adds less at the top and left where a stride meets an even size;
`centred` padding, of PyTorch and of research/deeplab's Xception, adds as much on each side.
"""

from __future__ import annotations

from collections.abc import Sequence

Pads = tuple[tuple[int, int], ...]


def named(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    pads: Pads | None = None,
) -> str:
    """Returns the names of a padding.

    Args:
      size: (height, width) of the map, -1 where it is not known.
      kernel: (height, width) of the kernel.
      stride: stride on both axes.
      dilation: dilation on both axes.
      pads: what is added, (before, after) on both axes; None for `same` padding.

    Returns:
      `same`, `centred`, `same or centred` where a stride meets a size for which they do not differ;
      empty for another padding. Without a stride they never differ, and both are `same`.
    """
    known = {"centred": centred(kernel, dilation)}
    if -1 not in size:
        known = {"same": same(size, kernel, stride, dilation), **known}
    pads = known.get("same", ()) if pads is None else pads
    names = [name for name, usual in known.items() if pads == usual]
    if names and tuple(stride) == (1, 1):
        return "same"
    return " or ".join(names)


def same(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pads:
    """What `same` padding adds to a map, (before, after) on both axes.

    Args:
      size: (height, width) of the map.
      kernel: (height, width) of the kernel.
      stride: stride on both axes.
      dilation: dilation on both axes.
    """
    pads = []
    for side, window, step, rate in zip(size, kernel, stride, dilation):
        extent = (-(-side // step) - 1) * step + (window - 1) * rate + 1
        total = max(extent - side, 0)
        pads.append((total // 2, total - total // 2))
    return tuple(pads)


def centred(kernel: Sequence[int], dilation: Sequence[int]) -> Pads:
    """What `centred` padding adds to a map, (before, after) on both axes."""
    return tuple((rate * (window - 1) // 2,) * 2 for window, rate in zip(kernel, dilation))
