"""Whether two experiments differ by more than chance: a bootstrap, paired over the images.

Images are drawn with replacement, the same for both, and where an experiment was run with several
seeds, so are its runs. The middle 95 % of the differences between their mean IoUs is the interval;
where 0 is outside, the two differ by more than chance. (B. Efron, R. Tibshirani: An Introduction to
the Bootstrap, 1993, chapter 13.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mosaic.evaluation.image_counts import mean_iou

_DRAWS = 2000
_SEED = 0
_INTERVAL = (2.5, 97.5)


def difference(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> dict:
    """Compares two experiments that were scored on the same images.

    Args:
      first: for each run of an experiment, `outcomes` of its images, [images, 3, classes].
      second: the same for the other experiment, images in the same order.

    Returns:
      `difference` of the mean IoUs (0 to 1, the first's less the second's), each the mean over the
      experiment's runs; `lower` and `upper`, between which it is in 95 % of the draws;
      `more_than_chance`, whether 0 is outside; `drawn`, "images" or "images and runs";
      `num_images`; and `draws`, their number.
    """
    rng = np.random.default_rng(_SEED)
    count = len(first[0])
    weights = rng.multinomial(count, np.full(count, 1 / count), _DRAWS).astype(np.float64)
    differences = _drawn(first, weights, rng) - _drawn(second, weights, rng)
    lower, upper = np.percentile(differences, _INTERVAL)
    return {
        "difference": mean(first) - mean(second),
        "lower": float(lower),
        "upper": float(upper),
        "more_than_chance": bool(lower > 0 or upper < 0),
        "drawn": "images and runs" if len(first) > 1 and len(second) > 1 else "images",
        "num_images": count,
        "draws": _DRAWS,
    }


def mean(runs: Sequence[np.ndarray]) -> float:
    """Returns the mean over runs of the mean IoU over all images."""
    return float(np.mean([mean_iou(run.sum(0, dtype=np.int64)) for run in runs]))


def _drawn(runs: Sequence[np.ndarray], weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An experiment's mean IoU in each draw of images and of runs."""
    sums = [weights @ run.reshape(len(run), -1).astype(np.float64) for run in runs]
    scores = np.stack([mean_iou(total.reshape(len(weights), *runs[0].shape[1:])) for total in sums])
    chosen = rng.integers(len(runs), size=(len(runs), len(weights)))
    return np.take_along_axis(scores, chosen, 0).mean(0)
