"""How networks of an experiment are scored: settings, and the protocols of published results."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import gin

from mosaic.models.inputs import NORMALIZATIONS
from mosaic.utils.errors import UserError, check_positive, nearest

# The classes of each protocol, by name, whose pixels count nowhere in the truth.
PROTOCOLS = {"plain": (), "cityscapes": (), "ade20k": (), "mlperf_ade20k_top31": ("other",)}


@gin.configurable(module="mosaic")
@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How networks of an experiment are scored, during training and afterwards.

    From `scales` on they are for scoring afterwards; in training, images go in as they are.

    Attributes:
      split: of the data set.
      batch_size: images in one step, where all have one size; the figures do not depend on it.
      protocol: a key of `PROTOCOLS`. All count every pixel of full-size ground truth but the
        ignored ones in one confusion matrix, and average the classes that occur.
        `mlperf_ade20k_top31` leaves out pixels of no class in the truth, while an answer of no
        class is a false negative (MLPerf Mobile).
      published: key in published.json of the result that the experiment reproduces.
      num_pictures: images of the split of which overlays are written, evenly spread.
      num_best_and_worst: best and worst images, of each so many, that report.html shows.
      baselines: also score answers without a network (`mosaic.evaluation.baselines`), for
        comparison.
      scales: of the images, whose probabilities are averaged; (1.0,) is plain.
      flip: also average with the mirrored image's.
      window: (height, width) of sliding windows, or None for whole images.
      overlap: least share of a window in common with the next.
      input_size: (height, width) that images are resized to for the network; None leaves them.
      padded_size: (height, width) that images are scaled to fit into, keeping their aspect, and
        padded to (`mosaic.inference.letterbox`), or the model's own where it takes one only; None
        leaves them.
      padding: level of that padding by channel, 0 to 255.
      argmax_before_resize: see `mosaic.inference.predictors.Predictor`.
      class_map: for a network with other classes than the data set's: for each of its classes the
        index of the data set's class that it stands for, or -1 for none: a wrong answer.
    """

    split: str = "val"
    batch_size: int = 4
    protocol: str = "plain"
    published: str | None = None
    num_pictures: int = 6
    num_best_and_worst: int = 4
    baselines: bool = False
    scales: Sequence[float] = (1.0,)
    flip: bool = False
    window: Sequence[int] | None = None
    overlap: float = 1 / 3
    input_size: Sequence[int] | None = None
    padded_size: Sequence[int] | None = None
    padding: Sequence[float] = NORMALIZATIONS["imagenet"][0]
    argmax_before_resize: bool = False
    class_map: Sequence[int] | None = None

    def __post_init__(self):
        check_positive("Evaluation", batch_size=self.batch_size)

    def ignored_classes(self, class_names: Sequence[str]) -> list[int]:
        """Returns the indices of the classes whose pixels the protocol leaves out of the truth.

        Raises:
          UserError: there is no such protocol.
        """
        if self.protocol not in PROTOCOLS:
            raise UserError(f"no protocol {self.protocol!r}{nearest(self.protocol, PROTOCOLS)}")
        return [i for i, name in enumerate(class_names) if name in PROTOCOLS[self.protocol]]
