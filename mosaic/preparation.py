"""From images' bytes to what a TFLite file's input takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mosaic import tflite_graph, tflite_metadata
from mosaic.errors import UserError
from mosaic.graphs import ancestors
from mosaic.network import NORMALIZATIONS


def preparation(path: str, dtype, normalization: str | None) -> tuple[Callable, str | None]:
    """Returns what makes of images a file's input, and what it normalises them with.

    Args:
      path: of the file.
      dtype: of its input.
      normalization: of float images: a key of `mosaic.network.NORMALIZATIONS`, or `none` for pixels
        in 0..255; needed only where the file does not say.

    Returns:
      (from uint8 images to values of `dtype`, the key or else the formula; None where the numbers
      stay those of the image).

    Raises:
      UserError: a float file leaves normalisation to its caller, and `normalization` is not given
        or unknown.
    """
    if dtype == np.uint8:
        return lambda images: images, None
    if dtype == np.int8:
        return lambda images: (images.astype(np.int16) - 128).astype(np.int8), None
    if normalization is None:
        if said := tflite_metadata.read(path).normalization:
            return _normalizing(*said), _name(*said)
        inputs = [n for n in ancestors(tflite_graph.read(path)) if n.kind == "input"]
        # Where the graph begins with arithmetic on pixels, normalisation is inside.
        if not all(node.content.known for node in inputs):
            raise UserError(
                f"{path}: its float input is not normalised inside the file, nor does the file say "
                f"how; give --normalization={'|'.join([*NORMALIZATIONS, 'none'])}"
            )
        normalization = "none"
    if normalization == "none":
        return lambda images: images.astype(np.float32), None
    if normalization not in NORMALIZATIONS:
        raise UserError(
            f"--normalization={normalization}: not one of {', '.join([*NORMALIZATIONS, 'none'])}"
        )
    return _normalizing(*NORMALIZATIONS[normalization]), normalization


def _normalizing(mean: Sequence[float], std: Sequence[float]) -> Callable:
    mean, std = (np.asarray(values, np.float32) for values in (mean, std))
    return lambda images: (images.astype(np.float32) - mean) / std


def _name(mean: Sequence[float], std: Sequence[float]) -> str | None:
    """What a normalisation is called, None for the one that changes nothing."""

    def is_given(*known):
        return all(np.allclose(one, other) for one, other in zip((mean, std), known))

    if is_given(0.0, 1.0):
        return None
    named = (name for name, values in NORMALIZATIONS.items() if is_given(*values))
    return next(named, f"(x - {_numbers(mean)}) / {_numbers(std)}")


def _numbers(values: Sequence[float]) -> str:
    text = ", ".join(f"{value:g}" for value in values)
    return f"({text})" if len(values) > 1 else text
