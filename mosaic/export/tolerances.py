"""What an export may differ from its network by, format by format.

Two bars for each: below the first an export is not kept; between the two it is kept, and a warning
says that the method usually does better.
"""

from __future__ import annotations

import dataclasses

from mosaic.models import quantization_aware

# Least share of the float network's mIoU that a quantized one keeps (MLPerf Mobile's rules).
MLPERF_SHARE = 0.96


@dataclasses.dataclass(frozen=True)
class Limit:
    """What an export of one format may differ from its network by, on real images.

    Attributes:
      difference: largest absolute difference of a logit, or None for no limit.
      equal: least share of pixels with the same class, 0 to 1.
      mean_iou: least share of the network's mIoU on the evaluation split, 0 to 1.
      usual_equal: share of equal pixels that the format usually reaches.
      usual_mean_iou: share of the mIoU that the format usually keeps.
    """

    difference: float | None
    equal: float
    mean_iou: float = 0.0
    usual_equal: float = 0.0
    usual_mean_iou: float = 0.0


# Usual shares of int8 by post-training quantization: published are 0.980 (DeepLabv3+ on
# Cityscapes), 0.982 (DeepLabv3 on PASCAL VOC) and 0.989 (DeepLabv3 on ADE20K), on CPUs with weights
# quantized per channel. The other formats keep all but the last digits of what they compute with.
LIMITS = {
    "none": Limit(1e-2, 0.999, 0.999, 0.9999, 0.9999),
    "float16": Limit(None, 0.99, 0.99, 0.999, 0.998),
    "dynamic": Limit(None, 0.90, MLPERF_SHARE, 0.98, 0.99),
    "int8": Limit(None, 0.80, MLPERF_SHARE, 0.95, 0.975),
}
# Of a network of quantization-aware training, which rounds as its exports do: where their last bits
# differ, a value is rounded to the next step.
LEARNT = Limit(None, 0.90, MLPERF_SHARE, 0.95, 0.995)


def of_model(model, quantize: str) -> Limit:
    """The tolerances for a network's export of one format, a key of `LIMITS`."""
    return LEARNT if quantization_aware.is_quantized(model) else LIMITS[quantize]
