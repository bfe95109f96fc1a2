"""The memory that scoring needs at least, before any of it is asked for."""

from __future__ import annotations

import dataclasses

from mosaic.distribution import device_memory
from mosaic.evaluation.protocols import Evaluation
from mosaic.utils import bound_settings
from mosaic.utils.memory import check_fits
from mosaic.utils.segmentation_dataset import SegmentationDataset, sizes_in

# What a network needs for each pixel of its input: float32 RGB, and a first map of 16 channels or
# more at half the size.
_INPUT = 12 + 16
# Settings that ask for memory: values that ask for none, and what to do.
_SETTINGS = {
    "batch_size": (1, "take a smaller batch"),
    "scales": ((1.0,), "take smaller scales"),
    "padded_size": (None, "take a smaller size"),
    "input_size": (None, "take a smaller size"),
}


def check(dataset: SegmentationDataset, evaluation: Evaluation) -> None:
    """Checks that a network's images and logits can fit into memory.

    Args:
      dataset: data set that is scored; images of unknown sizes do not count.
      evaluation: settings of the evaluation.

    Raises:
      UserError: they cannot; the message names the setting, or else the image, that asks for it.
    """
    if not dataset.image_size:
        # Images of several sizes are scored one by one.
        evaluation = dataclasses.replace(evaluation, batch_size=1)
    evaluation = dataclasses.replace(evaluation, scales=tuple(evaluation.scales))
    room, classes = device_memory.of_networks(), dataset.num_classes
    for size, name in sizes_in(dataset, evaluation.split).items() or [((0, 0), "")]:
        needed = _num_bytes(size, evaluation, classes)
        if needed > room.num_bytes:
            setting, fix = _asking(size, evaluation, classes, room.num_bytes) or (
                f"{name}: an image of {size[0]}x{size[1]}",
                "leave it out, or make it smaller",
            )
            check_fits(setting, needed, fix, room.num_bytes, room.what)


def without_averages(evaluation: Evaluation) -> Evaluation:
    """Returns an evaluation of whole images at one scale, padded or not, as during training."""
    return dataclasses.replace(evaluation, scales=(1.0,), flip=False, window=None, input_size=None)


def _asking(
    size: tuple[int, int], evaluation: Evaluation, classes: int, limit: int
) -> tuple[str, str] | None:
    """The setting without which all would fit, and what to do; None if the image is too large."""
    for name, (neutral, fix) in _SETTINGS.items():
        value = getattr(evaluation, name)
        without = dataclasses.replace(evaluation, **{name: neutral})
        if value != neutral and _num_bytes(size, without, classes) <= limit:
            images = f" for images of {size[0]}x{size[1]}" if any(size) else ""
            return f"{bound_settings.name_of(f'Evaluation.{name}')} = {value}{images}", fix
    return None


def _num_bytes(size: tuple[int, int], evaluation: Evaluation, classes: int) -> float:
    """Bytes for a batch of images of a size, (height, width)."""
    is_averaged = evaluation.flip or evaluation.scales != (1.0,)
    shown = evaluation.padded_size or evaluation.input_size or size
    # Images that are enlarged to one size lose their scale again.
    fixed = evaluation.input_size or (evaluation.padded_size and evaluation.enlarged)
    scale = 1.0 if fixed else max(evaluation.scales)
    height, width = (side * scale for side in shown)
    seen = height * width
    if evaluation.window:
        seen = min(height, evaluation.window[0]) * min(width, evaluation.window[1])
    pixels = size[0] * size[1]
    logits = 4 * classes * (2 if is_averaged else 1)
    scaled = 3 + (4 * classes if is_averaged or evaluation.window else 0)
    return evaluation.batch_size * (pixels * (3 + logits) + height * width * scaled + seen * _INPUT)
