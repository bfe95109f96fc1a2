"""What an export may differ from its network by."""

import pytest

from mosaic.export import tolerances
from mosaic.export.tolerances import LIMITS, MLPERF_SHARE


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name):
    """MLPerf's rule is the least, and what is usual lies above what is allowed."""
    limit = LIMITS[name]
    assert MLPERF_SHARE == 0.96 <= limit.mean_iou <= limit.usual_mean_iou <= 1
    assert limit.equal <= limit.usual_equal <= 1


@pytest.mark.parametrize("is_quantized", [False, True])
def test_a_network_that_learnt_its_rounding_has_limits_of_its_own(monkeypatch, is_quantized):
    monkeypatch.setattr(tolerances.quantization_aware, "is_quantized", lambda model: is_quantized)
    expected = tolerances.LEARNT if is_quantized else LIMITS["int8"]
    assert tolerances.of_model(None, "int8") == expected
