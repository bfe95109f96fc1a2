"""Images that are too small for a network as they are scored, told before any is."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from mosaic.evaluation.protocols import Evaluation
from mosaic.inference.multiscale import scaled_size
from mosaic.inference.predictors import Predictor
from mosaic.utils import bound_settings
from mosaic.utils.errors import UserError
from mosaic.utils.segmentation_dataset import SegmentationDataset, sizes_in


def check(predictor: Predictor, dataset: SegmentationDataset, evaluation: Evaluation) -> None:
    """Checks that a network takes all images of a split at all scales and in all windows.

    Of a file that takes one size alone, a setting of another one is told: it does not count.

    Args:
      predictor: predictor of images as they are, without padding, scales and windows.
      dataset: data set that is scored; images of unknown sizes are not checked.
      evaluation: settings of the evaluation.

    Raises:
      UserError: an image is too small; the message names the setting that makes it so, or it.
    """
    if predictor.input_size:
        _tell_other_sizes(predictor, evaluation)
        return
    for size, name in sizes_in(dataset, evaluation.split).items():
        for seen, setting in _inputs(size, evaluation, predictor.rule):
            try:
                predictor.check_size(*seen)
            except UserError as error:
                what = name
                if setting:
                    full = bound_settings.name_of(f"Evaluation.{setting}")
                    what = f"{full} = {getattr(evaluation, setting)}: {name}"
                raise UserError(f"{what}: {error}") from None


def _tell_other_sizes(predictor: Predictor, evaluation: Evaluation) -> None:
    taken = tuple(predictor.input_size)
    for setting, size in evaluation.sizes():
        if size != taken:
            print(
                f"warning: the model takes {'x'.join(map(str, taken))} alone, and {setting} = "
                f"{size} does not count",
                file=sys.stderr,
            )


def _inputs(
    size: tuple[int, int], evaluation: Evaluation, rule: str
) -> Iterator[tuple[tuple[int, int], str]]:
    """What a network gets of an image, as (height, width), and the setting that made it smaller."""
    name = next((n for n in ("padded_size", "input_size") if getattr(evaluation, n)), "")
    shown = tuple(getattr(evaluation, name)) if name else size
    if evaluation.padded_size and evaluation.enlarged:
        yield shown, name
        return
    for scale in evaluation.scales:
        scaled = scaled_size(shown, scale, rule)
        setting = "scales" if scale < 1 else name
        if evaluation.window:
            cut = tuple(map(min, scaled, evaluation.window))
            yield cut, "window" if cut != scaled else setting
        else:
            yield scaled, setting
