"""The best and the worst images of a split, and their pictures."""

import numpy as np
import pytest

from mosaic.evaluation.best_and_worst import BestAndWorst


def _extremes(values, count, drawn):
    extremes = BestAndWorst(count, len(values), drawn)
    for index, value in enumerate(values):
        if extremes.takes(value):
            at = index % len(drawn.images)
            truth = drawn.labels[at]
            extremes.add(str(index), value, drawn.images[at], truth, truth)
    return [e.name for e in extremes.best], [e.name for e in extremes.worst]


@pytest.mark.parametrize(
    "values, count, best, worst",
    [
        ([0.3, 0.1, 0.9, 0.5, 0.7, 0.2], 2, "24", "15"),
        ([0.5] * 6, 2, "01", "54"),
        ([0.3, 0.1, 0.9, 0.5, 0.7], 4, "24", "103"),
        ([0.3, None, None, None], 2, "", "0"),
        ([0.3], 4, "", "0"),
        ([0.3, 0.4], 0, "", ""),
    ],
)
def test_best_and_worst(drawn, values, count, best, worst):
    assert _extremes(values, count, drawn) == (list(best), list(worst))


def test_pictures_are_of_a_sensible_size(drawn):
    extremes = BestAndWorst(1, 2, drawn)
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 255, (64, 128, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    labels = (image[..., 0] > 127).astype(np.int32)
    extremes.add("large", 0.5, image, labels, labels)
    (example,) = extremes.worst
    assert example.size == (280, 560)
    assert len(example.image + example.truth + example.predicted) < 300_000
