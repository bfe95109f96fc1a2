"""What answers without a network score."""

from answers import dark
from mosaic.evaluation.baselines import baselines
from mosaic.evaluation.evaluator import Evaluation, evaluate


def test_baselines_know_colours_and_nothing_else(drawn, tmp_path):
    report = evaluate(dark, drawn, Evaluation(baselines=True), "c", str(tmp_path))
    # Blocks of one colour have one label, so that here a lookup of colours is nearly perfect.
    assert report["baselines"]["colour lookup"] > 0.95
    assert report["baselines"]["constant"] < 0.5


def test_baselines_leave_out_what_the_protocol_leaves_out(drawn):
    """Then one class is left, which a constant meets everywhere or nowhere."""
    assert 0.1 < baselines(drawn, "val")["constant"] < 0.5
    found = [baselines(drawn, "val", (index,))["constant"] for index in (0, 1)]
    assert sorted(found) == [0.0, 1.0]
