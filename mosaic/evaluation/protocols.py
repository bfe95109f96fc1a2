"""How networks of an experiment are scored: settings, and the protocols of published results."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated

import gin

from mosaic.evaluation import published as results
from mosaic.models.inputs import NORMALIZATIONS
from mosaic.utils import bound_settings
from mosaic.utils.settings import (
    AT_LEAST_0,
    AT_LEAST_1,
    AT_LEAST_MINUS_1,
    BELOW_1,
    CLASS_MAP,
    COLOR,
    POSITIVE,
    SCALES,
    SIZE,
    check_arguments,
    one_of,
)

# For each protocol the names of the classes whose pixels are left out of the truth.
PROTOCOLS = {"plain": (), "cityscapes": (), "ade20k": ("other",), "mlperf_ade20k_top31": ("other",)}


@gin.configurable(module="mosaic")
@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How networks of an experiment are scored, during training and afterwards.

    Settings from `scales` on are for scoring after training; during training, images are padded as
    `padded_size` says, and not changed otherwise.

    Attributes:
      split: name of the split of the data set.
      batch_size: number of images in a batch, where all have one size; metrics do not depend on it.
      protocol: key of `PROTOCOLS`. All count every pixel of full-size ground truth but the ignored
        ones in one confusion matrix, and average the classes that occur. `ade20k` and
        `mlperf_ade20k_top31` leave out pixels of no class in the truth; a prediction of no class is
        a false negative (research/deeplab, MLPerf Mobile).
      published: key in published.json of the result that the experiment reproduces.
      num_pictures: number of overlays that are written, of images evenly spread over the split.
      num_best_and_worst: number of best images and of worst images in report.html.
      garden_protocol: whether published weights of the Model Garden are also scored in its own way,
        where published.json says how (`mosaic.evaluation.garden_protocol`): twice the work.
      baselines: whether predictions without a network (`mosaic.evaluation.baselines`) are scored
        too, for comparison.
      scales: factors of the images' size, over which probabilities are averaged; (1.0,) for none.
      flip: whether the mirrored image's probabilities are averaged too.
      window: (height, width) of sliding windows, in pixels, or None for whole images.
      overlap: least overlap of neighbouring windows, as a fraction of a window, from 0 to below 1.
      input_size: (height, width) that images are resized to for the network, in pixels; None for
        their own size.
      padded_size: (height, width), in pixels, that images are scaled to fit into, keeping their
        aspect, and padded to (`mosaic.inference.letterbox`); a model that takes only one size gets
        that; None for no padding.
      enlarged: whether images that are smaller than that are enlarged to fit; False only pads them,
        as research/deeplab does. The scales of `scales` are then those of the padded image.
      padding: value of that padding for each channel, 0 to 255.
      argmax_before_resize: whether class indices are resized instead of logits, see
        `mosaic.inference.predictors.Predictor`.
      class_map: index of the data set's class for each class of a network with other classes, or -1
        for none, which is a wrong prediction; None for a network with the data set's classes.
    """

    split: str = "val"
    batch_size: Annotated[int, AT_LEAST_1] = 4
    protocol: Annotated[str, one_of(PROTOCOLS)] = "plain"
    published: str | None = None
    num_pictures: Annotated[int, AT_LEAST_0] = 6
    num_best_and_worst: Annotated[int, AT_LEAST_0] = 4
    garden_protocol: bool = True
    baselines: bool = False
    scales: Annotated[Sequence[Annotated[float, POSITIVE]], SCALES] = (1.0,)
    flip: bool = False
    window: Annotated[Sequence[int], SIZE] | None = None
    overlap: Annotated[float, BELOW_1] = 1 / 3
    input_size: Annotated[Sequence[int], SIZE] | None = None
    padded_size: Annotated[Sequence[int], SIZE] | None = None
    enlarged: bool = True
    padding: Annotated[Sequence[float], COLOR] = NORMALIZATIONS["imagenet"][0]
    argmax_before_resize: bool = False
    class_map: Annotated[Sequence[Annotated[int, AT_LEAST_MINUS_1]], CLASS_MAP] | None = None

    def __post_init__(self):
        check_arguments(type(self), vars(self))
        if self.published:
            results.result(self.published)  # an unknown key is told before the work

    def sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yields the settings that give all images one size, the first that counts first.

        Each is the setting's name, or its macro's, and (height, width) in pixels.
        """
        for name in ("padded_size", "input_size"):
            if size := getattr(self, name):
                yield bound_settings.name_of(f"Evaluation.{name}"), tuple(size)

    def ignored_classes(self, class_names: Sequence[str]) -> list[int]:
        """Returns the indices of the classes whose pixels the protocol leaves out of the truth."""
        return [i for i, name in enumerate(class_names) if name in PROTOCOLS[self.protocol]]
