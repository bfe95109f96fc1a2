"""How far an export may differ from its network, by format.

Each format has two limits: below the first an export is not kept; between the two it is kept, with
a warning that the format usually does better.
"""

from __future__ import annotations

import dataclasses
import os
import sys

import tf_keras

from mosaic.models import quantization_aware

# Least fraction of the float network's mIoU that a quantized one keeps (MLPerf Mobile's rules).
MLPERF_SHARE = 0.96
# Logit up to which a difference counts as it is.
USUAL_LOGIT = 10.0


@dataclasses.dataclass(frozen=True)
class Limit:
    """How far an export of one format may differ from its network, on real images.

    Attributes:
      difference: largest absolute difference of a logit, or None for no limit. Where logits reach
        further than `USUAL_LOGIT`, it grows with them, as the rounding of float32 does.
      equal: least fraction of pixels with the same class, 0 to 1.
      mean_iou: least fraction of the network's mIoU on the evaluation split, 0 to 1.
      usual_equal: fraction of equal pixels that the format usually reaches, 0 to 1.
      usual_mean_iou: fraction of the mIoU that the format usually keeps, 0 to 1.
    """

    difference: float | None
    equal: float
    mean_iou: float = 0.0
    usual_equal: float = 0.0
    usual_mean_iou: float = 0.0


# Usual fractions of int8 by post-training quantization: published are 0.980 (DeepLabv3+ on
# Cityscapes), 0.982 (DeepLabv3 on PASCAL VOC) and 0.989 (DeepLabv3 on ADE20K), on CPUs with weights
# quantized per channel. The other formats keep the results but for the last digits.
LIMITS = {
    "none": Limit(1e-2, 0.999, 0.999, 0.9999, 0.9999),
    "float16": Limit(None, 0.99, 0.99, 0.999, 0.998),
    "dynamic": Limit(None, 0.90, MLPERF_SHARE, 0.98, 0.99),
    "int8": Limit(None, 0.80, MLPERF_SHARE, 0.95, 0.975),
}
# For a network of quantization-aware training, which rounds as its exports do: where their last
# bits differ, a value may be rounded to the next quantization step.
LEARNT = Limit(None, 0.90, MLPERF_SHARE, 0.95, 0.995)


def warn_of_unsettled(path: str | os.PathLike, model: tf_keras.Model) -> None:
    """Warns where an int8 file has ranges of quantization-aware training that have not settled."""
    if quantization_aware.is_quantized(model) and not quantization_aware.has_settled(model):
        print(
            f"warning: {path}: the ranges learnt in quantization-aware training have not settled "
            "(they still reach far below 0 behind ReLU), so that its steps of rounding are larger "
            "than need be; train further",
            file=sys.stderr,
        )


def of_model(model: tf_keras.Model, quantize: str) -> Limit:
    """Returns the limits for a network's export of one format, a key of `LIMITS`.

    Those of `LEARNT` are for ranges that have settled: before, a step of rounding is larger, and
    where the last bits differ, a value may land a whole step away. Of one network with ranges that
    still were -6 to 6, 91 % of the pixels of its file were equal, and 97 % with ranges measured for
    the same weights (`tests/mosaic/checkpoints/test_model_garden_qat.py`).
    """
    is_learnt = quantization_aware.is_quantized(model) and quantization_aware.has_settled(model)
    return LEARNT if is_learnt else LIMITS[quantize]
