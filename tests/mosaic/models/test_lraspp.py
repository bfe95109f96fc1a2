"""LR-ASPP on MobileNetV3; its numbers are compared in tests/mosaic/checkpoints/test_zoo.py."""

import pytest

from mosaic.models import cost
from mosaic.models.lraspp import lraspp
from networks import noise, shapes


@pytest.mark.parametrize(
    "size, weights, gigas", [("Large", 1498182, 7.51), ("Small", 464518, 1.89)]
)
def test_cost(size, weights, gigas):
    """1.51 and 0.47 M parameters in the paper (arXiv 1905.02244, table 7)."""
    model = lraspp(19, f"MobileNetV3{size}ReducedFilters")
    found = cost.count(model, 1025, 2049)
    assert (found.weights, round(found.multiply_adds / 1e9, 2)) == (weights, gigas)


def test_output_stride_changes_no_variable():
    networks = [
        lraspp(3, "MobileNetV3SmallReducedFilters", 0.25, output_stride=stride, filters=8)
        for stride in (32, 16)
    ]
    assert shapes(networks[0]) == shapes(networks[1])
    for network in networks:
        assert network(noise(65, 97)).shape == (1, 9, 13, 3)


@pytest.mark.parametrize("settings", [{"output_stride": 4}, {"low_level": "9"}])
def test_unknown_settings(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        lraspp(3, "MobileNetV3SmallReducedFilters", 0.25, **settings)
