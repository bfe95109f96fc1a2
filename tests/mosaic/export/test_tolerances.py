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
@pytest.mark.parametrize("has_settled", [False, True])
def test_a_network_that_learnt_its_rounding_has_limits_of_its_own(
    monkeypatch, capsys, is_quantized, has_settled
):
    for name, value in (("is_quantized", is_quantized), ("has_settled", has_settled)):
        monkeypatch.setattr(tolerances.quantization_aware, name, lambda model, value=value: value)
    expected = tolerances.LEARNT if is_quantized and has_settled else LIMITS["int8"]
    assert tolerances.of_model(None, "int8") == expected
    tolerances.warn_of_unsettled("x.tflite", None)
    warned = "x.tflite: the ranges learnt" in capsys.readouterr().err
    assert warned == (is_quantized and not has_settled)
