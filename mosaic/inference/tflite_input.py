"""Converting images' bytes to the input of a TFLite file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mosaic.models.inputs import NORMALIZATIONS
from mosaic.tflite import graph_from_file
from mosaic.tflite import metadata as tflite_metadata
from mosaic.tflite.model_file import TFLiteModel
from mosaic.utils.errors import UserError

TYPES = (np.float32, np.float16, np.uint8, np.int8, np.int16)


def preparation(
    file: TFLiteModel, dtype, quantization: tuple[float, int], normalization: str | None
) -> tuple[Callable, str | None]:
    """Returns the function that converts images to a file's input, and its normalisation.

    uint8 inputs take the image's bytes and int8 inputs the same less 128. But if a normalization is
    given, or the input's real range is only about 0..255, and for int16, the real numbers are
    quantized by the input's own scale and zero point.

    Args:
      file: TFLite file, opened.
      dtype: type of its input, one of `TYPES`.
      quantization: (scale, zero point) of the input; the scale is 0 if there is none.
      normalization: key of `mosaic.models.inputs.NORMALIZATIONS`, or `none` for pixels in 0..255;
        needed only for float and int16 files that do not say.

    Returns:
      (function of uint8 images that returns values of `dtype`; key or formula of the normalisation,
      None for pixels in 0..255).

    Raises:
      UserError: the normalization is unknown; or it is missing for a float or int16 file that
        leaves it to its caller and does not say which; or it is given for an input without a scale.
    """
    if normalization not in (None, "none", *NORMALIZATIONS):
        raise UserError(
            f"--normalization={normalization}: not one of {', '.join([*NORMALIZATIONS, 'none'])}"
        )
    if np.issubdtype(dtype, np.floating):
        to_real, name = _to_real(file, "float", normalization, lambda: _normalizes_inside(file))
        return lambda images: to_real(images).astype(dtype, copy=False), name
    (scale, zero), limits = quantization, np.iinfo(dtype)
    low, high = scale * (limits.min - zero), scale * (limits.max - zero)
    # A range measured on images without white ends a little below.
    has_pixels = low <= 0 and abs(high - 255) < 25
    if dtype != np.int16 and normalization not in NORMALIZATIONS:
        is_bytes = low == 0 and abs(high - 255) < 0.5
        if is_bytes or not has_pixels:
            return lambda images: (images.astype(np.int16) + limits.min).astype(dtype), None
        normalization = "none"
    if not scale:
        raise UserError(
            f"{file}: its {limits.dtype} input has no scale to quantize by"
            + ("; leave out --normalization" if normalization else "")
        )
    to_real, name = _to_real(file, str(limits.dtype), normalization, lambda: has_pixels)

    def quantize(images: np.ndarray) -> np.ndarray:
        stored = np.round(to_real(images) / scale) + zero
        return np.clip(stored, limits.min, limits.max).astype(dtype)

    return quantize, name


def _to_real(
    file: TFLiteModel, kind: str, normalization: str | None, takes_pixels: Callable[[], bool]
) -> tuple[Callable, str | None]:
    """The function from images to the real numbers of an input, and the normalisation's name."""
    if normalization is None:
        if said := tflite_metadata.read(file).normalization:
            return _normalizing(*said), _name(*said)
        inside = _by_range(file) if kind == "float" else None
        if inside:
            return _to_real(file, kind, inside, takes_pixels)
        if not takes_pixels():
            raise UserError(
                f"{file}: its {kind} input is not normalised inside the file, nor does the file "
                f"say how; give --normalization={'|'.join([*NORMALIZATIONS, 'none'])}"
            )
        normalization = "none"
    if normalization == "none":
        return lambda images: images.astype(np.float32), None
    return _normalizing(*NORMALIZATIONS[normalization]), normalization


def _by_range(file: TFLiteModel) -> str | None:
    """The normalisation of a float input that is quantized directly, by its range.

    Returns:
      A key of `mosaic.models.inputs.NORMALIZATIONS` or `none`; None where the range does not fit
      exactly one of them, or the input is not quantized.
    """
    ends = graph_from_file.quantized_input(file)
    fits = []
    for name, (mean, std) in {**NORMALIZATIONS, "none": ((0.0,), (1.0,))}.items():
        expected = [
            end(np.divide(np.subtract(pixel, mean), std))
            for pixel, end in ((0.0, np.min), (255.0, np.max))
        ]
        # A range measured on images without black or white is a little smaller.
        if ends and np.max(np.abs(np.subtract(ends, expected))) < 0.05 * np.ptp(expected):
            fits.append(name)
    return fits[0] if len(fits) == 1 else None


def _normalizes_inside(file: TFLiteModel) -> bool:
    """Whether a float file's graph begins with arithmetic on pixels."""
    return all(node.content.known for node in graph_from_file.first_inputs(file))


def _normalizing(mean: Sequence[float], std: Sequence[float]) -> Callable:
    mean, std = (np.asarray(values, np.float32) for values in (mean, std))
    return lambda images: (images.astype(np.float32) - mean) / std


def _name(mean: Sequence[float], std: Sequence[float]) -> str | None:
    """The name of a normalisation; None for the one that changes nothing."""

    def is_given(*known):
        return all(np.allclose(one, other) for one, other in zip((mean, std), known))

    if is_given(0.0, 1.0):
        return None
    named = (name for name, values in NORMALIZATIONS.items() if is_given(*values))
    return next(named, f"(x - {_numbers(mean)}) / {_numbers(std)}")


def _numbers(values: Sequence[float]) -> str:
    text = ", ".join(f"{value:g}" for value in values)
    return f"({text})" if len(values) > 1 else text
