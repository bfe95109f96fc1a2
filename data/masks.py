"""Masks: the labels in a PNG of one channel, a palette or colours, and what can be wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

import numpy as np
from PIL import Image

from data.decoding import RepeatedFault, decode, png_depth
from data.errors import DataError
from data.label_map import LabelMap, ranges

# Number of values that are shown in messages; and from which on they come from smoothing.
_SHOWN, _SMOOTHED = 5, 20


class ValueFault(RepeatedFault):
    """Values in masks that are no class; those of several masks are told together.

    Attributes:
      kind: what the values are: `label` or `colour`.
      counts: number of pixels of each value.
      pixels: number of all pixels of the masks.
      explain: function of the shares as text, and of `held`, that returns the rest of the message.
      held: all values of the masks, those with a class too.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        counts: Mapping,
        pixels: int,
        explain: Callable[[str, Set], str],
        held: Set = frozenset(),
    ):
        self.kind = kind
        self.counts = dict(counts)
        self.pixels = pixels
        self.explain = explain
        self.held = held
        shown = sorted(counts, key=lambda value: (-counts[value], value))
        more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        shares = [f"{percent(counts[value], pixels)}" for value in shown[:_SHOWN]]
        values = ", ".join(map(str, shown[:_SHOWN]))
        are = "is no class" if len(shown) == 1 else "are no classes"
        text = f"{kind}{'s' * (len(shown) > 1)} {values}{more} {are}; "
        text += explain(f"{', '.join(shares)} of the pixels", held)
        if len(shown) > _SMOOTHED:
            text += "; so many come from JPEG or from resizing with smoothing; or is it an image?"
        super().__init__(name, text)

    def __add__(self, other: ValueFault) -> ValueFault:
        counts = {
            value: self.counts.get(value, 0) + other.counts.get(value, 0)
            for value in {**self.counts, **other.counts}
        }
        pixels = self.pixels + other.pixels
        held = self.held | other.held
        return ValueFault(self.name, self.kind, counts, pixels, self.explain, held)


def percent(part: int, whole: int) -> str:
    """Returns a share with two digits or more, such as `21.2 %`, `0.034 %` and `100 %`."""
    share = 100 * part / max(whole, 1)
    return f"{share:.3g} %" if share < 99.95 or part == whole else "almost 100 %"


def read_label(name: str, content: bytes, label_map: LabelMap) -> np.ndarray:
    """Reads the labels of a mask, uint8 [height, width].

    A PNG with one 8-bit channel contains labels; so does one with a palette, as its indices. An RGB
    PNG contains the colours of the label map; or, where these have not all of its colours, the same
    label in all three channels.

    Args:
      name: name of the file in messages.
      content: content of the file.
      label_map: label map of the labels.

    Raises:
      DataError: it is no such mask; `ValueFault` where it holds values without a class.
    """
    image = decode(name, content, ("PNG",))
    pixels = np.asarray(image)
    if image.mode == "RGBA" and (pixels[..., 3] == 255).all():
        image, pixels = image.convert("RGB"), pixels[..., :3]
    depth = png_depth(content)
    if image.mode == "RGB" and depth == 8:
        return _labels_of_colors(name, pixels, label_map)
    if image.mode not in ("L", "P") or (image.mode == "L" and depth != 8):
        raise RepeatedFault(
            name,
            f"neither 8-bit labels, nor a palette, nor RGB ({depth} bits, {image.mode}); save the "
            "labels as an 8-bit image of one channel",
        )
    unknown = label_map.unknown(pixels)
    if unknown:
        counts = np.bincount(pixels.ravel(), minlength=256)
        raise ValueFault(
            name,
            "label",
            {value: int(counts[value]) for value in unknown},
            pixels.size,
            lambda share, held: (
                f"{label_map.known()}; {share}; {label_map.advice}{_guess(label_map, held)}"
            ),
            frozenset(np.flatnonzero(counts).tolist()),
        )
    if image.mode == "P":
        _check_palette(name, image, label_map)
    return pixels


def _guess(label_map: LabelMap, held: Set[int]) -> str:
    """What masks with these values mean that count classes from 1, or from 0, unlike the map."""
    count = len(label_map.labels)
    unknown = label_map.unknown(np.array(sorted(held), np.uint8))
    for first, other in ((0, 1), (1, 0)):
        is_map = not label_map.merged and {*label_map.labels} == {*range(first, first + count)}
        # Masks that hold all of the map's labels, and 0, have it where nothing is labelled.
        if is_map and unknown == [count * other] and (other or count not in held):
            void = ", and list 0 in `void_labels`" if other else ""
            return (
                f"; or, if {ranges(range(other, other + count))} are the {count} classes in this "
                f"order, give them these labels{void}"
            )
    return ""


def _labels_of_colors(name: str, pixels: np.ndarray, label_map: LabelMap) -> np.ndarray:
    table = label_map.color_labels()
    codes, inverse, counts = np.unique(_codes(pixels), return_inverse=True, return_counts=True)
    colors = [(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in codes]
    double = [color for color in colors if color in label_map.double_colors()]
    if double:
        shown = ", ".join(map(str, double[:_SHOWN]))
        raise DataError(
            f"{name}: colour {shown} stands for two classes in the label map; save the labels as "
            "an 8-bit image of one channel"
        )
    unknown = {c: int(n) for c, n in zip(colors, counts, strict=True) if c not in table}
    if unknown and _holds_labels(pixels, label_map):
        return pixels[..., 0]
    if unknown:
        raise ValueFault(
            name,
            "colour",
            unknown,
            inverse.size,
            lambda share, _: (
                f"an RGB mask holds colours of the label map only (`color` and `void_colors`); "
                f"{share}"
            ),
        )
    labels = np.array([table[color] for color in colors], np.uint8)
    return labels[inverse].reshape(pixels.shape[:2])


def _holds_labels(pixels: np.ndarray, label_map: LabelMap) -> bool:
    """Whether an RGB mask is one of labels that was saved with each in all three channels.

    One grey alone, such as black, may be a colour that the label map lacks.
    """
    labels = pixels[..., 0]
    is_grey = (pixels == pixels[..., :1]).all() and labels.min() < labels.max()
    return bool(is_grey) and not label_map.unknown(labels)


def _codes(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(pixels.astype(np.uint32), -1, 0)
    return red << 16 | green << 8 | blue


def _check_palette(name: str, image: Image.Image, label_map: LabelMap) -> None:
    """Refuses renumbered palettes, from programs that shrink PNGs: indices are no labels."""
    table, class_of = label_map.color_labels(), label_map.lookup()
    double = label_map.double_colors()
    palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3).tolist()
    used = np.unique(np.asarray(image)).tolist()
    colors = {index: tuple(palette[index]) for index in used if index < len(palette)}
    if len(colors) < len(used) or not set(colors.values()) <= set(table):
        return  # The palette is not the label map's: only the indices matter.
    for index, color in colors.items():
        if (
            color not in double
            and color != (index,) * 3
            and class_of[table[color]] != class_of[index]
        ):
            raise DataError(
                f"{name}: palette index {index} has the colour {color} of another class; "
                "save the mask as an 8-bit image of one channel, or as RGB"
            )
